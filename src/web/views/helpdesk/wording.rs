//! Rows of the tables in the words of the helpdesk's pages: groups by their short name, roles with
//! their account, conditions and differences as sentences.

use serde_json::Value;
use time::{Duration, OffsetDateTime, Time, format_description::well_known::Rfc3339};

use super::super::{Moment, environment::Environment, query_string};
use crate::{
    access::{AccountId, Conditions, Policy, PolicyTables, Row, RowName, Scope, TargetArn},
    web::EnvironmentRule,
};

/// What people call a group by its key, for short: [`short_name`] of all behind the connector.
pub(crate) fn group_name(key: &str) -> &str {
    short_name(key.split_once(':').map_or(key, |(_, value)| value))
}

/// What people call a group by its name, for short: the first value of a distinguished name of
/// several parts, else the name.
pub(crate) fn short_name(name: &str) -> &str {
    let Some((attribute, rest)) = name.split_once('=') else {
        return name;
    };
    let is_attribute = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if attribute.is_empty() || !attribute.bytes().all(is_attribute) {
        return name;
    }
    let mut is_escaped = false;
    let end = rest.find(|character| {
        let ends = matches!(character, ',' | '+') && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends
    });
    match end {
        Some(end) if end > 0 => &rest[..end],
        _ => name,
    }
}

/// To what somebody's edits of mappings are limited; none without a limit, or where nothing may be
/// edited at all.
pub(crate) fn limit(scopes: &[Scope], policy: &Policy) -> Option<String> {
    if scopes.is_empty() || scopes.contains(&Scope::default()) {
        return None;
    }
    let scopes: Vec<String> = scopes.iter().map(|scope| of_scope(scope, policy)).collect();
    Some(format!(
        "Your helpdesk group edits the mappings of {}.",
        scopes.join(", and of ")
    ))
}

/// `roles called */ReadOnly in accounts of development`
fn of_scope(scope: &Scope, policy: &Policy) -> String {
    let Scope {
        accounts,
        environments,
        roles,
    } = scope;
    let mut words = if roles.is_empty() {
        "roles".to_owned()
    } else {
        format!("roles like {}", roles.join(" or "))
    };
    if !accounts.is_empty() {
        let name = |id: &AccountId| {
            let account = policy.account(id);
            account.map_or_else(|| id.to_string(), |account| account.name.clone())
        };
        let names: Vec<String> = accounts.iter().map(name).collect();
        words.push_str(" in ");
        words.push_str(&names.join(" or "));
    }
    if !environments.is_empty() {
        let joint = if accounts.is_empty() {
            " in accounts of "
        } else {
            ", where the account is of "
        };
        words.push_str(joint);
        words.push_str(&environments.join(" or "));
    }
    words
}

/// A role as pages show it: its account first, its name, the environment's bar and word.
#[derive(Debug, Clone)]
pub(crate) struct RoleChip {
    /// The ARN.
    pub(crate) arn: String,
    /// The account's twelve digits.
    pub(crate) account_id: String,
    /// The account's name, or its digits where the table has no such account.
    pub(crate) account: String,
    /// The role's name, with its path where it has one.
    pub(crate) name: String,
    /// The account's environment.
    pub(crate) environment: Environment,
    /// Whether it or its account is protected.
    pub(crate) is_protected: bool,
}

impl RoleChip {
    /// The role as the table knows it.
    pub(crate) fn of(arn: &TargetArn, policy: &Policy, rules: &[EnvironmentRule]) -> Self {
        let id = arn.account();
        let account = policy.account(&id);
        let is_protected = policy.role(arn).is_some_and(|role| role.protected)
            || account.is_some_and(|account| account.protected);
        Self {
            arn: arn.to_string(),
            account: account.map_or_else(|| id.to_string(), |account| account.name.clone()),
            account_id: id.to_string(),
            name: arn.name().to_owned(),
            environment: Environment::of(account, rules),
            is_protected,
        }
    }
}

/// What a mapping asks for beside its end, in short.
pub(crate) fn conditions(conditions: &Conditions) -> Vec<String> {
    let mut words = Vec::new();
    if conditions.read_only {
        words.push("read-only".to_owned());
    }
    if conditions.require_reason {
        words.push("asks for a reason".to_owned());
    }
    if let Some(longest) = conditions.max_duration {
        words.push(format!("{longest} at most"));
    }
    if conditions.require_mfa {
        words.push("asks for a second factor".to_owned());
    }
    if let Some(group) = &conditions.require_approval_by {
        words.push(format!("asks {} to approve", group_name(group)));
    }
    words
}

/// The end of a mapping as people write it: the last day, or the moment where it is not midnight.
pub(crate) fn end_as_written(expires: OffsetDateTime) -> String {
    let at = crate::access::in_utc(expires);
    if at.time() == Time::MIDNIGHT {
        let last = at - Duration::DAY;
        format!(
            "{:04}-{:02}-{:02}",
            last.year(),
            u8::from(last.month()),
            last.day()
        )
    } else {
        Moment::clock(at, at).rfc3339()
    }
}

/// Something of a row that is not the same before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What.
    pub(crate) what: String,
    /// Before; empty where there was nothing.
    pub(crate) before: String,
    /// After; empty where there is nothing.
    pub(crate) after: String,
}

/// All that differs between two states of a row; none stands for a row that is not there.
pub(crate) fn differences(before: Option<&Row>, after: Option<&Row>) -> Vec<Difference> {
    let (before, after) = (facts(before), facts(after));
    let mut names: Vec<&String> = before.iter().map(|(name, _)| name).collect();
    names.extend(
        after
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !before.iter().any(|(other, _)| other == *name)),
    );
    let value = |facts: &[(String, String)], name: &str| {
        let found = facts.iter().find(|(other, _)| other == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    };
    names
        .into_iter()
        .map(|name| Difference {
            what: label(name),
            before: value(&before, name),
            after: value(&after, name),
        })
        .filter(|difference| difference.before != difference.after)
        .collect()
}

/// A row's values by key, those of its conditions among them; what is not set is left out.
fn facts(row: Option<&Row>) -> Vec<(String, String)> {
    let Some(Ok(Value::Object(mut row))) = row.map(serde_json::to_value) else {
        return Vec::new();
    };
    let mut facts = Vec::new();
    if let Some(Value::Object(row)) = row.remove("row") {
        gather(row, &mut facts);
    }
    facts
}

fn gather(row: serde_json::Map<String, Value>, facts: &mut Vec<(String, String)>) {
    for (key, value) in row {
        match (key.as_str(), value) {
            ("id" | "origin", _) | (_, Value::Null | Value::Bool(false)) => {}
            ("conditions" | "own" | "role_defaults", Value::Object(inner)) => gather(inner, facts),
            (_, Value::Bool(true)) => facts.push((key, "yes".to_owned())),
            (_, Value::String(text)) if text.is_empty() => {}
            ("expires", Value::String(text)) => {
                let end = OffsetDateTime::parse(&text, &Rfc3339);
                facts.push((key, end.map_or(text, end_as_written)));
            }
            (_, Value::String(text)) => facts.push((key, text)),
            (_, Value::Array(items)) if items.is_empty() => {}
            (_, Value::Object(items)) if items.is_empty() => {}
            ("max_duration", Value::Number(seconds)) => facts.push((
                key,
                seconds
                    .as_u64()
                    .and_then(|seconds| crate::access::SessionDuration::from_seconds(seconds).ok())
                    .map_or_else(|| seconds.to_string(), |duration| duration.to_string()),
            )),
            (_, other) => facts.push((key, other.to_string())),
        }
    }
}

/// A key of the tables as pages call it.
fn label(key: &str) -> String {
    match key {
        "arn" => "ARN",
        "group_pattern" => "Pattern",
        "expires" => "Ends",
        "max_duration" => "Longest session",
        "read_only" => "Read-only",
        "require_reason" => "Asks for a reason",
        "require_mfa" => "Asks for a second factor",
        "require_approval_by" => "Asks to approve",
        "allow_protected" => "May give protected roles",
        "external_id" => "ExternalId",
        "policy_arns" => "Session policy ARNs",
        "saml_provider_arn" => "SAML provider",
        other => {
            let mut words = other.replace('_', " ");
            if let Some(first) = words.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            return words;
        }
    }
    .to_owned()
}

/// A row in a few words: what kind, and what it is about.
pub(crate) fn row_title(row: &Row, policy: &Policy) -> String {
    match row {
        Row::Account(account) => format!("Account {}", account.name),
        Row::Role(role) => format!("Role {}", role_title(&role.arn, policy)),
        Row::Mapping(mapping) => format!(
            "Mapping of {} to {}",
            group_name(mapping.group.as_str()),
            role_title(&mapping.role, policy)
        ),
        Row::Rule(rule) => format!("Rule {}", rule.group_pattern),
    }
}

/// `ReadOnly in Payments production`
pub(crate) fn role_title(arn: &TargetArn, policy: &Policy) -> String {
    let id = arn.account();
    let account = policy.account(&id);
    let account = account.map_or(id.as_str(), |account| account.name.as_str());
    format!("{} in {account}", arn.name())
}

/// `Payments production/ReadOnly`, as forms take it.
pub(crate) fn role_offer(arn: &TargetArn, policy: &Policy) -> String {
    let id = arn.account();
    let account = policy.account(&id);
    let account = account.map_or(id.as_str(), |account| account.name.as_str());
    format!("{account}/{}", arn.name())
}

/// A row by what it is known by, where the row itself is not there.
pub(crate) fn name_title(name: &RowName) -> String {
    match name {
        RowName::Account(id) => format!("Account {id}"),
        RowName::Role(arn) => format!("Role {arn}"),
        RowName::Mapping(id) => format!("Mapping {id}"),
        RowName::Rule(id) => format!("Rule {id}"),
    }
}

/// A row's name as forms and addresses carry it: `mapping:ID`.
pub(crate) fn name_text(name: &RowName) -> String {
    match name {
        RowName::Account(id) => format!("account:{id}"),
        RowName::Role(arn) => format!("role:{arn}"),
        RowName::Mapping(id) => format!("mapping:{id}"),
        RowName::Rule(id) => format!("rule:{id}"),
    }
}

/// Reads what [`name_text`] writes.
pub(crate) fn name_of_text(text: &str) -> Option<RowName> {
    let (kind, id) = text.split_once(':')?;
    Some(match kind {
        "account" => RowName::Account(id.parse().ok()?),
        "role" => RowName::Role(id.parse().ok()?),
        "mapping" => RowName::Mapping(crate::access::MappingId(id.to_owned())),
        "rule" => RowName::Rule(crate::access::MappingId(id.to_owned())),
        _ => return None,
    })
}

/// Where a row's history is.
pub(crate) fn history_link(name: &RowName) -> String {
    query_string("/helpdesk/history", &[("row", &name_text(name))])
}

/// What a row's title is now, or what its name says where it is gone.
pub(crate) fn title_of(name: &RowName, tables: &PolicyTables, policy: &Policy) -> String {
    tables
        .row(name)
        .map_or_else(|| name_title(name), |row| row_title(&row, policy))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::access::{GroupKey, Mapping, MappingId, Origin};

    fn mapping(conditions: Conditions) -> Row {
        Row::Mapping(Mapping {
            id: MappingId("m1".to_owned()),
            group: GroupKey::from_stored("corp:cn=dev,dc=example".to_owned()),
            role: "arn:aws:iam::111122223333:role/ReadOnly".parse().unwrap(),
            conditions,
            ticket: Some("OPS-1".to_owned()),
            origin: Origin::Store,
        })
    }

    #[test]
    fn groups_are_called_by_the_first_value_of_their_name() {
        assert_eq!(group_name("corp:cn=dev,ou=groups,dc=x"), "dev");
        assert_eq!(group_name(r"corp:cn=a\, b,ou=groups"), r"a\, b");
        assert_eq!(group_name("okta:aws-prod"), "aws-prod");
        assert_eq!(group_name("okta:a/b=c"), "a/b=c");
        assert_eq!(group_name("okta:a=b"), "a=b");
        assert_eq!(short_name("cn=a:b,dc=x"), "a:b");
        assert_eq!(group_name(""), "");
    }

    #[test]
    fn an_end_at_midnight_is_the_day_before_it() {
        assert_eq!(
            end_as_written(datetime!(2027-01-01 00:00 UTC)),
            "2026-12-31"
        );
        assert_eq!(
            end_as_written(datetime!(2027-01-01 17:00 +1)),
            "2027-01-01T16:00:00Z"
        );
    }

    #[test]
    fn differences_name_what_changed_and_nothing_else() {
        let before = mapping(Conditions::default());
        let after = mapping(Conditions {
            read_only: true,
            max_duration: crate::access::SessionDuration::from_seconds(5_400).ok(),
            expires: Some(datetime!(2027-01-01 00:00 UTC)),
            ..Conditions::default()
        });
        let told: Vec<String> = differences(Some(&before), Some(&after))
            .into_iter()
            .map(|d| format!("{}: {:?} -> {:?}", d.what, d.before, d.after))
            .collect();
        assert_eq!(
            told,
            [
                "Ends: \"\" -> \"2026-12-31\"",
                "Longest session: \"\" -> \"1 h 30 min\"",
                "Read-only: \"\" -> \"yes\""
            ]
        );
        assert_eq!(differences(None, Some(&before)).len(), 3);
        assert!(differences(Some(&before), Some(&before)).is_empty());
    }
}
