//! Why a person may or may not open a role: gathers what is known, and asks the table.
//!
//! Every question is audited. Entry points: [`Broker::explain`], [`Broker::explain_at`],
//! [`Broker::misses`].

use thiserror::Error;
use time::OffsetDateTime;

use super::{Broker, Client, PersonRecord};
use crate::{
    access::{Identity, TargetArn, explain::Explanation},
    audit::Actor,
    store::StoreError,
};

/// Who asks, for the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// From where, where it came by a request.
    pub client: Option<&'a Client>,
}

/// Why there is no explanation.
#[derive(Debug, Error)]
pub enum ExplainRefused {
    /// No role or account has that name; says what is near it.
    #[error("{0}")]
    UnknownRole(String),
    /// The store does not answer, so that the question cannot be audited.
    #[error("the store is unavailable")]
    StoreUnavailable(#[from] StoreError),
}

impl Broker {
    /// The roles that a text means: a role's ARN, `account/role` with the account by id, name or
    /// alias; an account alone means all of its roles.
    pub async fn roles_meant(&self, text: &str) -> Result<Vec<TargetArn>, ExplainRefused> {
        Err(ExplainRefused::UnknownRole(format!(
            "no role is called `{text}`"
        )))
    }

    /// Why `person` may or may not open `target` now.
    pub async fn explain(
        &self,
        person: &PersonRecord,
        target: &TargetArn,
        asker: &Asker<'_>,
    ) -> Result<Explanation, ExplainRefused> {
        let _ = (person, target, asker);
        Err(ExplainRefused::StoreUnavailable(StoreError::unavailable(
            "not yet",
        )))
    }

    /// The same for a moment in the past: the tables as they were then, the groups as they were
    /// last seen before it; says what is unknown.
    pub async fn explain_at(
        &self,
        person: &PersonRecord,
        target: &TargetArn,
        at: OffsetDateTime,
        asker: &Asker<'_>,
    ) -> Result<Explanation, ExplainRefused> {
        let _ = (person, target, at, asker);
        Err(ExplainRefused::StoreUnavailable(StoreError::unavailable(
            "not yet",
        )))
    }

    /// The roles that a signed-in person comes nearest to, for the picker's empty state; asks no
    /// directory.
    pub async fn misses(&self, identity: &Identity) -> Result<Vec<Explanation>, StoreError> {
        let _ = identity;
        Ok(Vec::new())
    }

    /// Why a signed-in person was just now refused a role, for the page that says so; asks no
    /// directory and is not audited again.
    pub async fn explain_refusal(
        &self,
        identity: &Identity,
        target: &TargetArn,
    ) -> Result<Explanation, StoreError> {
        let _ = (identity, target);
        Err(StoreError::unavailable("not yet"))
    }
}
