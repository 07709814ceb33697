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
    AUDIT_TAG, ConsoleWay, EffectiveRole, GrantMethod, NameTemplate, Role, RoleDefaults,
    SESSION_TAGS, TargetArn, Voucher, mfa_serial,
};

/// Characters of an inline session policy and managed policies together.
const POLICY_CHARACTERS: usize = 2_048;
const POLICY_ARNS: usize = 10;
const TAG_KEY_CHARACTERS: usize = 128;
const TAG_VALUE_CHARACTERS: usize = 256;

/// The keys that roles, accounts and the configuration share.
pub(super) fn settings(section: &mut Section<'_>) -> RoleDefaults {
    let methods = GrantMethod::ALL.map(|method| (method.as_str(), method));
    RoleDefaults {
        grant_method: section.choice("grant_method", &methods),
        credential_source: section.string("credential_source"),
        external_id: section.parsed("external_id", external_id),
        max_duration: session_duration(section),
        region: section.parsed("region", region),
        source_identity: section.parsed("source_identity", str::parse::<NameTemplate>),
        saml_provider_arn: section.parsed("saml_provider_arn", saml_provider_arn),
        // Of a role alone: what nothing can be limited on is not to be inherited unseen.
        console: None,
        vouched_by: section.parsed("vouched_by", str::parse::<Voucher>),
        mfa_serial: section.parsed("mfa_serial", mfa_serial),
        audit_tag: section.boolean("audit_tag"),
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Option<Role> {
    let shape = "the ARN of a role, such as \"arn:aws:iam::111122223333:role/Name\"";
    section.demand("arn", shape);
    let arn = section.parsed("arn", str::parse::<TargetArn>);
    let description = section.string("description");
    let owner = section.string("owner");
    let own = RoleDefaults {
        console: section.parsed("console", str::parse::<ConsoleWay>),
        ..settings(section)
    };
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
    let settings = EffectiveRole::from(role.own.clone());
    if let Some(contradiction) = role.contradiction(&settings) {
        section.refuse(contradiction.key, contradiction.message);
    }
    Some(role)
}

fn session_policy(text: &str) -> Result<String, String> {
    let is_object = serde_json::from_str::<serde_json::Value>(text)
        .map_err(|error| format!("expected a policy in JSON: {error}"))?
        .is_object();
    if !is_object {
        return Err("expected a policy in JSON, an object with \"Statement\"".to_owned());
    }
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    if let Some(character) = text.chars().find(|c| !is_legal(*c)) {
        return Err(format!("AWS takes no {character:?} in a session policy"));
    }
    Ok(text.to_owned())
}

fn refuse_long_policies(section: &Section<'_>, policy: Option<&str>, arns: &[String]) {
    let characters = |text: &str| text.chars().count();
    let inline = policy.map_or(0, characters);
    let total = inline + arns.iter().map(|arn| characters(arn)).sum::<usize>();
    if total > POLICY_CHARACTERS {
        let key = if inline > 0 {
            "session_policy"
        } else {
            "policy_arns"
        };
        let message = format!(
            "{total} characters, policy_arns included; AWS takes at most {POLICY_CHARACTERS}"
        );
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
        check_tag(key, text)?;
        if !folded.insert(key.to_lowercase()) {
            return Err(format!("the tag {key:?} is there twice; AWS ignores case"));
        }
        tags.insert(key.clone(), text.to_owned());
    }
    Ok(tags)
}

fn check_tag(key: &str, value: &str) -> Result<(), String> {
    if key.eq_ignore_ascii_case(AUDIT_TAG) {
        return Err(format!(
            "the tag {key:?} is the audit log's own: write audit_tag = true"
        ));
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(format!(
            "the tag {key:?} begins with aws:, which AWS keeps for itself"
        ));
    }
    if !(1..=TAG_KEY_CHARACTERS).contains(&key.chars().count()) {
        return Err(format!(
            "a tag's key has 1 to {TAG_KEY_CHARACTERS} characters: {key:?}"
        ));
    }
    if value.chars().count() > TAG_VALUE_CHARACTERS {
        return Err(format!(
            "the tag {key:?} has more than {TAG_VALUE_CHARACTERS} characters"
        ));
    }
    let is_legal = |c: char| {
        c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
    };
    match key.chars().chain(value.chars()).find(|c| !is_legal(*c)) {
        Some(character) => Err(format!(
            "the tag {key:?} has {character:?}; AWS takes letters, digits, spaces and _.:/=+-@"
        )),
        None => Ok(()),
    }
}
