//! Whoever has signed in, and the groups that they were seen with.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use crate::store::{KnownPeople, KnownPerson, SeenGroups, StoreError};

#[async_trait]
impl KnownPeople for SqlStore {
    async fn known_people(&self) -> Result<Vec<KnownPerson>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn known_person(&self, _: &str, _: &str) -> Result<Option<KnownPerson>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn find_known_people(&self, _: &str, _: u32) -> Result<Vec<KnownPerson>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn groups_seen_at(
        &self,
        _: &str,
        _: &str,
        _: OffsetDateTime,
    ) -> Result<Option<SeenGroups>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }
}
