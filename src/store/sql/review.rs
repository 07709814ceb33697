//! Access reviews.

use async_trait::async_trait;

use super::SqlStore;
use crate::{
    access::MappingId,
    audit::{Actor, AuditEvent},
    store::{AccessReview, AccessReviews, ReviewDecision, ReviewItem, StoreError},
};

#[async_trait]
impl AccessReviews for SqlStore {
    async fn start_review(
        &self,
        _: &AccessReview,
        _: &[ReviewItem],
        _: &AuditEvent,
    ) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn reviews(&self) -> Result<Vec<AccessReview>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn review(&self, _: &str) -> Result<Option<(AccessReview, Vec<ReviewItem>)>, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn decide_review(
        &self,
        _: &str,
        _: &[MappingId],
        _: &ReviewDecision,
        _: &AuditEvent,
    ) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }

    async fn close_review(&self, _: &str, _: &Actor, _: &AuditEvent) -> Result<(), StoreError> {
        Err(StoreError::unavailable("not yet"))
    }
}
