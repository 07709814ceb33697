//! How a command ends when it does not end well. Entry point: [`Failure`].

#[cfg(feature = "server")]
use std::error::Error;
use std::{fmt, io};

#[cfg(feature = "server")]
use crate::{config::Findings, store::StoreError};

/// Why a command did not do what was asked; its text is what the person is told.
#[derive(Debug)]
pub enum Failure {
    /// Refused, or something did not work: exit code 1.
    Refused(String),
    /// Several things stand in the way, one line each, and what follows: exit code 1.
    #[cfg(feature = "server")]
    Problems(Vec<String>, &'static str),
    /// The arguments do not fit together: exit code 2.
    Usage(String),
    /// The configuration cannot be used: exit code 2.
    #[cfg(feature = "server")]
    Configuration(Findings),
    /// Everything was told already; only the exit code is left.
    Told(u8),
    /// Whoever read the output stopped reading, which is theirs to decide: exit code 0.
    OutputClosed,
}

impl Failure {
    /// 0 done, 1 refused or a check failed, 2 wrong usage or configuration.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            #[cfg(feature = "server")]
            Self::Problems(..) => 1,
            Self::Usage(_) => 2,
            #[cfg(feature = "server")]
            Self::Configuration(_) => 2,
            Self::Told(code) => *code,
            Self::OutputClosed => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) | Self::Usage(message) => write!(f, "error: {message}"),
            #[cfg(feature = "server")]
            Self::Problems(problems, closing) => {
                for problem in problems {
                    writeln!(f, "error: {problem}")?;
                }
                f.write_str(closing)
            }
            #[cfg(feature = "server")]
            Self::Configuration(findings) => {
                let lines: Vec<String> = (findings.0.iter())
                    .map(|finding| format!("{}: {finding}", finding.severity))
                    .collect();
                f.write_str(&lines.join("\n"))?;
                if lines.len() > 1 {
                    f.write_str("\nthe configuration cannot be used until this is mended")?;
                }
                Ok(())
            }
            Self::Told(_) | Self::OutputClosed => Ok(()),
        }
    }
}

impl From<io::Error> for Failure {
    /// For errors of standard output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Refused(format!("the output cannot be written: {error}"))
        }
    }
}

#[cfg(feature = "server")]
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(match error {
            StoreError::PolicyChanged => {
                "the tables were edited meanwhile; run the command again".to_owned()
            }
            error => with_causes(&error),
        })
    }
}

/// An error and what it came from, in one line.
#[cfg(feature = "server")]
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some libraries repeat their source.
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}
