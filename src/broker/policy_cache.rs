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
    latest: RwLock<Option<Arc<Policy>>>,
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

    /// The same for whoever has read the version just now.
    pub(super) async fn at(
        &self,
        version: i64,
        store: &dyn PolicyStore,
    ) -> Result<Arc<Policy>, StoreError> {
        if let Some(policy) = self.latest.read().await.as_ref()
            && policy.version() == version
        {
            return Ok(Arc::clone(policy));
        }
        let mut latest = self.latest.write().await;
        // Another request may have renewed it while this one waited.
        if let Some(policy) = latest.as_ref()
            && policy.version() == version
        {
            return Ok(Arc::clone(policy));
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
        let policy = Arc::new(Policy::new(tables, self.settings.clone()));
        for problem in policy.problems() {
            tracing::warn!(
                row = problem.about,
                "policy row gives nothing: {}",
                problem.message
            );
        }
        metrics::gauge!("rolegate_policy_problems").set(count(policy.problems().len()));
        metrics::gauge!("rolegate_policy_roles").set(count(policy.counts().1));
        *latest = Some(Arc::clone(&policy));
        Ok(policy)
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
