//! A `[[role]]`, and the settings that it shares with `role_defaults`.
//!
//! Limits are those of `AssumeRole` (AWS API reference), so that a row that cannot work is told when
//! it is written, not when somebody clicks.

use std::collections::BTreeMap;

use super::{
    super::{
        aws::{external_id, region, saml_provider_arn},
        reader::{Section, Value},
    },
    session_duration,
};
use crate::access::{
    ConsoleWay, GrantMethod, LONGEST_POLICY, NameTemplate, PUBLIC_VALUES, Role, RoleDefaults,
    SESSION_TAGS, TargetArn, Voucher, check_public_value, check_session_policy, check_session_tag,
    mfa_serial,
};

const POLICY_ARNS: usize = 10;

/// What an account says for its roles.
pub(super) fn defaults(section: &mut Section<'_>) -> RoleDefaults {
    let defaults = settings(section);
    if defaults.console == Some(ConsoleWay::IdpInitiated) {
        // What nothing can be limited on is not to be inherited unseen.
        let message = "idp-initiated is for single roles: write it in [[role]]";
        section.refuse("console", message);
    }
    if let (Some(method), Some(said)) = (defaults.grant_method, defaults.max_duration)
        && said > method.longest()
    {
        let message = format!("{method} gives sessions of {} at most", method.longest());
        section.refuse("max_duration", message);
    }
    defaults
}

/// The keys that roles and accounts share.
fn settings(section: &mut Section<'_>) -> RoleDefaults {
    let methods = GrantMethod::ALL.map(|method| (method.as_str(), method));
    RoleDefaults {
        grant_method: section.choice("grant_method", &methods),
        credential_source: section.string("credential_source"),
        external_id: section.parsed("external_id", external_id),
        max_duration: session_duration(section),
        region: section.parsed("region", region),
        source_identity: section.parsed("source_identity", str::parse::<NameTemplate>),
        saml_provider_arn: section.parsed("saml_provider_arn", saml_provider_arn),
        console: section.parsed("console", str::parse::<ConsoleWay>),
        vouched_by: section.parsed("vouched_by", str::parse::<Voucher>),
        mfa_serial: section.parsed("mfa_serial", mfa_serial),
        audit_tag: section.boolean("audit_tag"),
        public_values: section
            .take("public_values", public_values)
            .unwrap_or_default(),
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Role> {
    let shape = "the ARN of a role, such as \"arn:aws:iam::111122223333:role/Name\"";
    section.demand("arn", shape);
    let arn = section.parsed("arn", str::parse::<TargetArn>);
    let description = section.string("description");
    let owner = section.string("owner");
    let own = settings(section);
    let session_policy = section.parsed("session_policy", session_policy);
    let policy_arns = section.list("policy_arns", policy_arn).unwrap_or_default();
    if policy_arns.len() > POLICY_ARNS {
        let message = format!(
            "{} policies; AWS takes at most {POLICY_ARNS}",
            policy_arns.len()
        );
        section.refuse("policy_arns", message);
    }
    refuse_long_policies(section, session_policy.as_deref(), &policy_arns);
    let session_tags = section.take("session_tags", session_tags);
    let protected = section.boolean("protected").unwrap_or_default();
    let disabled = section.boolean("disabled").unwrap_or_default();
    let role = Role {
        arn: arn?,
        description,
        owner,
        own,
        session_policy,
        policy_arns,
        session_tags: session_tags.unwrap_or_default(),
        protected,
        disabled,
    };
    // By what it says itself; what its account or the configuration adds is for `check`.
    if let Some(contradiction) = role.contradicts_itself() {
        section.refuse(contradiction.key, contradiction.message);
    }
    Some(role)
}

fn session_policy(text: &str) -> Result<String, String> {
    check_session_policy(text).map(|()| text.to_owned())
}

fn refuse_long_policies(section: &Section<'_>, policy: Option<&str>, arns: &[String]) {
    let characters = |text: &str| text.chars().count();
    let inline = policy.map_or(0, characters);
    let total = inline + arns.iter().map(|arn| characters(arn)).sum::<usize>();
    if total > LONGEST_POLICY {
        let key = if inline > 0 {
            "session_policy"
        } else {
            "policy_arns"
        };
        let message =
            format!("{total} characters, policy_arns included; AWS takes at most {LONGEST_POLICY}");
        section.refuse(key, message);
    }
}

fn policy_arn(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let is_policy = matches!(parts[..], ["arn", partition, "iam", "", owner, resource]
        if partition.starts_with("aws")
            && (owner == "aws" || (owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit())))
            && resource.strip_prefix("policy/").is_some_and(|name| !name.is_empty()));
    if is_policy {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected arn:aws:iam::ACCOUNT:policy/NAME, found {text:?}"
    ))
}

fn public_values(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let shape = "expected a table of strings, such as { bucket = \"uploads\" }";
    let Value::Table(entries) = value else {
        return Err(format!("{shape}, found {}", value.description()));
    };
    if entries.len() > PUBLIC_VALUES {
        let count = entries.len();
        return Err(format!("{count} values; there may be {PUBLIC_VALUES}"));
    }
    let entries = entries.iter().map(|(name, node)| {
        let text = (node.value.as_str())
            .ok_or_else(|| format!("{shape}; {name:?} is {}", node.value.description()))?;
        check_public_value(name, text)?;
        Ok((name.clone(), text.to_owned()))
    });
    entries.collect()
}

fn session_tags(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let shape = "expected a table of strings, such as { team = \"payments\" }";
    let Value::Table(entries) = value else {
        return Err(format!("{shape}, found {}", value.description()));
    };
    if entries.len() > SESSION_TAGS {
        return Err(format!(
            "{} tags; AWS takes at most {SESSION_TAGS}",
            entries.len()
        ));
    }
    let mut tags = BTreeMap::new();
    let mut folded = std::collections::HashSet::new();
    for (key, node) in entries {
        let text = (node.value.as_str())
            .ok_or_else(|| format!("{shape}; {key:?} is {}", node.value.description()))?;
        check_session_tag(key, text)?;
        if !folded.insert(key.to_lowercase()) {
            return Err(format!("the tag {key:?} is there twice; AWS ignores case"));
        }
        tags.insert(key.clone(), text.to_owned());
    }
    Ok(tags)
}
