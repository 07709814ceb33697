//! Collects findings while a document is read, and puts them in the order of the file.
//!
//! Entry point: [`Report`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::document::Origin;
use super::finding::{Finding, Severity};
use super::reader::{joined, nearest};
use super::secret_file;

/// The findings of one document so far.
pub(crate) struct Report {
    file: PathBuf,
    findings: RefCell<Vec<Finding>>,
    has_syntax_errors: Cell<bool>,
    broken_lines: RefCell<BTreeSet<usize>>,
    unknown: RefCell<Vec<Unknown>>,
    /// The paths of keys that were told to be missing.
    missing: RefCell<BTreeSet<String>>,
    /// The keys that were asked for, by section; an id is no part of a section's name.
    known: RefCell<BTreeMap<String, BTreeSet<String>>>,
}

struct Unknown {
    origin: Origin,
    path: String,
    schema: String,
    key: String,
}

impl Report {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            findings: RefCell::default(),
            has_syntax_errors: Cell::new(false),
            broken_lines: RefCell::default(),
            unknown: RefCell::default(),
            missing: RefCell::default(),
            known: RefCell::default(),
        }
    }

    /// Adds a finding about the value at `key`, a full path.
    pub(super) fn tell(
        &self,
        severity: Severity,
        origin: Option<&Origin>,
        key: &str,
        message: String,
    ) {
        let (line, variable) = match origin {
            Some(Origin::Line(line)) => (Some(*line), None),
            Some(Origin::Variable(name)) => (None, Some(name.clone())),
            None => (None, None),
        };
        let key = key.to_owned();
        let file = self.file.clone();
        let finding = Finding {
            severity,
            file,
            line,
            variable,
            key,
            message,
        };
        self.findings.borrow_mut().push(finding);
    }

    pub(super) fn syntax_error(&self, line: Option<usize>, message: &str) {
        self.has_syntax_errors.set(true);
        self.broken_lines.borrow_mut().extend(line);
        let origin = line.map(Origin::Line);
        self.tell(
            Severity::Error,
            origin.as_ref(),
            "",
            format!("not TOML: {message}"),
        );
    }

    /// Whether keys may be missing because their lines could not be read.
    pub(super) fn has_syntax_errors(&self) -> bool {
        self.has_syntax_errors.get()
    }

    /// Whether other users of this machine can read the document.
    pub(super) fn is_file_readable_by_others(&self) -> bool {
        std::fs::metadata(&self.file)
            .is_ok_and(|metadata| secret_file::is_readable_by_others(&metadata))
    }

    pub(super) fn know(&self, schema: &str, keys: impl Iterator<Item = String>) {
        self.known
            .borrow_mut()
            .entry(schema.to_owned())
            .or_default()
            .extend(keys);
    }

    pub(super) fn unknown(&self, origin: &Origin, path: &str, schema: &str, key: &str) {
        self.unknown.borrow_mut().push(Unknown {
            origin: origin.clone(),
            path: path.to_owned(),
            schema: schema.to_owned(),
            key: key.to_owned(),
        });
    }

    pub(super) fn missing(&self, path: String) {
        self.missing.borrow_mut().insert(path);
    }

    /// The findings: those without a place, then by line, then by variable.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        for unknown in self.unknown.take() {
            let message = self.unknown_message(&unknown);
            let path = joined(&unknown.path, &unknown.key);
            self.forgive_missing(&unknown);
            self.tell(Severity::Error, Some(&unknown.origin), &path, message);
        }
        let mut findings = self.findings.into_inner();
        let broken = self.broken_lines.into_inner();
        // What could be read of such a line is a guess.
        findings.retain(|finding| {
            finding.key.is_empty() || finding.line.is_none_or(|line| !broken.contains(&line))
        });
        findings.sort_by(|one, other| {
            let place = |finding: &Finding| (finding.variable.clone(), finding.line);
            place(one).cmp(&place(other))
        });
        findings
    }

    /// A key that is there with a slip in its name is not missing as well.
    fn forgive_missing(&self, unknown: &Unknown) {
        let known = self.known.borrow();
        let names = known
            .get(&unknown.schema)
            .into_iter()
            .flatten()
            .map(String::as_str);
        let Some(meant) = nearest(&unknown.key, names) else {
            return;
        };
        let path = joined(&unknown.path, meant);
        if self.missing.borrow().contains(&path) {
            self.findings
                .borrow_mut()
                .retain(|finding| finding.key != path);
        }
    }

    fn unknown_message(&self, unknown: &Unknown) -> String {
        let known = self.known.borrow();
        let here = known.get(&unknown.schema);
        if here.is_some_and(|keys| keys.contains(&unknown.key)) {
            return "does not go with this type; remove it".to_owned();
        }
        let names = || here.into_iter().flatten().map(String::as_str);
        if let Some(name) = nearest(&unknown.key, names()) {
            return format!("unknown key; did you mean {name:?}?");
        }
        let elsewhere = known.iter().find(|(_, keys)| keys.contains(&unknown.key));
        if let Some((section, _)) = elsewhere.filter(|(section, _)| !section.is_empty()) {
            return format!("unknown key here; it belongs to the section {section:?}");
        }
        // Without a likely meaning the keys themselves are the help.
        let names: Vec<_> = names().collect();
        format!("unknown key; known here are {}", names.join(", "))
    }
}
