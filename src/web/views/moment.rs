//! Points in time as people read them.
//!
//! The server writes them in UTC and says so; `static/times.js` rewrites them into the reader's
//! zone. Both use the same words.

use std::fmt;

use time::{Duration, OffsetDateTime};

use crate::access::in_utc;

/// How a [`Moment`] is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// `10:42 UTC`
    Clock,
    /// `in 42 min (11:24 UTC)`
    Relative,
    /// `42 min left`
    Left,
}

/// A point in time, rendered as a `<time>` element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: OffsetDateTime,
    now: OffsetDateTime,
    telling: Telling,
}

impl Moment {
    /// As the time of day (and the day, where it is not today): `10:42 UTC`.
    pub(crate) fn clock(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self::new(at, now, Telling::Clock)
    }

    /// By its distance: `in 42 min (11:24 UTC)`, `5 min ago (10:37 UTC)`.
    pub(crate) fn relative(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self::new(at, now, Telling::Relative)
    }

    /// By what is left until it: `42 min left`.
    pub(crate) fn left(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self::new(at, now, Telling::Left)
    }

    fn new(at: OffsetDateTime, now: OffsetDateTime, telling: Telling) -> Self {
        Self {
            at: in_utc(at),
            now: in_utc(now),
            telling,
        }
    }

    /// RFC 3339, in UTC, to the second.
    pub(crate) fn rfc3339(&self) -> String {
        let (at, time) = (self.at, self.at.time());
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }

    /// What a page without script says.
    pub(crate) fn text(&self) -> String {
        let left = self.at - self.now;
        match self.telling {
            Telling::Clock => self.clock_text(),
            Telling::Left if left <= Duration::ZERO => "ended".to_owned(),
            Telling::Left => format!("{} left", span_in_words(left)),
            Telling::Relative if left > Duration::ZERO => {
                format!("in {} ({})", span_in_words(left), self.clock_text())
            }
            Telling::Relative => format!("{} ago ({})", span_in_words(-left), self.clock_text()),
        }
    }

    fn clock_text(&self) -> String {
        let clock = format!("{:02}:{:02} UTC", self.at.hour(), self.at.minute());
        if self.at.date() == self.now.date() {
            clock
        } else {
            let month = self.at.month().to_string();
            let month: String = month.chars().take(3).collect();
            format!("{} {month} {}, {clock}", self.at.day(), self.at.year())
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let telling = match self.telling {
            Telling::Clock => "clock",
            Telling::Relative => "relative",
            Telling::Left => "left",
        };
        write!(
            f,
            "<time datetime=\"{}\" data-time=\"{telling}\">{}</time>",
            self.rfc3339(),
            self.text()
        )
    }
}

// Made of digits and our own words alone.
impl askama::filters::HtmlSafe for Moment {}

/// A length of time as people say it: `42 min`, `3 h 5 min`, `2 days`; negative counts as none.
pub(crate) fn span_in_words(span: Duration) -> String {
    let minutes = span.whole_minutes();
    match minutes {
        ..1 => "less than a minute".to_owned(),
        1..60 => format!("{minutes} min"),
        60..1440 if minutes % 60 == 0 => format!("{} h", minutes / 60),
        60..1440 => format!("{} h {} min", minutes / 60, minutes % 60),
        1440..2880 => "1 day".to_owned(),
        _ => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-04 10:42 UTC);

    #[test]
    fn times_are_told_in_utc_with_the_zone_said() {
        let at = datetime!(2026-03-04 11:24 UTC);
        assert_eq!(
            Moment::relative(at, NOW).to_string(),
            "<time datetime=\"2026-03-04T11:24:00Z\" data-time=\"relative\">\
             in 42 min (11:24 UTC)</time>"
        );
        assert_eq!(Moment::left(at, NOW).text(), "42 min left");
        assert_eq!(Moment::left(NOW, NOW).text(), "ended");
        assert_eq!(
            Moment::clock(datetime!(2026-03-06 09:00 +1), NOW).text(),
            "6 Mar 2026, 08:00 UTC"
        );
        assert_eq!(
            Moment::relative(datetime!(2026-03-04 10:37 UTC), NOW).text(),
            "5 min ago (10:37 UTC)"
        );
    }

    #[test]
    fn spans_read_like_people_say_them() {
        for (seconds, words) in [
            (-5, "less than a minute"),
            (59, "less than a minute"),
            (3_540, "59 min"),
            (3_600, "1 h"),
            (5_460, "1 h 31 min"),
            (90_000, "1 day"),
            (260_000, "3 days"),
        ] {
            assert_eq!(span_in_words(Duration::seconds(seconds)), words);
        }
    }
}
