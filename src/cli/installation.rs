//! The configuration and the store that a command works on. Entry point: [`Installation::load`].

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Failure,
    failure::with_causes,
    import::{self, Source},
};
use crate::{
    access::{ConnectorId, GroupKeyForm, PolicyTables},
    app,
    audit::Actor,
    config::{Config, Finding},
    store::{PolicyStore, sql::SqlStore},
};

/// A configuration that can be used.
pub(super) struct Installation {
    pub(super) file: PathBuf,
    pub(super) config: Config,
    pub(super) warnings: Vec<Finding>,
}

impl Installation {
    /// Reads the configuration and the environment variables over it.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let loaded = Config::load(file, std::env::vars_os()).map_err(Failure::Configuration)?;
        Ok(Self {
            file: loaded.file,
            config: loaded.config,
            warnings: loaded.warnings,
        })
    }

    pub(super) async fn open_store(&self) -> Result<Arc<SqlStore>, Failure> {
        app::open_store(&self.config).await.map_err(|error| {
            let file = self.file.display();
            Failure::Refused(format!(
                "{}; [store] url in {file} says where it is",
                with_causes(&error)
            ))
        })
    }

    /// The credential source of roles that name none.
    pub(super) fn first_credential_source(&self) -> String {
        let first = self.config.aws.credential_sources.first();
        first.map_or_else(|| "default".to_owned(), |source| source.id.clone())
    }

    pub(super) fn group_forms(&self) -> HashMap<ConnectorId, GroupKeyForm> {
        app::group_forms(&self.config)
    }

    /// The rows of the store and those of the mapping file, which is read, not written.
    pub(super) async fn all_tables(
        &self,
        store: &dyn PolicyStore,
    ) -> Result<PolicyTables, Failure> {
        let mut tables = store.tables().await?;
        if let Some(file) = &self.config.mappings_file {
            let source = Source::File(file.clone());
            let more = import::read(&source, &self.group_forms())
                .map_err(|error| error.closed_by("the mapping file has to be mended first"))?;
            tables.accounts.extend(more.accounts);
            tables.roles.extend(more.roles);
            tables.mappings.extend(more.mappings);
            tables.rules.extend(more.rules);
        }
        Ok(tables)
    }
}

/// Who the audit log names for an edit by command line.
pub(super) fn host_actor() -> Result<Actor, Failure> {
    let uid = fs::metadata("/proc/self").or_else(|_| metadata_of_own_file());
    match uid {
        Ok(metadata) => Ok(Actor::Host {
            uid: metadata.uid(),
        }),
        Err(error) => Err(Failure::Refused(format!(
            "the user id for the audit log cannot be told ({error}); is the temporary folder \
             writable?"
        ))),
    }
}

/// Where there is no /proc, a new file tells who makes it.
fn metadata_of_own_file() -> io::Result<fs::Metadata> {
    let path = std::env::temp_dir().join(format!("rolegate-{}", uuid::Uuid::new_v4()));
    let metadata = fs::File::create_new(&path)?.metadata();
    fs::remove_file(&path)?;
    metadata
}
