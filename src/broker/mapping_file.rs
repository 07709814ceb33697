//! The mapping file while the server runs: loaded again when it changes, all of it or nothing.

use time::OffsetDateTime;

use super::Broker;
use crate::{access::PolicyTables, store::StoreError};

/// What is known of the mapping file.
#[derive(Debug, Clone, Default)]
pub struct MappingFileState {
    /// Its path; none where no file is configured.
    pub path: Option<String>,
    /// SHA-256 of the content in force, in hexadecimal.
    pub hash: Option<String>,
    /// When that was loaded.
    pub loaded_at: Option<OffsetDateTime>,
    /// What is wrong with the content that is there now, where it is not in force.
    pub trouble: Option<MappingFileTrouble>,
}

/// A mapping file that could not be loaded; the last good one stays in force.
#[derive(Debug, Clone)]
pub struct MappingFileTrouble {
    /// When it was noticed.
    pub since: OffsetDateTime,
    /// Every finding, a line each.
    pub findings: Vec<String>,
}

impl Broker {
    /// What is known of the mapping file.
    pub fn mapping_file(&self) -> MappingFileState {
        MappingFileState::default()
    }

    /// Puts rows that were read from the mapping file in force, with an audit row that says who
    /// gains and loses how much.
    pub async fn replace_file_tables(
        &self,
        path: &str,
        hash: &str,
        tables: PolicyTables,
    ) -> Result<(), StoreError> {
        let _ = (path, hash, tables);
        Err(StoreError::unavailable("not yet"))
    }

    /// Notes that the mapping file cannot be loaded: on the pages, in the log, in a metric, and in
    /// the audit log once for each content.
    pub async fn refuse_file(
        &self,
        path: &str,
        hash: Option<&str>,
        findings: Vec<String>,
    ) -> Result<(), StoreError> {
        let _ = (path, hash, findings);
        Err(StoreError::unavailable("not yet"))
    }
}
