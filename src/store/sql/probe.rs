//! What is known of roles by probing them.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use crate::{
    access::TargetArn,
    store::{RoleProbe, RoleProbes, StoreError},
};

#[async_trait]
impl RoleProbes for SqlStore {
    async fn note_probe(&self, _probe: &RoleProbe) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn probe(&self, _role: &TargetArn) -> Result<Option<RoleProbe>, StoreError> {
        Ok(None)
    }

    async fn probes(&self) -> Result<Vec<RoleProbe>, StoreError> {
        Ok(Vec::new())
    }

    async fn claim_probing(
        &self,
        _holder: &str,
        _now: OffsetDateTime,
        _until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }
}
