//! The snapshot that decisions are made on, renewed whenever the table was edited.

use std::sync::Arc;

use tokio::sync::RwLock;

use crate::{
    access::{Policy, PolicySettings, PolicyTables},
    store::{PolicyStore, StoreError},
};

/// Holds the last [`Policy`] and compares its version with the store's before every use, so that
/// an edit, whoever made it, is in force on the next click.
pub(super) struct PolicyCache {
    settings: PolicySettings,
    held: RwLock<Held>,
}

/// The rows of the mapping file, and the last snapshot that was made with them.
struct Held {
    file_tables: Arc<PolicyTables>,
    latest: Option<Snapshot>,
}

/// The rows, and the decision that is made of them.
#[derive(Clone)]
pub(super) struct Snapshot {
    /// The decision that is made of `tables`.
    pub(super) policy: Arc<Policy>,
    /// The rows of the store and those of the mapping file.
    pub(super) tables: Arc<PolicyTables>,
    /// The rows of the store alone.
    pub(super) stored: Arc<PolicyTables>,
    /// The rows of the mapping file alone.
    pub(super) file: Arc<PolicyTables>,
}

impl PolicyCache {
    pub(super) fn new(settings: PolicySettings, file_tables: PolicyTables) -> Self {
        Self {
            settings,
            held: RwLock::new(Held {
                file_tables: Arc::new(file_tables),
                latest: None,
            }),
        }
    }

    pub(super) async fn current(&self, store: &dyn PolicyStore) -> Result<Arc<Policy>, StoreError> {
        let version = store.policy_version().await?;
        self.at(version, store).await
    }

    /// The rows that [`current`](Self::current) is made of.
    pub(super) async fn tables(
        &self,
        store: &dyn PolicyStore,
    ) -> Result<Arc<PolicyTables>, StoreError> {
        let version = store.policy_version().await?;
        let snapshot = self.snapshot(version, store).await?;
        Ok(snapshot.tables)
    }

    /// Everything of this moment.
    pub(super) async fn now(&self, store: &dyn PolicyStore) -> Result<Snapshot, StoreError> {
        let version = store.policy_version().await?;
        self.snapshot(version, store).await
    }

    /// The same for whoever has read the version just now.
    pub(super) async fn at(
        &self,
        version: i64,
        store: &dyn PolicyStore,
    ) -> Result<Arc<Policy>, StoreError> {
        self.snapshot(version, store)
            .await
            .map(|snapshot| snapshot.policy)
    }

    /// The rows of the mapping file that are in force.
    pub(super) async fn file_tables(&self) -> Arc<PolicyTables> {
        Arc::clone(&self.held.read().await.file_tables)
    }

    /// The policy as it would be with these rows of the mapping file.
    pub(super) async fn with_file(
        &self,
        file_tables: &PolicyTables,
        store: &dyn PolicyStore,
    ) -> Result<Policy, StoreError> {
        let mut tables = store.tables().await?;
        extend(&mut tables, file_tables);
        Ok(Policy::new(tables, self.settings.clone()))
    }

    /// Puts these rows of the mapping file in force once `noted` has raised the store's version;
    /// where it fails, the old ones stay.
    ///
    /// Nobody is given a snapshot meanwhile, and whoever decided on an older one finds the version
    /// raised before a grant: the old rows give nothing from then on.
    pub(super) async fn replace_file(
        &self,
        file_tables: PolicyTables,
        noted: impl Future<Output = Result<i64, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut held = self.held.write().await;
        noted.await?;
        held.file_tables = Arc::new(file_tables);
        held.latest = None;
        Ok(())
    }

    async fn snapshot(
        &self,
        version: i64,
        store: &dyn PolicyStore,
    ) -> Result<Snapshot, StoreError> {
        if let Some(snapshot) = self.held.read().await.at(version) {
            return Ok(snapshot);
        }
        let mut held = self.held.write().await;
        // Another request may have renewed it while this one waited.
        if let Some(snapshot) = held.at(version) {
            return Ok(snapshot);
        }
        let stored = Arc::new(store.tables().await?);
        let file = Arc::clone(&held.file_tables);
        let tables = joined(&stored, &file);
        let policy = Policy::new(PolicyTables::clone(&tables), self.settings.clone());
        let policy = Arc::new(policy);
        for problem in policy.problems() {
            tracing::warn!(
                row = problem.about,
                "policy row gives nothing: {}",
                problem.message
            );
        }
        metrics::gauge!("rolegate_policy_problems").set(count(policy.problems().len()));
        metrics::gauge!("rolegate_policy_roles").set(count(policy.counts().1));
        let snapshot = Snapshot {
            policy,
            tables,
            stored,
            file,
        };
        held.latest = Some(snapshot.clone());
        Ok(snapshot)
    }
}

impl Held {
    fn at(&self, version: i64) -> Option<Snapshot> {
        let latest = self.latest.as_ref();
        latest
            .filter(|snapshot| snapshot.policy.version() == version)
            .cloned()
    }
}

/// The rows of the store and of the mapping file; where the file has none, those of the store.
fn joined(stored: &Arc<PolicyTables>, file: &PolicyTables) -> Arc<PolicyTables> {
    let is_empty = file.accounts.is_empty()
        && file.roles.is_empty()
        && file.mappings.is_empty()
        && file.rules.is_empty();
    if is_empty {
        return Arc::clone(stored);
    }
    let mut tables = PolicyTables::clone(stored);
    extend(&mut tables, file);
    Arc::new(tables)
}

/// Adds the rows of the mapping file to those of the store.
fn extend(tables: &mut PolicyTables, file: &PolicyTables) {
    tables.accounts.extend(file.accounts.iter().cloned());
    tables.roles.extend(file.roles.iter().cloned());
    tables.mappings.extend(file.mappings.iter().cloned());
    tables.rules.extend(file.rules.iter().cloned());
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
