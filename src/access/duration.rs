//! How long a role session may last.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The length of a role session, whole seconds: 900–43,200 for roles, up to 129,600 for
/// `GetFederationToken` and `GetSessionToken` (AWS API, STS `DurationSeconds`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SessionDuration(u32);

impl SessionDuration {
    /// 15 minutes, the shortest that STS gives.
    pub const SHORTEST: Self = Self(900);
    /// One hour: the STS default, and the limit under role chaining.
    pub const HOUR: Self = Self(3_600);
    /// 12 hours, the longest that a role can be set to.
    pub const LONGEST: Self = Self(43_200);
    /// 36 hours, the longest that `GetFederationToken` and `GetSessionToken` give.
    pub const LONGEST_TOKEN: Self = Self(129_600);

    /// A duration of `seconds`, or an error naming the limits.
    pub fn from_seconds(seconds: u64) -> Result<Self, DurationError> {
        u32::try_from(seconds)
            .ok()
            .filter(|seconds| (Self::SHORTEST.0..=Self::LONGEST_TOKEN.0).contains(seconds))
            .map(Self)
            .ok_or(DurationError::OutOfRange(seconds))
    }

    /// The whole seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SessionDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3_600, self.0 % 3_600 / 60, self.0 % 60);
        let parts = [(hours, "h"), (minutes, "min"), (seconds, "s")];
        let shown: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count} {unit}"))
            .collect();
        f.write_str(&shown.join(" "))
    }
}

impl FromStr for SessionDuration {
    type Err = DurationError;

    /// `45m`, `1h 30m` or whole seconds.
    fn from_str(text: &str) -> Result<Self, DurationError> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Self::from_seconds(seconds);
        }
        humantime::parse_duration(text)
            .map_err(|_| DurationError::Shape(text.chars().take(40).collect()))?
            .try_into()
    }
}

impl TryFrom<Duration> for SessionDuration {
    type Error = DurationError;

    fn try_from(duration: Duration) -> Result<Self, DurationError> {
        Self::from_seconds(duration.as_secs())
    }
}

impl TryFrom<u32> for SessionDuration {
    type Error = DurationError;

    fn try_from(seconds: u32) -> Result<Self, DurationError> {
        Self::from_seconds(seconds.into())
    }
}

impl From<SessionDuration> for u32 {
    fn from(duration: SessionDuration) -> Self {
        duration.0
    }
}

impl From<SessionDuration> for Duration {
    fn from(duration: SessionDuration) -> Self {
        Self::from_secs(duration.0.into())
    }
}

/// Why a text is not the length of a role session.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// Shorter than 15 minutes or longer than 36 hours.
    #[error(
        "{0} seconds is outside what AWS gives: 15 minutes (900) to 12 hours (43200), \
         and to 36 hours (129600) for federation-token and session-token"
    )]
    OutOfRange(u64),
    /// Not a duration at all.
    #[error("`{0}` is not a duration: write 45m, 4h or a number of seconds")]
    Shape(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_the_three_forms() {
        for (text, seconds) in [
            ("45m", 2_700),
            ("4h", 14_400),
            ("900", 900),
            ("1h 30m", 5_400),
        ] {
            assert_eq!(text.parse::<SessionDuration>().unwrap().seconds(), seconds);
        }
    }

    #[test]
    fn durations_outside_the_limits_of_aws_are_refused() {
        for text in [
            "899",
            "129601",
            "14m",
            "37h",
            "",
            "soon",
            "-1",
            "99999999999999999999",
        ] {
            assert!(
                text.parse::<SessionDuration>().is_err(),
                "{text} was accepted"
            );
        }
    }

    #[test]
    fn durations_read_like_people_say_them() {
        assert_eq!(SessionDuration(5_400).to_string(), "1 h 30 min");
        assert_eq!(SessionDuration::SHORTEST.to_string(), "15 min");
    }
}
