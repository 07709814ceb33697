//! What is wrong with a configuration, for a person to read. Never a secret's value.
//!
//! Entry point: [`Findings`].

use std::fmt;
use std::path::{Path, PathBuf};

/// Whether a configuration with this finding can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem: where it is, what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the program.
    pub severity: Severity,
    /// The file it is about, as it was named.
    pub file: PathBuf,
    /// The line in that file, counted from 1, where one can be told.
    pub line: Option<usize>,
    /// The environment variable it is about, instead of the file.
    pub variable: Option<String>,
    /// The dotted path of the value, such as `connector.corp.urls[1]`; empty for the whole file.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Finding {
    /// An error about the whole file.
    pub(super) fn about_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: None,
            variable: None,
            key: String::new(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.variable, self.line) {
            (Some(variable), _) => write!(formatter, "{variable}: ")?,
            (None, Some(line)) => write!(formatter, "{}:{line}: ", self.file.display())?,
            (None, None) => write!(formatter, "{}: ", self.file.display())?,
        }
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Every problem of a configuration, in the order of the file; at least one is an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            if finding.severity == Severity::Warning {
                formatter.write_str("warning: ")?;
            }
            write!(formatter, "{finding}")?;
        }
        Ok(())
    }
}
