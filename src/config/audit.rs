//! `[audit]`: where the audit log goes beside the store, and how it is signed.

use std::{path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

use super::{reader::Section, secret_file};

/// The usual socket of the local log daemon.
const LOCAL_SYSLOG: &str = "/dev/log";

/// `[audit]`.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Where every row goes as a line of JSON.
    pub stream: Option<AuditStream>,
    /// The private key (PEM) that signs checkpoints; none without one.
    pub checkpoint_key: Option<SecretString>,
    /// The file that signed checkpoints are appended to; their rows have them too.
    pub checkpoint_file: Option<PathBuf>,
    /// How often a checkpoint is signed.
    pub checkpoint_every: Duration,
    /// After how many rows one is signed earlier.
    pub checkpoint_rows: u32,
}

/// Where the rows are streamed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditStream {
    /// Standard output, where nothing else of ours goes.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
    /// RFC 5424 to the datagram socket of the local log daemon.
    Syslog(PathBuf),
}

impl FromStr for AuditStream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "stdout" => Ok(Self::Stdout),
            None if text == "syslog" => Ok(Self::Syslog(LOCAL_SYSLOG.into())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            Some(("syslog", path)) if path.starts_with('/') => Ok(Self::Syslog(path.into())),
            _ => Err(format!(
                "expected \"stdout\", \"file:/path\", \"syslog\" or \"syslog:/path\", found {text:?}"
            )),
        }
    }
}

impl Audit {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let has_key = section.has("checkpoint_key_file");
        if section.has("checkpoint_file") && !has_key {
            let message = "needs checkpoint_key_file; `rolegate audit key FILE` makes one";
            section.refuse("checkpoint_file", message);
        }
        let minute = Duration::from_mins(1);
        let day = Duration::from_hours(24);
        Self {
            stream: section.parsed("stream", str::parse),
            checkpoint_key: checkpoint_key(section),
            checkpoint_file: section.parsed("checkpoint_file", |text| {
                let path = PathBuf::from(text);
                let folder = path.parent().filter(|folder| folder.is_dir());
                match folder {
                    Some(_) if !path.is_dir() => Ok(path),
                    Some(_) => Err(format!("{text:?} is a directory")),
                    None => Err(format!("{text:?} is in a folder that is not there")),
                }
            }),
            checkpoint_every: section
                .duration("checkpoint_every", minute..=day)
                .unwrap_or(Duration::from_hours(1)),
            checkpoint_rows: section
                .integer("checkpoint_rows", 100..=10_000_000)
                .unwrap_or(10_000),
        }
    }
}

fn checkpoint_key(section: &mut Section<'_>) -> Option<SecretString> {
    let key = "checkpoint_key_file";
    let file = section.parsed(key, |path| {
        secret_file::read(path.as_ref()).map_err(|message| format!("{path:?} {message}"))
    })?;
    if file.is_readable_by_others {
        section.warn(key, "can be read by others; chmod o-r");
    }
    Some(file.secret)
}
