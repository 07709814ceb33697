//! Reading the audit log: rows for pages and exports, and whether the chain holds.
//!
//! Never here: whether the reader may; that is asked before. Taking rows away as a file and looking
//! at somebody's picker are themselves audited. Entry points: [`Broker::audit_rows`],
//! [`Broker::verify_chain`], [`Broker::note_export`].

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

use super::{Broker, Client, sign_in::person};
use crate::{
    access::Identity,
    audit::{Action, Actor, AuditEvent, Outcome},
    store::{AuditFilter, AuditRow, ChainHead, ChainReport, StoreError},
};

/// How many refusals a person's page shows.
const REFUSALS: u32 = 20;

/// What the last walk over the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainVerdict {
    /// The walk came to an end.
    Walked(ChainReport),
    /// The store did not answer, so nothing is known.
    Unavailable,
}

/// Walks over the chain: the one that goes on, and the last one that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainCheck {
    /// Since when one goes on.
    pub running_since: Option<OffsetDateTime>,
    /// How many rows that one has walked over, and of how many.
    pub progress: (i64, i64),
    /// When the last one ended, and what it found; none since the program started.
    pub last: Option<(OffsetDateTime, ChainVerdict)>,
}

/// The state of the walks, shared between the task that walks and the pages.
#[derive(Debug, Default)]
pub(super) struct ChainChecks(Mutex<ChainCheck>);

impl ChainChecks {
    fn lock(&self) -> MutexGuard<'_, ChainCheck> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of the one walker; false where somebody walks already.
    fn begin(&self, now: OffsetDateTime) -> bool {
        let mut check = self.lock();
        let is_free = check.running_since.is_none();
        if is_free {
            check.running_since = Some(now);
            check.progress = (0, 0);
        }
        is_free
    }
}

/// Frees the walker's place, however the walk ends.
struct Walking(Arc<Broker>);

impl Drop for Walking {
    fn drop(&mut self) {
        self.0.chain_checks.lock().running_since = None;
    }
}

impl Broker {
    /// Rows of the audit log.
    pub async fn audit_rows(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        self.adapters.audit.audit_rows(filter).await
    }

    /// What a person was refused lately, with the reason that they themselves may not have been
    /// told; newest first.
    pub async fn refusals_of(&self, identity: &Identity) -> Result<Vec<AuditRow>, StoreError> {
        let mut found = Vec::new();
        for outcome in [Outcome::Refused, Outcome::Failed] {
            let filter = AuditFilter {
                person: Some(identity.subject.clone()),
                actions: vec![
                    Action::SignIn,
                    Action::ConsoleOpen,
                    Action::CredentialsIssue,
                    Action::GroupsRefresh,
                ],
                outcome: Some(outcome),
                limit: REFUSALS,
                ..AuditFilter::default()
            };
            found.extend(self.audit_rows(&filter).await?);
        }
        let connector = identity.connector.as_str();
        found.retain(|row| is_of_connector(&row.event.actor, connector));
        found.sort_by_key(|row| std::cmp::Reverse(row.seq));
        found.truncate(REFUSALS as usize);
        Ok(found)
    }

    /// The last row of the chain.
    pub async fn chain_head(&self) -> Result<ChainHead, StoreError> {
        self.adapters.audit.chain_head().await
    }

    /// The walk over the chain that goes on, and the last one that ended.
    pub fn chain_check(&self) -> ChainCheck {
        self.chain_checks.lock().clone()
    }

    /// Walks the whole chain in a task of its own, unless one is walking already, and waits for it
    /// for at most `patience`.
    pub async fn verify_chain(self: &Arc<Self>, patience: Duration) -> ChainCheck {
        if self.chain_checks.begin(self.now()) {
            let walking = Walking(Arc::clone(self));
            let walk = tokio::spawn(async move {
                let broker = &walking.0;
                let note = |done, of| broker.chain_checks.lock().progress = (done, of);
                let verdict = match broker.adapters.audit.walk_chain(&note).await {
                    Ok(report) => ChainVerdict::Walked(report),
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the audit chain could not be walked"
                        );
                        ChainVerdict::Unavailable
                    }
                };
                let ended = broker.now();
                broker.chain_checks.lock().last = Some((ended, verdict));
            });
            // A walk that takes longer goes on without whoever asked for it.
            let _ = tokio::time::timeout(patience, walk).await;
        }
        self.chain_check()
    }

    /// Notes that somebody takes rows away as a file; without the note there is no file.
    pub async fn note_export(
        &self,
        reader: &Identity,
        what: &str,
        narrowed_to: &str,
        client: &Client,
    ) -> Result<(), StoreError> {
        let event = self
            .event(Action::Export, Outcome::Ok, person(reader), client)
            .with("what", what)
            .with("narrowed_to", narrowed_to);
        self.adapters.audit.append(&event).await.map(|_| ())
    }

    /// Notes that somebody looks at another person's picker; without the note it is not shown.
    pub async fn note_view_as(
        &self,
        reader: &Identity,
        whose: &Identity,
        client: &Client,
    ) -> Result<(), StoreError> {
        let event = self
            .event(Action::ViewAs, Outcome::Ok, person(reader), client)
            .with("person", about(whose));
        self.adapters.audit.append(&event).await.map(|_| ())
    }

    /// Notes that somebody tried to edit at `path` and was turned away before it was looked at,
    /// for the reason `code`.
    pub async fn note_turned_away(
        &self,
        identity: &Identity,
        path: &str,
        code: &str,
        client: &Client,
    ) -> Result<(), StoreError> {
        let event = self.event(action_at(path), Outcome::Refused, person(identity), client);
        let event = AuditEvent {
            reason: Some(code.to_owned()),
            ..event
        };
        let event = match path.strip_prefix("/helpdesk/pending/") {
            Some(rest) => event.with("pending", rest.split('/').next().unwrap_or_default()),
            None => event,
        };
        self.adapters.audit.append(&event).await.map(|_| ())
    }
}

/// What an edit that is posted to this path would have been.
fn action_at(path: &str) -> Action {
    let path = path.trim_start_matches("/helpdesk/");
    let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
    let last = rest.rsplit('/').next().unwrap_or_default();
    match (kind, last) {
        ("pending", "approve") => Action::EditApprove,
        ("pending", _) => Action::EditDecline,
        ("reviews", "") => Action::ReviewStart,
        ("reviews", "close") => Action::ReviewClose,
        ("reviews", _) => Action::ReviewDecide,
        ("roles", _) => Action::RoleChange,
        ("accounts", _) => Action::AccountChange,
        _ => Action::MappingChange,
    }
}

/// A person whom a row is about without being its actor.
pub(super) fn about(identity: &Identity) -> serde_json::Value {
    serde_json::json!({
        "connector": identity.connector,
        "subject": identity.subject,
        "username": identity.username,
    })
}

fn is_of_connector(actor: &Actor, id: &str) -> bool {
    matches!(actor, Actor::Person { connector, .. } if connector == id)
}
