//! Rows of the tables as flat objects, with the names that the mapping file has for their values.
//!
//! What `--output json` and exports write, and what an edit compares. Durations are seconds.
//! Entry point: [`Row`].

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::access::{self, Account, Conditions, Mapping, MappingRule, Role, SessionDuration};

/// One row as a flat object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Row(Map<String, Value>);

impl From<&Account> for Row {
    fn from(account: &Account) -> Self {
        Self::of(account)
    }
}

impl From<&Role> for Row {
    fn from(role: &Role) -> Self {
        Self::of(role).lifted("own")
    }
}

impl From<&Mapping> for Row {
    fn from(mapping: &Mapping) -> Self {
        Self::of(mapping).lifted("conditions").named("mapping")
    }
}

impl From<&MappingRule> for Row {
    fn from(rule: &MappingRule) -> Self {
        Self::of(rule).lifted("conditions").named("mapping_rule")
    }
}

impl From<&access::Row> for Row {
    fn from(row: &access::Row) -> Self {
        match row {
            access::Row::Account(account) => account.into(),
            access::Row::Role(role) => role.as_ref().into(),
            access::Row::Mapping(mapping) => mapping.into(),
            access::Row::Rule(rule) => rule.into(),
        }
    }
}

impl Row {
    fn of(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(Value::Object(entries)) => Self(entries),
            // The rows are structs with text keys, which always become objects.
            _ => Self(Map::new()),
        }
    }

    /// Moves what stands in the object `key` to the top.
    fn lifted(mut self, key: &str) -> Self {
        if let Some(Value::Object(entries)) = self.0.remove(key) {
            self.0.extend(entries);
        }
        self
    }

    /// Says which kind of row this is, where a list holds two.
    fn named(mut self, kind: &str) -> Self {
        self.0.insert("kind".to_owned(), kind.into());
        self
    }

    /// What another row says in place of this one, as `key: old → new`.
    ///
    /// Where a row comes from is no part of what it says.
    pub(super) fn changes_to(&self, after: &Self) -> Vec<String> {
        let keys = after
            .0
            .keys()
            .filter(|key| !matches!(key.as_str(), "id" | "origin"));
        keys.filter_map(|key| {
            let (old, new) = (self.0.get(key).unwrap_or(&Value::Null), &after.0[key]);
            (old != new).then(|| format!("{key}: {} → {}", shown(old), shown(new)))
        })
        .collect()
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// What a mapping asks for, as people read it: `read-only, until 2027-01-31T00:00:00Z`.
pub(super) fn conditions(conditions: &Conditions, now: OffsetDateTime) -> String {
    let mut shown = Vec::new();
    if let Some(expires) = conditions.expires {
        let word = if conditions.is_expired(now) {
            "expired"
        } else {
            "until"
        };
        shown.push(format!("{word} {}", instant(expires)));
    }
    shown.extend(
        conditions
            .max_duration
            .map(|longest| format!("at most {longest}")),
    );
    let claims = [
        (conditions.read_only, "read-only"),
        (conditions.require_reason, "reason"),
        (
            conditions.require_mfa,
            "second factor (cannot be enforced: gives nothing)",
        ),
    ];
    shown.extend(
        claims
            .into_iter()
            .filter(|(is_so, _)| *is_so)
            .map(|(_, word)| word.to_owned()),
    );
    if let Some(group) = &conditions.require_approval_by {
        shown.push(format!(
            "approval by {group} (cannot be enforced: gives nothing)"
        ));
    }
    shown.join(", ")
}

/// A moment as RFC 3339 writes it, in UTC and whole seconds.
pub(super) fn instant(at: OffsetDateTime) -> String {
    let whole = crate::access::in_utc(at).truncate_to_second();
    whole
        .format(&time::format_description::well_known::Rfc3339)
        // Years beyond 9999 alone have no RFC 3339 form.
        .unwrap_or_else(|_| whole.to_string())
}

/// A duration, or nothing.
pub(super) fn duration(duration: Option<SessionDuration>) -> String {
    duration
        .map(|duration| duration.to_string())
        .unwrap_or_default()
}
