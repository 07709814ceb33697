//! What was changed, read back from the audit log.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    access::{MappingId, Row, RowName},
    audit::{Action, AuditEvent, Outcome},
    broker::Broker,
    store::{AuditFilter, AuditRow, StoreError},
};

use super::{HistoryEntry, HistoryFilter};

/// The actions that change a row.
const CHANGES: [Action; 4] = [
    Action::AccountChange,
    Action::RoleChange,
    Action::MappingChange,
    Action::RuleChange,
];

impl Broker {
    /// The changes of the tables, newest first.
    pub async fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEntry>, StoreError> {
        let rows = AuditFilter {
            actions: match &filter.row {
                Some(row) => vec![super::refusal::action_on(row)],
                None => CHANGES.to_vec(),
            },
            outcome: Some(Outcome::Ok),
            person: filter.person.clone(),
            row: filter.row.as_ref().map(id_of),
            edit: filter.edit.clone(),
            before: filter.before,
            limit: filter.limit,
            ..AuditFilter::default()
        };
        let rows = self.adapters.audit.audit_rows(&rows).await?;
        Ok(rows.into_iter().map(entry).collect())
    }

    /// The change that one audit row tells of.
    pub(super) async fn change_at(&self, seq: i64) -> Result<Option<HistoryEntry>, StoreError> {
        let Some(before) = seq.checked_add(1) else {
            return Ok(None);
        };
        let filter = HistoryFilter {
            before: Some(before),
            limit: 1,
            ..HistoryFilter::default()
        };
        let found = self.history(&filter).await?.into_iter().next();
        Ok(found.filter(|entry| entry.seq == seq))
    }
}

/// What the log finds a row by.
fn id_of(row: &RowName) -> String {
    match row {
        RowName::Account(id) => id.to_string(),
        RowName::Role(arn) => arn.to_string(),
        RowName::Mapping(id) | RowName::Rule(id) => id.0.clone(),
    }
}

fn entry(row: AuditRow) -> HistoryEntry {
    let AuditRow { seq, event, .. } = row;
    let side = |key| row_of(event.action, event.details.get(key)?);
    let text = |key| event.details.get(key)?.as_str().map(str::to_owned);
    let (before, after) = (side("before"), side("after"));
    HistoryEntry {
        seq,
        at: event.at,
        action: event.action,
        approved_by: parsed(event.details.get("approved_by")),
        reason: text("reason"),
        row: name_of(&event, before.as_ref().or(after.as_ref())),
        before,
        after,
        edit: text("edit"),
        undoes: text("undoes"),
        by: event.actor,
    }
}

fn row_of(action: Action, value: &Value) -> Option<Row> {
    let value = Some(value);
    match action {
        Action::AccountChange => parsed(value).map(Row::Account),
        Action::RoleChange => parsed(value).map(|role| Row::Role(Box::new(role))),
        Action::MappingChange => parsed(value).map(Row::Mapping),
        Action::RuleChange => parsed(value).map(Row::Rule),
        _ => None,
    }
}

fn name_of(event: &AuditEvent, row: Option<&Row>) -> Option<RowName> {
    let told = parsed(event.details.get("row"));
    told.or_else(|| row.map(Row::name)).or_else(|| {
        let id = || event.details.get("id")?.as_str().map(str::to_owned);
        match event.action {
            Action::AccountChange => event.account.as_ref()?.parse().ok().map(RowName::Account),
            Action::RoleChange => event.role.as_ref()?.parse().ok().map(RowName::Role),
            Action::MappingChange => Some(RowName::Mapping(MappingId(id()?))),
            Action::RuleChange => Some(RowName::Rule(MappingId(id()?))),
            _ => None,
        }
    })
}

fn parsed<T: DeserializeOwned>(value: Option<&Value>) -> Option<T> {
    T::deserialize(value?).ok()
}
