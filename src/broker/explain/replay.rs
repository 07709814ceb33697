//! The tables and a person's groups as they were at a moment in the past.
//!
//! The tables are wound back: every change since then is undone, the newest first. What the log
//! does not tell any more becomes a sentence. Entry points: [`Broker::tables_at`],
//! [`Broker::groups_at`].

use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    access::{Identity, Origin, PolicyTables, Row, RowName, explain::Basis},
    audit::{Action, AuditEvent},
    broker::{Broker, PersonRecord},
    store::{AuditFilter, StoreError},
};

/// How many rows are read at a time.
const PAGE: u32 = 1_000;
/// Every action that changes the tables.
const CHANGES: [Action; 4] = [
    Action::AccountChange,
    Action::RoleChange,
    Action::MappingChange,
    Action::RuleChange,
];

/// What a change was about that can be undone in part or not at all.
#[derive(Debug, Default)]
struct Gaps {
    /// Changes whose before and after are not in the log any more.
    erased: usize,
    /// Changes that only noted which group a mapping means.
    bound: usize,
}

impl Broker {
    /// The tables as they were, and sentences about what is not known of them.
    pub(super) async fn tables_at(
        &self,
        at: OffsetDateTime,
    ) -> Result<(PolicyTables, Vec<String>), StoreError> {
        let mut tables = PolicyTables::clone(self.tables().await?.as_ref());
        let mut gaps = Gaps::default();
        let mut filter = AuditFilter {
            actions: CHANGES.to_vec(),
            since: Some(at),
            limit: PAGE,
            ..AuditFilter::default()
        };
        loop {
            let rows = self.adapters.audit.audit_rows(&filter).await?;
            for row in rows.iter().filter(|row| row.event.at > at) {
                undo(&mut tables, &row.event, &mut gaps);
            }
            match rows.last() {
                Some(last) if rows.len() >= PAGE as usize => filter.before = Some(last.seq),
                _ => break,
            }
        }
        let unknown = unknown(&tables, &gaps, at > self.now());
        Ok((tables, unknown))
    }

    /// The person with the groups that they were last seen with at a moment. Groups that were
    /// given stay as they are.
    pub(super) async fn groups_at(
        &self,
        person: &PersonRecord,
        at: OffsetDateTime,
        unknown: &mut Vec<String>,
    ) -> Result<(Identity, Basis), StoreError> {
        if person.basis == Basis::Given {
            return Ok((person.identity.clone(), Basis::Given));
        }
        let (connector, subject) = (
            person.identity.connector.as_str(),
            person.identity.subject.as_str(),
        );
        let people = &self.adapters.known_people;
        let seen = people.groups_seen_at(connector, subject, at).await?;
        let mut identity = person.identity.clone();
        if !identity.asserted_roles.is_empty() {
            identity.asserted_roles.clear();
            unknown.push("the roles that the identity provider named at the time.".to_owned());
        }
        let read_at = if let Some(seen) = seen {
            if at - seen.until >= time::Duration::MINUTE {
                unknown.push(format!(
                    "what became of the groups between the last sight of them and then; they were \
                     last seen {} before.",
                    spoken(at - seen.until)
                ));
            }
            identity.groups = seen.groups;
            seen.until.min(at)
        } else {
            unknown.push(
                "their groups: they were not seen here at or before that moment, so this is told \
                 of somebody without groups."
                    .to_owned(),
            );
            identity.groups.clear();
            at
        };
        identity.groups_read_at = read_at;
        Ok((identity, Basis::LastSeen { at: read_at }))
    }
}

/// Makes the tables as they were before a change.
fn undo(tables: &mut PolicyTables, event: &AuditEvent, gaps: &mut Gaps) {
    let (before, after) = (event.details.get("before"), event.details.get("after"));
    if let Some((group, id)) = after.and_then(bound) {
        gaps.bound += 1;
        let meant: Vec<_> = tables
            .mappings
            .iter()
            .filter(|mapping| mapping.group.as_str() == group)
            .map(|mapping| mapping.id.clone())
            .collect();
        tables
            .group_ids
            .retain(|mapping, bound| !(meant.contains(mapping) && bound == id));
        return;
    }
    let before = before.map(|value| row(event.action, value));
    let after = after.map(|value| row(event.action, value));
    match (before, after) {
        (Some(Some(before)), _) => put(tables, before),
        (None, Some(Some(after))) => remove(tables, &after.name()),
        _ => gaps.erased += 1,
    }
}

/// The group and the stable id that a change noted.
fn bound(value: &Value) -> Option<(&str, &str)> {
    let object = value.as_object().filter(|object| object.len() == 2)?;
    Some((
        object.get("group")?.as_str()?,
        object.get("group_id")?.as_str()?,
    ))
}

/// A row of the log, in either form that it has.
fn row(action: Action, value: &Value) -> Option<Row> {
    fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
        serde_json::from_value(value.clone()).ok()
    }
    let plain = match action {
        Action::AccountChange => read(value).map(Row::Account),
        Action::RoleChange => read(value).map(Row::Role),
        Action::MappingChange => read(value).map(Row::Mapping),
        Action::RuleChange => read(value).map(Row::Rule),
        _ => None,
    };
    plain.or_else(|| read(value))
}

/// Puts a row in the place of the one of its name.
fn put(tables: &mut PolicyTables, row: Row) {
    fn place<T>(rows: &mut Vec<T>, row: T, is_same: impl Fn(&T) -> bool) {
        match rows.iter().position(is_same) {
            Some(at) => rows[at] = row,
            None => rows.push(row),
        }
    }
    match row {
        Row::Account(row) => {
            let id = row.id.clone();
            place(&mut tables.accounts, row, |other| other.id == id);
        }
        Row::Role(row) => {
            let arn = row.arn.clone();
            place(&mut tables.roles, *row, |other| other.arn == arn);
        }
        Row::Mapping(row) => {
            let id = row.id.clone();
            place(&mut tables.mappings, row, |other| other.id == id);
        }
        Row::Rule(row) => {
            let id = row.id.clone();
            place(&mut tables.rules, row, |other| other.id == id);
        }
    }
}

fn remove(tables: &mut PolicyTables, name: &RowName) {
    match name {
        RowName::Account(id) => tables.accounts.retain(|row| row.id != *id),
        RowName::Role(arn) => tables.roles.retain(|row| row.arn != *arn),
        RowName::Mapping(id) => tables.mappings.retain(|row| row.id != *id),
        RowName::Rule(id) => tables.rules.retain(|row| row.id != *id),
    }
}

fn unknown(tables: &PolicyTables, gaps: &Gaps, is_future: bool) -> Vec<String> {
    let is_file = |origin: &Origin| matches!(origin, Origin::File { .. });
    let has_file = (tables.mappings.iter().map(|row| &row.origin))
        .chain(tables.rules.iter().map(|row| &row.origin))
        .any(is_file);
    let said = [
        (is_future, "what will change until then.".to_owned()),
        (
            has_file,
            "the rows of the mapping file at the time: they are taken as they are now.".to_owned(),
        ),
        (
            gaps.bound > 0,
            "which group of its name a mapping meant, for those that were first used since."
                .to_owned(),
        ),
        (
            gaps.erased > 0,
            format!(
                "{} changes since then, which the audit log does not tell any more; their rows are \
                 taken as they are now.",
                gaps.erased
            ),
        ),
        (
            !is_future,
            "the settings of the configuration at the time: they are taken as they are now."
                .to_owned(),
        ),
    ];
    let said = said.into_iter().filter(|(is_so, _)| *is_so);
    said.map(|(_, sentence)| sentence).collect()
}

fn spoken(span: time::Duration) -> String {
    match (span.whole_days(), span.whole_hours()) {
        (days, _) if days > 1 => format!("{days} days"),
        (_, hours) if hours > 1 => format!("{hours} hours"),
        _ => format!("{} minutes", span.whole_minutes()),
    }
}
