//! `[api]`: how often one caller may ask.

use super::reader::Section;

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Requests of one person or application in a minute.
    pub requests_per_minute: u32,
    /// Roles that one person or application opens by the API in a minute.
    pub credentials_per_minute: u32,
}

impl Api {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let range = 1..=1_000_000;
        Self {
            requests_per_minute: (section.integer("requests_per_minute", range.clone()))
                .unwrap_or(600),
            credentials_per_minute: section
                .integer("credentials_per_minute", range)
                .unwrap_or(60),
        }
    }
}
