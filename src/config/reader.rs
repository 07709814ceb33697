//! Reads typed values out of a document and remembers every key that was asked for, so that the
//! keys nobody asked for are the unknown ones.
//!
//! Knows TOML and wording, never a key's meaning: that is in the file of its section. A problem is
//! reported, not returned, and the reader goes on, so that all are told at once. No secret's value
//! gets into a message. Entry point: [`read`], which hands its closure the top of the document:
//!
//! ```ignore
//! let (accounts, warnings) = reader::read(text, file, |_, _| {}, |top| {
//!     top.array_of_tables("account", "id", |account| {
//!         account.demand("id", "the twelve digits of an AWS account");
//!         Some(Account { id: account.parsed("id", parse_account_id)?, name: account.string("name") })
//!     })
//! })?;
//! ```

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use super::document::Value;
use super::document::{self, Node, Origin, Table};
use super::finding::{Finding, Findings, Severity};
use super::report::Report;
use super::secret_file;

/// Reads a TOML text with `build`, after `prepare` had a chance to change the document.
///
/// Returns what was built and the warnings, both sorted as the file is.
///
/// # Errors
/// Every finding, when one of them is an error: what is not TOML, what `build` reported, and the
/// keys it did not ask for.
pub(crate) fn read<T>(
    text: &str,
    file: &Path,
    prepare: impl FnOnce(&mut Table, &Report),
    build: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<(T, Vec<Finding>), Findings> {
    let report = Report::new(file);
    let mut document = document::parse(text);
    for (line, message) in document.syntax_errors {
        report.syntax_error(line, &message);
    }
    prepare(&mut document.table, &report);
    let mut top = Section {
        path: String::new(),
        schema: String::new(),
        origin: None,
        entries: document.table,
        taken: BTreeMap::new(),
        report: &report,
    };
    let value = build(&mut top);
    top.finish();
    let findings = report.into_findings();
    if findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        return Err(Findings(findings));
    }
    Ok((value, findings))
}

/// One table of the document; each taker removes a key, checks its value, and remembers the key.
///
/// Takers return `None` for a key that is absent and for one that was reported: when anything was
/// reported nothing that was built is used, so defaults may stand in for both.
pub(crate) struct Section<'r> {
    path: String,
    schema: String,
    origin: Option<Origin>,
    entries: Table,
    taken: BTreeMap<String, Option<Origin>>,
    report: &'r Report,
}

/// Where a key is written, and its full path.
pub(crate) struct Place {
    origin: Option<Origin>,
    path: String,
}

impl Section<'_> {
    /// Whether the key is there and was not taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reports a key that has to be there and is not; `expected` says what would be right.
    ///
    /// Call it before the taker.
    pub(crate) fn demand(&mut self, key: &str, expected: &str) {
        if !self.has(key) && !self.report.has_syntax_errors() {
            self.refuse(key, format!("is missing; expected {expected}"));
            self.report.missing(joined(&self.path, key));
        }
    }

    /// Reports an error about a key, at the line where it is, or else where the section begins.
    pub(crate) fn refuse(&self, key: &str, message: impl Into<String>) {
        self.tell(Severity::Error, key, message.into());
    }

    /// Reports a warning about a key, at the line where it is, or else where the section begins.
    pub(crate) fn warn(&self, key: &str, message: impl Into<String>) {
        self.tell(Severity::Warning, key, message.into());
    }

    /// The line where the section begins, where it stands in the file.
    pub(crate) fn line(&self) -> Option<usize> {
        match self.origin {
            Some(Origin::Line(line)) => Some(line),
            _ => None,
        }
    }

    /// Where a key is, for [`refuse_at`](Self::refuse_at) once other sections are read.
    pub(crate) fn place(&self, key: &str) -> Place {
        let written = self.entries.get(key).map(|node| &node.origin);
        let origin = written.or_else(|| self.taken.get(key).and_then(Option::as_ref));
        Place {
            origin: origin.or(self.origin.as_ref()).cloned(),
            path: joined(&self.path, key),
        }
    }

    /// Reports an error about a key of any section.
    pub(crate) fn refuse_at(&self, place: &Place, message: impl Into<String>) {
        self.report.tell(
            Severity::Error,
            place.origin.as_ref(),
            &place.path,
            message.into(),
        );
    }

    /// Reports a warning about a key that was taken.
    pub(crate) fn warn_at(&self, place: &Place, message: impl Into<String>) {
        self.report.tell(
            Severity::Warning,
            place.origin.as_ref(),
            &place.path,
            message.into(),
        );
    }

    fn tell(&self, severity: Severity, key: &str, message: String) {
        let place = self.place(key);
        self.report
            .tell(severity, place.origin.as_ref(), &place.path, message);
    }

    /// Accepts every key that was not asked for, after the reason for ignoring them was reported.
    pub(crate) fn ignore_rest(&mut self) {
        self.entries.clear();
    }

    /// A value read by `read`, which says on failure what was expected.
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.remove(key)?;
        read(&node.value)
            .map_err(|message| self.refuse(key, message))
            .ok()
    }

    /// A string that `parse` turns into something better.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.take(key, |value| {
            parse(text(value)?).map_err(|error| error.to_string())
        })
    }

    /// A string that is not blank.
    pub(crate) fn string(&mut self, key: &str) -> Option<String> {
        self.parsed(key, |text| Ok::<_, String>(text.to_owned()))
    }

    /// A name for other keys to refer to, unlike those in `taken`, which it joins.
    pub(crate) fn identifier(&mut self, key: &str, taken: &mut Vec<String>) -> Option<String> {
        let wanted = "1 to 32 of a-z, 0-9 and -";
        self.demand(key, wanted);
        let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let id = self.parsed(key, |text| {
            if !(1..=32).contains(&text.len()) || !text.chars().all(is_legal) {
                return Err(format!("expected {wanted}, found {text:?}"));
            }
            if taken.iter().any(|id| id == text) {
                return Err(format!("{text:?} is taken; every id is there once"));
            }
            Ok(text.to_owned())
        })?;
        taken.push(id.clone());
        Some(id)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key, |value| match value {
            Value::Boolean(claim) => Ok(*claim),
            Value::Text(text) => text.parse().map_err(|_| expected("true or false", value)),
            _ => Err(expected("true or false", value)),
        })
    }

    /// An integer within `range`.
    pub(crate) fn integer(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let wanted = format!("an integer from {} to {}", range.start(), range.end());
        self.take(key, |value| {
            let number = match value {
                Value::Integer(number) => Some(*number),
                Value::Text(text) => text.parse().ok(),
                _ => None,
            };
            let number = number.ok_or_else(|| expected(&wanted, value))?;
            let within = u32::try_from(number)
                .ok()
                .filter(|number| range.contains(number));
            within.ok_or_else(|| format!("expected {wanted}, found {number}"))
        })
    }

    /// `"30m"`, `"12h"` or a number of seconds, within `range`.
    pub(crate) fn duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.take(key, |value| {
            let duration = duration(value)?;
            if range.contains(&duration) {
                return Ok(duration);
            }
            let [least, most, found] =
                [*range.start(), *range.end(), duration].map(humantime::format_duration);
            Err(format!(
                "expected a duration from {least} to {most}, found {found}"
            ))
        })
    }

    /// A date with its time and its zone; without a zone it would mean something else elsewhere.
    pub(crate) fn instant(&mut self, key: &str) -> Option<OffsetDateTime> {
        let wanted = "a date with time and zone such as 2027-01-31T00:00:00Z";
        self.take(key, |value| {
            let text = match value {
                Value::Datetime(datetime) => datetime.to_string(),
                _ => value
                    .as_str()
                    .ok_or_else(|| expected(wanted, value))?
                    .to_owned(),
            };
            OffsetDateTime::parse(&text, &Rfc3339)
                .map_err(|_| format!("expected {wanted}, found {text}"))
        })
    }

    /// One of the names, as the value beside it; a near miss is told the nearest name.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.parsed(key, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                let hint = nearest(text, names.iter().copied())
                    .map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
                format!("expected one of {}, found {text:?}{hint}", names.join(", "))
            })
        })
    }

    /// The path of a file that can be read now.
    pub(crate) fn readable_file(&mut self, key: &str) -> Option<PathBuf> {
        self.parsed(key, |text| {
            let path = PathBuf::from(text);
            match std::fs::File::open(&path).and_then(|file| file.metadata()) {
                Ok(metadata) if metadata.is_dir() => Err(format!("{text:?} is a directory")),
                Ok(_) => Ok(path),
                Err(error) => Err(format!("{text:?} cannot be read: {error}")),
            }
        })
    }

    /// An array whose strings `parse` turns into something better; each is reported by its index.
    ///
    /// A variable holds a TOML array, or one string alone. `None` only when the key is absent or
    /// not an array.
    pub(crate) fn list<T, E: Display>(
        &mut self,
        key: &str,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let node = self.remove(key)?;
        let items = match node.value {
            Value::Array(items) => items,
            Value::Text(text) if text.trim_start().starts_with('[') => {
                let items = document::parse_array(&text, &node.origin);
                if items.is_none() {
                    self.refuse(key, "expected a TOML array of strings");
                }
                items?
            }
            Value::Text(_) => vec![node],
            other => {
                self.refuse(key, expected("an array of strings", &other));
                return None;
            }
        };
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match text(&item.value).and_then(|text| parse(text).map_err(|e| e.to_string())) {
                Ok(value) => list.push(value),
                Err(message) => {
                    let path = format!("{}[{index}]", joined(&self.path, key));
                    self.report
                        .tell(Severity::Error, Some(&item.origin), &path, message);
                }
            }
        }
        Some(list)
    }

    /// A [`list`](Self::list) that is not empty.
    pub(crate) fn non_empty_list<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let mut count = 0;
        let mut parse = parse;
        let list = self.list(key, |text| {
            count += 1;
            parse(text)
        })?;
        if count == 0 && list.is_empty() {
            self.refuse(key, "is empty; expected at least one");
        }
        Some(list)
    }

    /// A secret, from `key` or from the file that `key` with `_file` behind it names.
    ///
    /// Where one of the two comes from the environment it beats the other; otherwise both at once
    /// are refused. One line ending at the end of the file is not part of the secret.
    pub(crate) fn secret(&mut self, key: &str) -> Option<SecretString> {
        let file_key = format!("{key}_file");
        let from_variable = |node: &Node| matches!(node.origin, Origin::Variable(_));
        let (inline, file) = (self.remove(key), self.remove(&file_key));
        let (inline, file) = match (inline, file) {
            (Some(inline), Some(file)) => match (from_variable(&inline), from_variable(&file)) {
                (true, false) => (Some(inline), None),
                (false, true) => (None, Some(file)),
                _ => {
                    self.refuse(
                        key,
                        format!("is given beside {file_key}; give one of the two"),
                    );
                    return None;
                }
            },
            one_or_none => one_or_none,
        };
        if let Some(node) = file {
            return self.secret_from_file(&file_key, &node);
        }
        let node = inline?;
        if matches!(node.origin, Origin::Line(_)) && self.report.is_file_readable_by_others() {
            self.warn(
                key,
                "stands in a file that others can read; chmod o-r, or use a file of its own",
            );
        }
        let secret = text(&node.value)
            .map_err(|message| self.refuse(key, message))
            .ok()?;
        Some(SecretString::from(secret))
    }

    fn secret_from_file(&self, key: &str, node: &Node) -> Option<SecretString> {
        let path = text(&node.value)
            .map_err(|message| self.refuse(key, message))
            .ok()?;
        match secret_file::read(Path::new(path)) {
            Ok(file) => {
                if file.is_readable_by_others {
                    self.warn(
                        key,
                        format!("{path:?} can be read by others; chmod o-r {path}"),
                    );
                }
                Some(file.secret)
            }
            Err(message) => {
                self.refuse(key, format!("{path:?} {message}"));
                None
            }
        }
    }

    /// The table under `key`, or an empty one, read by `build`.
    pub(crate) fn table<T>(&mut self, key: &str, build: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let node = self.remove(key);
        let origin = node.as_ref().map(|node| node.origin.clone());
        let entries = match node.map(|node| node.value) {
            Some(Value::Table(entries)) => entries,
            Some(other) => {
                self.refuse(key, expected("a table", &other));
                Table::new()
            }
            None => Table::new(),
        };
        let mut section = self.below(joined(&self.path, key), key, origin, entries);
        let value = build(&mut section);
        section.finish();
        value
    }

    /// The tables of `[[key]]`, each read by `build`; paths name them by what `label` holds.
    pub(crate) fn array_of_tables<T>(
        &mut self,
        key: &str,
        label: &str,
        mut build: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        let header = joined(&self.schema, key);
        let items = match self.remove(key).map(|node| node.value) {
            Some(Value::Array(items)) => items,
            Some(Value::Table(_)) => {
                self.refuse(
                    key,
                    format!("may be there more than once; write [[{header}]]"),
                );
                return Vec::new();
            }
            Some(other) => {
                self.refuse(key, expected(&format!("tables, [[{header}]]"), &other));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut values = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let Value::Table(entries) = item.value else {
                let path = format!("{}[{index}]", joined(&self.path, key));
                let message = expected(&format!("a table, [[{header}]]"), &item.value);
                self.report
                    .tell(Severity::Error, Some(&item.origin), &path, message);
                continue;
            };
            let name = entries.get(label).and_then(|node| node.value.as_str());
            let path = match name.filter(|name| !name.trim().is_empty()) {
                Some(name) => joined(&joined(&self.path, key), name),
                None => format!("{}[{index}]", joined(&self.path, key)),
            };
            let mut section = self.below(path, key, Some(item.origin), entries);
            values.extend(build(&mut section));
            section.finish();
        }
        values
    }

    fn below(
        &self,
        path: String,
        key: &str,
        origin: Option<Origin>,
        entries: Table,
    ) -> Section<'_> {
        let schema = joined(&self.schema, key);
        Section {
            path,
            schema,
            origin,
            entries,
            taken: BTreeMap::new(),
            report: self.report,
        }
    }

    fn remove(&mut self, key: &str) -> Option<Node> {
        let node = self.entries.remove(key);
        let origin = node.as_ref().map(|node| node.origin.clone());
        let taken = self.taken.entry(key.to_owned()).or_default();
        // A second look at a key must not forget where it was.
        *taken = origin.or(taken.take());
        node
    }

    fn finish(self) {
        let known = self.taken.keys();
        self.report.know(&self.schema, known.cloned());
        for (key, node) in &self.entries {
            self.report
                .unknown(&node.origin, &self.path, &self.schema, key);
        }
    }
}

/// The name among `names` that somebody who wrote `found` is likely to have meant.
pub(super) fn nearest<'n>(found: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = 1 + found.chars().count() / 4;
    names
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// The dotted path of a key.
pub(super) fn joined(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_owned(),
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

fn expected(wanted: &str, found: &Value) -> String {
    format!("expected {wanted}, found {}", found.description())
}

fn text(value: &Value) -> Result<&str, String> {
    match value.as_str() {
        Some(text) if text.trim().is_empty() => {
            Err("is empty; give it a value or remove it".to_owned())
        }
        Some(text) => Ok(text),
        None => Err(expected("a string", value)),
    }
}

fn duration(value: &Value) -> Result<Duration, String> {
    let wanted = "a duration such as \"30m\" or \"12h\"";
    let seconds = match value {
        Value::Integer(seconds) => Some(*seconds),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    if let Some(seconds) = seconds {
        let seconds = u64::try_from(seconds);
        return seconds
            .map(Duration::from_secs)
            .map_err(|_| format!("expected {wanted}, found a negative number"));
    }
    let text = value.as_str().ok_or_else(|| expected(wanted, value))?;
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("expected {wanted}, found {text:?} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (String, Option<OffsetDateTime>);

    fn rows(text: &str) -> Result<Vec<Row>, String> {
        let build = |top: &mut Section<'_>| {
            top.array_of_tables("mapping", "group", |mapping| {
                mapping.demand("group", "the key of a group");
                let expires = mapping.instant("expires");
                Some((mapping.string("group")?, expires))
            })
        };
        let read = read(text, Path::new("mappings.toml"), |_, _| {}, build);
        read.map(|(rows, _)| rows)
            .map_err(|findings| findings.to_string())
    }

    #[test]
    fn a_date_with_a_zone_is_an_instant() {
        let text = "[[mapping]]\ngroup = \"g\"\nexpires = 2027-01-31T01:00:00+01:00";
        let expires = time::macros::datetime!(2027-01-31 00:00 UTC);
        assert_eq!(rows(text), Ok(vec![("g".to_owned(), Some(expires))]));
    }

    #[test]
    fn a_date_without_a_zone_is_refused() {
        for date in ["2027-01-31T00:00:00", "2027-01-31", "\"tomorrow\"", "7"] {
            let told = rows(&format!("[[mapping]]\ngroup = \"g\"\nexpires = {date}"));
            let told = told.expect_err("the date was taken");
            assert!(
                told.starts_with("mappings.toml:3: mapping.g.expires: expected a date"),
                "{told}"
            );
        }
    }

    #[test]
    fn other_tables_use_the_reader_and_get_the_same_findings() {
        let text = "[[mapping]]\ngruop = \"g\"\n\n[[maping]]\n";
        let told = rows(text).expect_err("the text was taken");
        assert_eq!(
            told,
            "mappings.toml:2: mapping[0].gruop: unknown key; did you mean \"group\"?\n\
             mappings.toml:4: maping: unknown key; did you mean \"mapping\"?"
        );
    }
}
