//! `[probe]`: how often and how fast roles are looked at.

use std::time::Duration;

use super::reader::Section;

/// `[probe]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How often all roles are looked at; none: never by itself.
    pub every: Option<Duration>,
    /// How long a round may take; what it does not come to is first in the next one.
    pub budget: Duration,
    /// How many calls to AWS in a second, at most.
    pub rate: u32,
    /// How many roles at once.
    pub parallel: u32,
}

impl Probe {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let every = section.parsed("every", every);
        let (least, most) = (Duration::from_secs(10), Duration::from_hours(6));
        Self {
            every: every.unwrap_or(Some(Duration::from_hours(6))),
            budget: section
                .duration("budget", least..=most)
                .unwrap_or(Duration::from_mins(10)),
            rate: section.integer("rate", 1..=100).unwrap_or(5),
            parallel: section.integer("parallel", 1..=32).unwrap_or(4),
        }
    }
}

/// `off`, or how often.
fn every(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let found = humantime::parse_duration(text.trim()).ok();
    let range = Duration::from_mins(10)..=Duration::from_hours(7 * 24);
    match found.filter(|found| range.contains(found)) {
        Some(found) => Ok(Some(found)),
        None => Err(format!(
            "expected \"off\" or a duration from 10m to 7days such as \"6h\", found {text:?}"
        )),
    }
}
