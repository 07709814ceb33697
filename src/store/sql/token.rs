//! Broker tokens, and the authorizations they come from.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use crate::{
    audit::AuditEvent,
    store::{Authorization, BrokerToken, BrokerTokens, SignInSession, StoreError},
};

fn not_yet<T>() -> Result<T, StoreError> {
    Err(StoreError::unavailable("not yet"))
}

#[async_trait]
impl BrokerTokens for SqlStore {
    async fn begin_authorization(
        &self,
        _: &Authorization,
        _: Option<&AuditEvent>,
    ) -> Result<(), StoreError> {
        not_yet()
    }

    async fn authorization(&self, _: &str) -> Result<Option<Authorization>, StoreError> {
        not_yet()
    }

    async fn waiting_authorization(
        &self,
        _: &str,
        _: OffsetDateTime,
    ) -> Result<Option<Authorization>, StoreError> {
        not_yet()
    }

    async fn decide_authorization(
        &self,
        _: &str,
        _: Option<&str>,
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        not_yet()
    }

    async fn note_poll(&self, _: &str, _: OffsetDateTime) -> Result<(), StoreError> {
        not_yet()
    }

    async fn redeem_authorization(
        &self,
        _: &str,
        _: &SignInSession,
        _: &[BrokerToken],
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        not_yet()
    }

    async fn begin_device(
        &self,
        _: &SignInSession,
        _: &[BrokerToken],
        _: &AuditEvent,
    ) -> Result<(), StoreError> {
        not_yet()
    }

    async fn broker_token(
        &self,
        _: &str,
    ) -> Result<Option<(BrokerToken, SignInSession)>, StoreError> {
        not_yet()
    }

    async fn rotate_token(
        &self,
        _: &str,
        _: &[BrokerToken],
        _: &AuditEvent,
    ) -> Result<bool, StoreError> {
        not_yet()
    }

    async fn sweep_tokens(&self, _: OffsetDateTime) -> Result<u64, StoreError> {
        not_yet()
    }
}
