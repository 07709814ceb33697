//! Edits that are not made, and the audit rows that say so.

use crate::{
    access::{Change, RowName},
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::{Broker, Client},
    store::StoreError,
};

use super::EditRefused;

/// Why an edit is not made, and what the audit log is told about it.
pub(in crate::broker) struct Refusal {
    /// What the person is told.
    pub(in crate::broker) why: EditRefused,
    /// The stable code for the audit log; none where nobody tried anything.
    pub(in crate::broker) code: Option<&'static str>,
    /// Which row it is about.
    pub(in crate::broker) row: Option<RowName>,
}

impl Refusal {
    /// The person may not do this.
    pub(in crate::broker) fn not_allowed(code: &'static str, message: impl Into<String>) -> Self {
        Self::coded(EditRefused::NotAllowed(message.into()), code)
    }

    /// The person may not decide on this edit.
    pub(in crate::broker) fn not_second(code: &'static str, message: impl Into<String>) -> Self {
        Self::coded(EditRefused::NotSecondPerson(message.into()), code)
    }

    /// What was wanted cannot be, whoever wants it.
    pub(in crate::broker) fn problem(message: impl Into<String>) -> Self {
        EditRefused::Problems(vec![message.into()]).into()
    }

    pub(in crate::broker) fn coded(why: EditRefused, code: &'static str) -> Self {
        Self {
            why,
            code: Some(code),
            row: None,
        }
    }

    /// The same about a row.
    pub(in crate::broker) fn about(mut self, row: RowName) -> Self {
        self.row = Some(row);
        self
    }
}

impl From<EditRefused> for Refusal {
    fn from(why: EditRefused) -> Self {
        Self {
            why,
            code: None,
            row: None,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            // The tables' own rules: what the look did not find.
            StoreError::Conflict(problem) => Self::problem(problem),
            StoreError::NotFound(what) => EditRefused::NotFound(what).into(),
            error => EditRefused::StoreUnavailable(error).into(),
        }
    }
}

/// What was tried, for the audit row of a refusal.
pub(in crate::broker) struct Attempt<'a> {
    /// What it would have been.
    pub(in crate::broker) action: Action,
    /// Who tried.
    pub(in crate::broker) actor: Actor,
    /// From where.
    pub(in crate::broker) client: &'a Client,
    /// The pending edit or the review that it was about.
    pub(in crate::broker) about: Option<(&'static str, &'a str)>,
}

impl Broker {
    /// Audits a refusal, and makes of it what the person is told.
    pub(in crate::broker) async fn refuse_edit(
        &self,
        refusal: Refusal,
        attempt: Attempt<'_>,
    ) -> EditRefused {
        let Some(code) = refusal.code else {
            return refusal.why;
        };
        count(code_outcome(&refusal.why));
        let action = match (&attempt.action, &refusal.row) {
            (
                Action::AccountChange
                | Action::RoleChange
                | Action::MappingChange
                | Action::RuleChange,
                Some(row),
            ) => action_on(row),
            (action, _) => *action,
        };
        let event = self.event(action, Outcome::Refused, attempt.actor, attempt.client);
        let mut event = AuditEvent {
            reason: Some(code.to_owned()),
            ..event
        };
        if let Some(row) = &refusal.row {
            match row {
                RowName::Account(id) => event.account = Some(id.to_string()),
                RowName::Role(arn) => {
                    event.role = Some(arn.to_string());
                    event.account = Some(arn.account().to_string());
                }
                RowName::Mapping(_) | RowName::Rule(_) => {}
            }
            event = event.with("row", serde_json::json!(row));
        }
        if let Some((key, id)) = attempt.about {
            event = event.with(key, id);
        }
        match self.adapters.audit.append(&event).await {
            Ok(_) => refusal.why,
            Err(error) => EditRefused::StoreUnavailable(error),
        }
    }
}

/// What a change of a row is called in the log.
pub(super) fn action_on(row: &RowName) -> Action {
    match row {
        RowName::Account(_) => Action::AccountChange,
        RowName::Role(_) => Action::RoleChange,
        RowName::Mapping(_) => Action::MappingChange,
        RowName::Rule(_) => Action::RuleChange,
    }
}

/// What an edit is called in the log when none of it is made: by its first change.
pub(super) fn action_of(changes: &[Change]) -> Action {
    let row = changes.first().and_then(Change::row);
    row.as_ref().map_or(Action::MappingChange, action_on)
}

fn code_outcome(why: &EditRefused) -> &'static str {
    match why {
        EditRefused::Conflicts(_) => "conflict",
        EditRefused::PreviewChanged(_) => "preview_changed",
        _ => "refused",
    }
}

/// Counts what became of edits.
pub(super) fn count(outcome: &'static str) {
    metrics::counter!("rolegate_edits_total", "outcome" => outcome).increment(1);
}
