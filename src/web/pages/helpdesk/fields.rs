//! The fields of an edit's form, read one by one: what cannot be used gets a sentence, and nothing
//! that was typed is lost.

use time::{
    Date, Duration, OffsetDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};

use super::super::super::views::helpdesk::wording;
use crate::access::{RowName, SessionDuration, in_utc};

/// The fields as they were sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    /// Fields by name and value.
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(owned.collect())
    }

    /// Adds a field.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// The first field of that name, without blanks around it; empty where there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// Every field of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(other, _)| other == name);
        found.map(|(_, value)| value.trim())
    }

    /// Whether a checkbox is set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        !self.one(name).is_empty()
    }

    /// The rows as they were when the form was made.
    pub(super) fn seen(&self) -> Vec<(RowName, Option<String>)> {
        let read = |text: &str| {
            let (name, revision) = text.rsplit_once(' ')?;
            let revision = (revision != "-").then(|| revision.to_owned());
            Some((wording::name_of_text(name)?, revision))
        };
        self.all("seen").filter_map(read).collect()
    }

    /// The same fields with other rows seen.
    pub(super) fn seeing(&self, seen: &[(RowName, Option<String>)]) -> Vec<(String, String)> {
        let carried = self.0.iter().filter(|(name, _)| {
            !matches!(name.as_str(), "seen" | "digest" | "effect" | "csrf_token")
        });
        let mut fields: Vec<(String, String)> = carried.cloned().collect();
        fields.extend(seen.iter().map(seen_field));
        fields
    }
}

/// A row with its revision as a hidden field.
pub(super) fn seen_field((name, revision): &(RowName, Option<String>)) -> (String, String) {
    let revision = revision.as_deref().unwrap_or("-");
    let text = format!("{} {revision}", wording::name_text(name));
    ("seen".to_owned(), text)
}

/// When a mapping ends: the end of a day in UTC, or a moment. `kept` is what stands there already,
/// which may be over.
pub(super) fn end(
    text: &str,
    kept: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
    let end = match day {
        // The first moment of the next day; the last day that there is has none.
        Ok(day) => day.next_day().map(|next| next.midnight().assume_utc()),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    };
    let Some(end) = end else {
        return Err(format!(
            "“{text}” is no date: write 2026-12-31, or a moment such as 2026-12-31T17:00:00Z."
        ));
    };
    let end = in_utc(end).truncate_to_millisecond();
    if Some(end) == kept || end > now {
        Ok(Some(end))
    } else if now - end < Duration::DAY {
        Err("That is over already. Name a later moment, or end it now.".to_owned())
    } else {
        Err("That is in the past. Name a later day, or end it now.".to_owned())
    }
}

/// The longest session.
pub(super) fn longest(text: &str) -> Result<Option<SessionDuration>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<SessionDuration>()
        .map(Some)
        .map_err(|error| sentence(&error.to_string()))
}

/// A duration as [`longest`] reads it.
pub(super) fn longest_as_written(duration: SessionDuration) -> String {
    let seconds = duration.seconds();
    if seconds.is_multiple_of(3_600) {
        format!("{}h", seconds / 3_600)
    } else if seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        seconds.to_string()
    }
}

/// An error's text as a sentence for people, who are not shown backticks.
pub(super) fn sentence(text: &str) -> String {
    let text = text.replace('`', "");
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return text;
    };
    let mut sentence: String = first.to_uppercase().chain(characters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-24 10:42 UTC);

    #[test]
    fn a_day_ends_at_midnight_and_a_moment_is_itself() {
        let read = |text| end(text, None, NOW);
        assert_eq!(read("").unwrap(), None);
        assert_eq!(
            read("2026-12-31").unwrap(),
            Some(datetime!(2027-01-01 00:00 UTC))
        );
        assert_eq!(
            read("2026-12-31T17:00:00+01:00").unwrap(),
            Some(datetime!(2026-12-31 16:00 UTC))
        );
        assert!(read("2026-11-24").unwrap().is_some(), "today is not over");
    }

    #[test]
    fn an_end_that_is_over_or_no_date_gets_a_sentence() {
        for text in ["2026-11-23", "2026-11-24T10:00:00Z", "soon", "31.12.2026"] {
            let message = end(text, None, NOW).unwrap_err();
            assert!(message.ends_with('.'), "{message}");
        }
        let kept = datetime!(2026-01-01 00:00 UTC);
        assert_eq!(end("2025-12-31", Some(kept), NOW).unwrap(), Some(kept));
    }

    #[test]
    fn rows_seen_travel_with_their_revision() {
        let row = RowName::Mapping(crate::access::MappingId("file:3".to_owned()));
        let role = RowName::Role("arn:aws:iam::111122223333:role/x".parse().unwrap());
        let seen = vec![(row, Some("abc".to_owned())), (role, None)];
        let fields = Fields(Fields::of(&[("group", "g"), ("seen", "mapping:old x")]).seeing(&seen));
        assert_eq!(fields.seen(), seen);
        assert_eq!(fields.one("group"), "g");
    }

    #[test]
    fn durations_read_back() {
        for text in ["2h", "90m", "905"] {
            assert_eq!(longest_as_written(longest(text).unwrap().unwrap()), text);
        }
        assert!(longest("1m").is_err());
    }
}
