//! Why a person may or may not open a role: gathers what is known, and asks the table.
//!
//! Every question is audited. Entry points: [`Broker::explain`], [`Broker::explain_at`],
//! [`Broker::explain_person`], [`Broker::misses`].

mod around;
mod meant;
mod replay;

use serde_json::json;
use thiserror::Error;
use time::OffsetDateTime;

use super::{Broker, Client, PersonRecord, audit_trail::about};
use crate::{
    access::{
        Identity, Policy, TargetArn,
        explain::{Basis, Explanation},
    },
    audit::{Action, Actor, AuditEvent, Outcome},
    store::StoreError,
};

use around::{Question, Reach};

/// How many near misses are told.
const MISSES: usize = 5;

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

/// What a person may open and why, and what they come nearest to.
#[derive(Debug, Clone)]
pub struct PersonExplained {
    /// The roles that they may open, each with its reasons, by account and name.
    pub held: Vec<Explanation>,
    /// The nearest misses, the easiest to mend first.
    pub misses: Vec<Explanation>,
}

impl Broker {
    /// The roles that a text means: a role's ARN, `account/role` with the account by id, name or
    /// alias; an account alone means all of its roles. An ARN need not be in the table.
    pub async fn roles_meant(&self, text: &str) -> Result<Vec<TargetArn>, ExplainRefused> {
        let tables = self.tables().await?;
        meant::roles(text, &tables).map_err(ExplainRefused::UnknownRole)
    }

    /// Why `person` may or may not open `target` now. Groups that were given are not looked up in
    /// any directory.
    pub async fn explain(
        &self,
        person: &PersonRecord,
        target: &TargetArn,
        asker: &Asker<'_>,
    ) -> Result<Explanation, ExplainRefused> {
        let question = Question {
            identity: &person.identity,
            basis: person.basis,
            target: Some(target),
            until: None,
        };
        let reach = match person.basis {
            Basis::Given => Reach::Store,
            Basis::Live | Basis::LastSeen { .. } => Reach::Directories,
        };
        let policy = self.policy().await?;
        let gathered = self.around(&question, reach).await?;
        let mut explanation =
            policy.explain(&person.identity, target, &gathered.around, self.now());
        explanation.unknown.extend(person.missing.iter().cloned());
        explanation.unknown.extend(gathered.unknown);
        self.note_question(&person.identity, &explanation, None, asker)
            .await?;
        Ok(explanation)
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
        let (tables, mut unknown) = self.tables_at(at).await?;
        let policy = Policy::new(tables, self.settings.policy.clone());
        let (identity, basis) = self.groups_at(person, at, &mut unknown).await?;
        let question = Question {
            identity: &identity,
            basis,
            target: Some(target),
            until: Some(at),
        };
        let gathered = self.around(&question, Reach::Store).await?;
        let mut explanation = policy.explain(&identity, target, &gathered.around, at);
        explanation.unknown.extend(unknown);
        explanation.unknown.extend(gathered.unknown);
        self.note_question(&identity, &explanation, Some(at), asker)
            .await?;
        Ok(explanation)
    }

    /// Everything that a person may open now, with the reasons, and the nearest misses; asks no
    /// directory beyond what `person` was read from, and is one row of the audit log.
    pub async fn explain_person(
        &self,
        person: &PersonRecord,
        asker: &Asker<'_>,
    ) -> Result<PersonExplained, ExplainRefused> {
        let identity = &person.identity;
        let question = Question {
            identity,
            basis: person.basis,
            target: None,
            until: None,
        };
        let policy = self.policy().await?;
        let gathered = self.around(&question, Reach::Store).await?;
        let (around, now) = (&gathered.around, self.now());
        let held = policy.entitlements(identity, now).into_iter();
        let explained = PersonExplained {
            held: held
                .map(|held| policy.explain(identity, &held.role.arn, around, now))
                .collect(),
            misses: policy.nearest_misses(identity, around, now, MISSES),
        };
        let event = self
            .question(identity, asker)
            .with("roles_held", explained.held.len())
            .with("misses", explained.misses.len());
        self.adapters.audit.append(&event).await?;
        Ok(explained)
    }

    /// The roles that a signed-in person comes nearest to, for the picker's empty state; asks no
    /// directory, and says nothing of the table that is not about the person's own groups.
    pub async fn misses(&self, identity: &Identity) -> Result<Vec<Explanation>, StoreError> {
        let policy = self.policy().await?;
        let gathered = self
            .around(&own_question(identity, None), Reach::Store)
            .await?;
        let near = policy.nearest_misses(identity, &gathered.around, self.now(), MISSES * 2);
        let mut told = Vec::new();
        for miss in near {
            if policy.role(&miss.role).is_some_and(|role| !role.disabled) {
                told.push(miss.for_its_person());
            }
        }
        told.truncate(MISSES);
        Ok(told)
    }

    /// Why a signed-in person was just now refused a role, for the page that says so; asks no
    /// directory and is not audited again. Roles of others and roles that are not there read alike.
    pub async fn explain_refusal(
        &self,
        identity: &Identity,
        target: &TargetArn,
    ) -> Result<Explanation, StoreError> {
        let policy = self.policy().await?;
        let question = own_question(identity, Some(target));
        let gathered = self.around(&question, Reach::Store).await?;
        let explanation = policy.explain(identity, target, &gathered.around, self.now());
        Ok(explanation.for_its_person())
    }

    async fn note_question(
        &self,
        identity: &Identity,
        explanation: &Explanation,
        at: Option<OffsetDateTime>,
        asker: &Asker<'_>,
    ) -> Result<(), StoreError> {
        let situations = explanation.findings.iter();
        let situations: Vec<_> = situations.map(|finding| json!(finding.situation)).collect();
        let mut event = self
            .question(identity, asker)
            .with("held", explanation.is_held)
            .with("situations", situations);
        if at.is_some() {
            // The moment as the explanation itself writes it.
            event = event.with("about_moment", json!(explanation)["at"].clone());
        }
        event.role = Some(explanation.role.to_string());
        event.account = Some(explanation.role.account().to_string());
        self.adapters.audit.append(&event).await.map(|_| ())
    }

    fn question(&self, identity: &Identity, asker: &Asker<'_>) -> AuditEvent {
        let actor = asker.actor.clone();
        let event = match asker.client {
            Some(client) => self.event(Action::Explain, Outcome::Ok, actor, client),
            None => AuditEvent::new(self.now(), Action::Explain, Outcome::Ok, actor),
        };
        event.with("person", about(identity))
    }
}

/// A question of a signed-in person about themselves.
fn own_question<'a>(identity: &'a Identity, target: Option<&'a TargetArn>) -> Question<'a> {
    Question {
        identity,
        basis: Basis::LastSeen {
            at: identity.groups_read_at,
        },
        target,
        until: None,
    }
}
