//! Edits that wait for a second person.

use async_trait::async_trait;

use super::SqlStore;
use crate::{
    audit::AuditEvent,
    store::{PendingEdit, PendingEdits, PendingState, StoreError},
};

#[async_trait]
impl PendingEdits for SqlStore {
    async fn propose(&self, _: &PendingEdit, _: &AuditEvent) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn pending_edit(&self, _: &str) -> Result<Option<PendingEdit>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn pending_edits(
        &self,
        _: Option<PendingState>,
        _: u32,
    ) -> Result<Vec<PendingEdit>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn settle(
        &self,
        _: &str,
        _: PendingState,
        _: Option<&str>,
        _: &AuditEvent,
    ) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }
}
