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
    file_tables: PolicyTables,
    latest: RwLock<Option<Snapshot>>,
}

/// The rows, and the decision that is made of them.
#[derive(Clone)]
struct Snapshot {
    policy: Arc<Policy>,
    tables: Arc<PolicyTables>,
}

impl PolicyCache {
    pub(super) fn new(settings: PolicySettings, file_tables: PolicyTables) -> Self {
        Self {
            settings,
            file_tables,
            latest: RwLock::new(None),
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
        self.snapshot(version, store)
            .await
            .map(|snapshot| snapshot.tables)
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

    async fn snapshot(
        &self,
        version: i64,
        store: &dyn PolicyStore,
    ) -> Result<Snapshot, StoreError> {
        if let Some(snapshot) = self.latest.read().await.as_ref()
            && snapshot.policy.version() == version
        {
            return Ok(snapshot.clone());
        }
        let mut latest = self.latest.write().await;
        // Another request may have renewed it while this one waited.
        if let Some(snapshot) = latest.as_ref()
            && snapshot.policy.version() == version
        {
            return Ok(snapshot.clone());
        }
        let mut tables = store.tables().await?;
        tables
            .accounts
            .extend(self.file_tables.accounts.iter().cloned());
        tables.roles.extend(self.file_tables.roles.iter().cloned());
        tables
            .mappings
            .extend(self.file_tables.mappings.iter().cloned());
        tables.rules.extend(self.file_tables.rules.iter().cloned());
        let policy = Arc::new(Policy::new(tables.clone(), self.settings.clone()));
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
            tables: Arc::new(tables),
        };
        *latest = Some(snapshot.clone());
        Ok(snapshot)
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
