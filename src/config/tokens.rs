//! `[tokens]`: what clients are given so that they can act for a person without a browser.

use std::time::Duration;

use super::reader::Section;

/// `[tokens]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// How long an access token lasts.
    pub access: Duration,
    /// How long a device may go on before a person has to agree again.
    pub refresh: Duration,
    /// Whether codes may be typed, for machines without a browser.
    pub device_flow: bool,
}

impl Tokens {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        // AWS's tools take a token for over 15 minutes before it is.
        let access = Duration::from_mins(20)..=Duration::from_hours(12);
        let refresh = Duration::from_hours(1)..=Duration::from_hours(365 * 24);
        let access = section.duration("access", access);
        let access = access.unwrap_or(Duration::from_hours(1));
        let refresh = section.duration("refresh", refresh);
        let refresh = refresh.unwrap_or(Duration::from_hours(30 * 24));
        if refresh < access {
            section.refuse("refresh", "is shorter than tokens.access; make it longer");
        }
        Self {
            access,
            refresh,
            device_flow: section.boolean("device_flow").unwrap_or(true),
        }
    }
}
