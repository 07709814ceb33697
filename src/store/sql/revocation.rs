//! Revocations, and how far they came.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use crate::{
    access::TargetArn,
    audit::AuditEvent,
    store::{Revocation, Revocations, RevokedRole, StoreError},
};

#[async_trait]
impl Revocations for SqlStore {
    async fn revoke(
        &self,
        _revocation: &Revocation,
        _roles: &[TargetArn],
        _event: &AuditEvent,
    ) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn revocations_of(
        &self,
        _role: &TargetArn,
        _now: OffsetDateTime,
    ) -> Result<Vec<Revocation>, StoreError> {
        Ok(Vec::new())
    }

    async fn revocations(
        &self,
        _limit: usize,
    ) -> Result<Vec<(Revocation, Vec<RevokedRole>)>, StoreError> {
        Ok(Vec::new())
    }

    async fn note_revoked(
        &self,
        _role: &TargetArn,
        _revocations: &[String],
        _result: Result<OffsetDateTime, String>,
    ) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn roles_to_settle(&self, _now: OffsetDateTime) -> Result<Vec<TargetArn>, StoreError> {
        Ok(Vec::new())
    }

    async fn roles_with_sessions(
        &self,
        _connector: &str,
        _subject: &str,
        _since: OffsetDateTime,
    ) -> Result<Vec<TargetArn>, StoreError> {
        Ok(Vec::new())
    }
}
