//! Writes the table, as TOML that reads back to the same rows, or as JSON lines.
//!
//! Both have the same keys. What is at its default is left out. A mapping's id is not written: its
//! group and role say which it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;

use crate::access::{
    Account, Conditions, ConsoleWay, GrantMethod, Mapping, MappingRule, NameTemplate, PolicyTables,
    Role, RoleDefaults, SessionDuration, Voucher,
};

/// The one key whose value is a TOML date.
const DATE: &str = "expires";

/// The table as a mapping file.
pub fn to_toml(tables: &PolicyTables) -> String {
    let rows: Vec<String> = rows(tables).map(Row::into_toml).collect();
    rows.join("\n")
}

/// The table as JSON, one row a line; `kind` says of which table.
pub fn to_json_lines(tables: &PolicyTables) -> String {
    rows(tables)
        .flat_map(|row| [row.into_json(), "\n".to_owned()])
        .collect()
}

struct Row {
    kind: &'static str,
    entries: Vec<(&'static str, Value)>,
}

impl Row {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            entries: Vec::new(),
        }
    }

    /// Adds a key, unless its value is the one that is meant without it.
    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_default = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if !is_default {
            self.entries.push((key, value));
        }
        self
    }

    fn into_toml(self) -> String {
        let header = [format!("[[{}]]\n", self.kind)];
        let entries = self.entries.into_iter().map(|(key, value)| match value {
            Value::String(date) if key == DATE => format!("{key} = {date}\n"),
            other => format!("{key} = {}\n", inline(&other)),
        });
        header.into_iter().chain(entries).collect()
    }

    fn into_json(mut self) -> String {
        self.entries.push(("kind", Value::from(self.kind)));
        Value::Object(self.into_object()).to_string()
    }

    fn into_object(self) -> Map<String, Value> {
        let entries = self.entries.into_iter();
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn with_settings(self, settings: &RoleDefaults) -> Self {
        let source_identity = settings.source_identity.as_ref();
        self.with(
            "grant_method",
            settings.grant_method.map(GrantMethod::as_str),
        )
        .with("credential_source", settings.credential_source.clone())
        .with("external_id", settings.external_id.clone())
        .with("max_duration", settings.max_duration.map(duration))
        .with("region", settings.region.clone())
        .with("source_identity", source_identity.map(NameTemplate::as_str))
        .with("saml_provider_arn", settings.saml_provider_arn.clone())
        .with("console", settings.console.map(ConsoleWay::as_str))
        .with("vouched_by", settings.vouched_by.map(Voucher::as_str))
        .with("mfa_serial", settings.mfa_serial.clone())
        .with_audit_tag(settings.audit_tag)
        .with("public_values", texts(&settings.public_values))
    }

    /// Where it is said to be false it may be true without that.
    fn with_audit_tag(mut self, audit_tag: Option<bool>) -> Self {
        let said = audit_tag.map(|is_sent| ("audit_tag", Value::Bool(is_sent)));
        self.entries.extend(said);
        self
    }

    fn with_conditions(self, conditions: &Conditions) -> Self {
        let expires = conditions.expires.and_then(|at| {
            // Only years that TOML cannot write have no text, and no text reads as such a year.
            crate::access::in_utc(at).format(&Rfc3339).ok()
        });
        self.with(DATE, expires)
            .with("max_duration", conditions.max_duration.map(duration))
            .with("read_only", conditions.read_only)
            .with("require_mfa", conditions.require_mfa)
            .with("require_reason", conditions.require_reason)
            .with(
                "require_approval_by",
                conditions.require_approval_by.clone(),
            )
    }
}

fn rows(tables: &PolicyTables) -> impl Iterator<Item = Row> {
    (tables.accounts.iter().map(account))
        .chain(tables.roles.iter().map(role))
        .chain(tables.mappings.iter().map(mapping))
        .chain(tables.rules.iter().map(rule))
}

fn account(account: &Account) -> Row {
    let defaults = Row::new("role_defaults").with_settings(&account.role_defaults);
    Row::new("account")
        .with("id", account.id.as_str())
        .with("name", account.name.clone())
        .with("alias", account.alias.clone())
        .with("environment", account.environment.clone())
        .with("colour", account.colour.clone())
        .with("description", account.description.clone())
        .with("owner", account.owner.clone())
        .with("protected", account.protected)
        .with("role_defaults", defaults.into_object())
}

fn role(role: &Role) -> Row {
    Row::new("role")
        .with("arn", role.arn.as_str())
        .with("description", role.description.clone())
        .with("owner", role.owner.clone())
        .with_settings(&role.own)
        .with("session_policy", role.session_policy.clone())
        .with("policy_arns", role.policy_arns.clone())
        .with("session_tags", texts(&role.session_tags))
        .with("protected", role.protected)
        .with("disabled", role.disabled)
}

fn mapping(mapping: &Mapping) -> Row {
    Row::new("mapping")
        .with("group", mapping.group.as_str())
        .with("role", mapping.role.as_str())
        .with("ticket", mapping.ticket.clone())
        .with_conditions(&mapping.conditions)
}

fn rule(rule: &MappingRule) -> Row {
    Row::new("mapping_rule")
        .with("connector", rule.connector.as_str())
        .with("group_pattern", rule.group_pattern.clone())
        .with("role", rule.role.clone())
        .with("allow_protected", rule.allow_protected)
        .with("ticket", rule.ticket.clone())
        .with_conditions(&rule.conditions)
}

/// The shortest text that reads back as the same duration.
fn duration(duration: SessionDuration) -> String {
    let seconds = duration.seconds();
    if seconds.is_multiple_of(3_600) {
        format!("{}h", seconds / 3_600)
    } else if seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        format!("{seconds}s")
    }
}

fn texts(table: &BTreeMap<String, String>) -> Map<String, Value> {
    let entries = table.iter();
    entries
        .map(|(key, text)| (key.clone(), Value::from(text.clone())))
        .collect()
}

/// A value as it stands behind a key, on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{} = {}", quoted(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => {
                let code = format!("\\u{:04X}", u32::from(control));
                quoted.push_str(&code);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
