//! Reads the mapping file, and notices when it has changed.
//!
//! Never here: what its rows mean. Entry points: [`load`], [`Watch`].

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;

use crate::{
    access::{ConnectorId, GroupKeyForm, PolicyTables},
    broker::Broker,
    config::{Findings, mapping_file::MappingFile},
    store::StoreError,
};

/// The largest file, in bytes: a hundred times what a large organisation has.
const LARGEST: u64 = 64 * 1024 * 1024;
/// A file that was written within this time before it was read may be written once more in the
/// same tick of the file system's clock: it is read again.
const YOUNG: time::Duration = time::Duration::seconds(3);
/// A file that changes is given this time to be written to its end, as often as needed.
const SETTLE: Duration = Duration::from_millis(250);
/// How often.
const SETTLINGS: usize = 20;

type Forms = HashMap<ConnectorId, GroupKeyForm>;

/// A good mapping file.
#[derive(Debug, Default)]
pub(super) struct LoadedFile {
    /// SHA-256 of its content, in hexadecimal.
    pub(super) hash: String,
    /// Its rows.
    pub(super) tables: PolicyTables,
}

/// A mapping file that gives no rows.
#[derive(Debug)]
pub(super) struct UnusableFile {
    /// The hash of its content, where it could be read.
    pub(super) hash: Option<String>,
    /// What is wrong with the content, or why it cannot be read.
    pub(super) findings: Result<Findings, String>,
}

/// Reads the file.
pub(super) fn load(path: &Path, forms: &Forms) -> Result<LoadedFile, UnusableFile> {
    let content = content(path).map_err(|message| UnusableFile {
        hash: None,
        findings: Err(message),
    })?;
    let hash = hex::encode(digest::digest(&digest::SHA256, &content));
    let Ok(text) = String::from_utf8(content) else {
        return Err(UnusableFile {
            hash: Some(hash),
            findings: Err("is not UTF-8".to_owned()),
        });
    };
    match MappingFile::parse(&text, path, forms) {
        Ok(rows) => Ok(LoadedFile {
            hash,
            tables: rows.into_tables(0),
        }),
        Err(findings) => Err(UnusableFile {
            hash: Some(hash),
            findings: Ok(findings),
        }),
    }
}

/// Reads at most so much that it fits, whatever the file becomes meanwhile.
fn content(path: &Path) -> Result<Vec<u8>, String> {
    // Opening a pipe would wait for a writer.
    let is_file = fs::metadata(path)
        .map_err(|error| error.to_string())?
        .is_file();
    if !is_file {
        return Err("is not a file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut content)
        .map_err(|error| error.to_string())?;
    if content.len() as u64 > LARGEST {
        return Err(format!("has more than {LARGEST} bytes"));
    }
    Ok(content)
}

/// What tells, without reading, that a file is another one than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// Keeps the broker's rows those of the file.
pub(super) struct Watch {
    path: PathBuf,
    forms: Arc<Forms>,
    broker: Arc<Broker>,
    /// Of the content that was dealt with; none where the file has to be read to know.
    stamp: Option<Stamp>,
}

impl Watch {
    pub(super) fn new(path: PathBuf, forms: Forms, broker: Arc<Broker>) -> Self {
        Self {
            path,
            forms: Arc::new(forms),
            broker,
            stamp: None,
        }
    }

    /// Loads the file where it looks different from before.
    pub(super) async fn look(&mut self) {
        let stamp = Stamp::of(&self.path).ok();
        if stamp.is_some() && stamp == self.stamp {
            return;
        }
        let stamp = self.settled(stamp).await;
        self.read(stamp).await;
    }

    /// Loads the file, however it looks.
    pub(super) async fn look_again(&mut self) {
        let stamp = Stamp::of(&self.path).ok();
        self.read(stamp).await;
    }

    /// Waits until nobody writes the file, so that half of it is not taken for all; a file that is
    /// being replaced is missing for a moment.
    async fn settled(&self, mut stamp: Option<Stamp>) -> Option<Stamp> {
        for _ in 0..SETTLINGS {
            tokio::time::sleep(SETTLE).await;
            let later = Stamp::of(&self.path).ok();
            if later == stamp {
                break;
            }
            stamp = later;
        }
        stamp
    }

    async fn read(&mut self, stamp: Option<Stamp>) {
        let (path, forms) = (self.path.clone(), Arc::clone(&self.forms));
        let Ok(read) = tokio::task::spawn_blocking(move || load(&path, &forms)).await else {
            return;
        };
        match self.tell(read).await {
            Ok(()) => self.stamp = stamp.filter(|stamp| !self.is_young(*stamp)),
            Err(error) => {
                self.stamp = None;
                tracing::error!(
                    path = %self.path.display(),
                    error = super::chain(&error),
                    "the mapping file was not loaded, because the store cannot record it"
                );
            }
        }
    }

    async fn tell(&self, read: Result<LoadedFile, UnusableFile>) -> Result<(), StoreError> {
        let path = self.path.display().to_string();
        match read {
            Ok(file) => {
                let state = self.broker.mapping_file();
                let is_in_force = state.hash.as_ref() == Some(&file.hash);
                if is_in_force && state.trouble.is_none() {
                    return Ok(());
                }
                let LoadedFile { hash, tables } = file;
                self.broker.replace_file_tables(&path, &hash, tables).await
            }
            Err(UnusableFile { hash, findings }) => {
                let findings = match findings {
                    Ok(findings) => findings.to_string().lines().map(str::to_owned).collect(),
                    Err(message) => vec![format!("{path}: {message}")],
                };
                self.broker
                    .refuse_file(&path, hash.as_deref(), findings)
                    .await
            }
        }
    }

    fn is_young(&self, stamp: Stamp) -> bool {
        let written = time::OffsetDateTime::from_unix_timestamp(stamp.modified.0);
        written.is_ok_and(|written| self.broker.now() - written < YOUNG)
    }
}
