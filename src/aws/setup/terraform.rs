//! One account's setup as a Terraform configuration (HCL).
//!
//! Policies stand in it as `jsonencode` of an object in HCL's own syntax, so that a plan shows what
//! changed in them.

use std::fmt::Write as _;

use serde_json::Value;

use super::{AccountSetup, RoleSetup, Trusted};

pub(super) fn configuration(setup: &AccountSetup) -> String {
    let mut text = format!(
        "# What Rolegate needs in account {}: its identity provider and the roles that it opens.\n\
         # The aws provider has to be signed in to that account.\n",
        setup.account
    );
    if let Some(provider) = &setup.saml_provider {
        block(
            &mut text,
            &["resource", "aws_iam_saml_provider", "rolegate"],
            &[
                ("name", quoted(&provider.name)),
                ("saml_metadata_document", quoted(&provider.metadata)),
            ],
        );
    }
    if let Some(provider) = &setup.oidc_provider {
        block(
            &mut text,
            &["resource", "aws_iam_openid_connect_provider", "rolegate"],
            &[
                ("url", quoted(&provider.url)),
                (
                    "client_id_list",
                    format!("[{}]", quoted(&provider.audience)),
                ),
            ],
        );
    }
    let mut taken = Vec::new();
    for role in &setup.roles {
        let name = super::logical_name(role.name(), &mut taken).to_lowercase();
        role_blocks(&mut text, setup, role, &name);
    }
    text
}

fn role_blocks(text: &mut String, setup: &AccountSetup, role: &RoleSetup, name: &str) {
    let variable = format!("permissions_of_{name}");
    let mut arguments = vec![
        ("name", quoted(role.name())),
        ("path", quoted(&role.path())),
        (
            "max_session_duration",
            role.max_duration.seconds().clamp(3_600, 43_200).to_string(),
        ),
        ("assume_role_policy", encoded(&role.trust_policy())),
    ];
    if let Some(description) = role.short_description() {
        arguments.push(("description", quoted(&description)));
    }
    let is_ours = |provider| role.is_vouched_by(provider);
    let provider = match role.trust.trusted {
        Trusted::Saml { .. } if setup.saml_provider.as_ref().is_some_and(is_ours) => {
            "aws_iam_saml_provider"
        }
        Trusted::WebIdentity { .. } if setup.oidc_provider.is_some() => {
            "aws_iam_openid_connect_provider"
        }
        _ => "",
    };
    if !provider.is_empty() {
        arguments.push(("depends_on", format!("[{provider}.rolegate]")));
    }
    if role.permissions.is_none() {
        block(
            text,
            &["variable", &variable],
            &[
                (
                    "description",
                    quoted(&format!("ARNs of the managed policies of {}", role.name())),
                ),
                ("type", "set(string)".to_owned()),
                ("default", "[]".to_owned()),
            ],
        );
    }
    block(text, &["resource", "aws_iam_role", name], &arguments);
    let of_role = ("role", format!("aws_iam_role.{name}.name"));
    match &role.permissions {
        Some(document) => block(
            text,
            &["resource", "aws_iam_role_policy", name],
            &[
                ("name", quoted("rolegate")),
                of_role,
                ("policy", encoded(document)),
            ],
        ),
        None => block(
            text,
            &["resource", "aws_iam_role_policy_attachment", name],
            &[
                ("for_each", format!("var.{variable}")),
                of_role,
                ("policy_arn", "each.value".to_owned()),
            ],
        ),
    }
}

/// `kind "label" … { name = value … }`
fn block(text: &mut String, head: &[&str], arguments: &[(&str, String)]) {
    let (kind, labels) = head.split_first().unwrap_or((&"", &[]));
    let labels = labels.iter().fold(String::new(), |mut all, label| {
        all.push(' ');
        all.push_str(&quoted(label));
        all
    });
    let _ = writeln!(text, "\n{kind}{labels} {{");
    let width = arguments
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    for (name, value) in arguments {
        let value = value.replace('\n', "\n  ");
        let _ = writeln!(text, "  {name:width$} = {value}");
    }
    text.push_str("}\n");
}

fn encoded(document: &Value) -> String {
    format!("jsonencode({})", expression(document, 0))
}

/// A JSON value as an expression in HCL.
fn expression(value: &Value, depth: usize) -> String {
    let (inner, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = (items.iter())
                .map(|item| format!("{inner}{},\n", expression(item, depth + 1)))
                .collect();
            format!("[\n{}{outer}]", items.concat())
        }
        Value::Object(members) => {
            let members: Vec<String> = (members.iter())
                .map(|(key, member)| {
                    format!(
                        "{inner}{} = {}\n",
                        quoted(key),
                        expression(member, depth + 1)
                    )
                })
                .collect();
            format!("{{\n{}{outer}}}", members.concat())
        }
        other => other.to_string(),
    }
}

/// A string literal, in which nothing is a template (HCL native syntax, "Quoted literals").
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Not doubled, as the language has it too: behind one more `$` that could be read both
            // ways, and what opens a template is run.
            '$' | '%' if rest.peek() == Some(&'{') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}
