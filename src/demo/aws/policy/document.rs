//! Reading documents: what IAM would refuse is refused, in its words where they are known.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::condition::Condition;
use super::pattern::{Pattern, is_well_formed};
use super::{Choice, Document, Malformed, Principals, Statement};

const VARIABLES_SINCE: &str = "2012-10-17";
const VERSIONS: [&str; 2] = ["2008-10-17", VARIABLES_SINCE];
const PARTITIONS: [&str; 5] = ["aws", "aws-us-gov", "aws-cn", "aws-eusc", "*"];
/// Providers that IAM knows without an ARN.
const KNOWN_PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "www.amazon.com",
    "graph.facebook.com",
    "cognito-identity.amazonaws.com",
];
/// What a trust policy may speak of.
const TRUST_ACTIONS: [&str; 6] = [
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:tagsession",
    "sts:setsourceidentity",
    "sts:setcontext",
];

/// Identity and session policies name resources, trust policies principals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Identity,
    Trust,
}

fn malformed<T>(message: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(message.into()))
}

fn syntax<T>() -> Result<T, Malformed> {
    malformed("Syntax errors in policy.")
}

impl Document {
    /// Reads a policy of a user, a role or a session.
    pub(in super::super) fn identity(text: &str) -> Result<Self, Malformed> {
        Self::read(text, Kind::Identity)
    }

    /// Reads a role's trust policy.
    pub(in super::super) fn trust(text: &str) -> Result<Self, Malformed> {
        Self::read(text, Kind::Trust)
    }

    fn read(text: &str, kind: Kind) -> Result<Self, Malformed> {
        let Ok(Unique(document)) = serde_json::from_str(text) else {
            return malformed("This policy contains invalid Json");
        };
        let Value::Object(document) = document else {
            return syntax();
        };
        allow_only(&document, &["Version", "Id", "Statement"])?;
        let has_variables = match document.get("Version") {
            None => false,
            Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => {
                version == VARIABLES_SINCE
            }
            Some(_) => return malformed("The policy must contain a valid version string"),
        };
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return syntax(),
        };
        if statements.is_empty() {
            return malformed("Policy document must contain at least one statement.");
        }
        let mut ids = HashSet::new();
        for statement in &statements {
            if let Some(id) = statement.get("Sid") {
                let Some(id) = id.as_str() else {
                    return syntax();
                };
                if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return malformed(
                        "Statement IDs (SID) must be alpha-numeric. Check that your input \
                         satisfies the regular expression [0-9A-Za-z]*",
                    );
                }
                if !id.is_empty() && !ids.insert(id) {
                    return malformed("Statement IDs (SID) in a single policy must be unique.");
                }
            }
        }
        let statements = statements.into_iter();
        let statements = statements.map(|statement| read_statement(statement, kind));
        Ok(Self {
            has_variables,
            statements: statements.collect::<Result<_, _>>()?,
        })
    }
}

fn read_statement(statement: &Value, kind: Kind) -> Result<Statement, Malformed> {
    let Value::Object(statement) = statement else {
        return syntax();
    };
    let known = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    allow_only(statement, &known)?;
    let is_deny = match statement.get("Effect").map(Value::as_str) {
        Some(Some("Allow")) => false,
        Some(Some("Deny")) => true,
        Some(_) => return syntax(),
        None => return malformed("Missing required field Effect"),
    };
    let has = |name: &str| statement.contains_key(name);
    let Some(actions) = choice(statement, "Action", "NotAction", "actions")? else {
        return malformed("Policy statement must contain actions.");
    };
    for action in &actions.patterns {
        check_action(action, kind)?;
    }
    let (principals, resources) = match kind {
        Kind::Identity => {
            if has("Principal") || has("NotPrincipal") {
                return malformed("Policy document should not specify a principal.");
            }
            let Some(resources) = choice(statement, "Resource", "NotResource", "resources")? else {
                return malformed("Policy statement must contain resources.");
            };
            for resource in &resources.patterns {
                check_resource(resource)?;
            }
            (None, Some(resources))
        }
        Kind::Trust => {
            for name in ["Resource", "NotResource", "NotPrincipal"] {
                if has(name) {
                    return malformed(format!("Has prohibited field {name}"));
                }
            }
            let Some(principal) = statement.get("Principal") else {
                return malformed("Missing required field Principal");
            };
            (Some(read_principals(principal)?), None)
        }
    };
    Ok(Statement {
        is_deny,
        principals,
        actions,
        resources,
        conditions: read_conditions(statement.get("Condition"))?,
    })
}

fn allow_only(object: &Map<String, Value>, known: &[&str]) -> Result<(), Malformed> {
    if object.keys().all(|name| known.contains(&name.as_str())) {
        Ok(())
    } else {
        syntax()
    }
}

/// An element or its negation, not both; `None` where there is neither.
fn choice(
    statement: &Map<String, Value>,
    name: &str,
    negated: &str,
    noun: &str,
) -> Result<Option<Choice>, Malformed> {
    let (value, is_negated) = match (statement.get(name), statement.get(negated)) {
        (None, None) => return Ok(None),
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        (Some(_), Some(_)) => return syntax(),
    };
    let patterns = strings(value)?;
    if patterns.is_empty() {
        return malformed(format!("Policy statement must contain {noun}."));
    }
    Ok(Some(Choice {
        is_negated,
        patterns,
    }))
}

/// A string, or a list of strings.
fn strings(value: &Value) -> Result<Vec<String>, Malformed> {
    let one = |value: &Value| value.as_str().map(str::to_owned);
    let found = match value {
        Value::Array(values) => values.iter().map(one).collect(),
        other => one(other).map(|value| vec![value]),
    };
    found.map_or_else(syntax, Ok)
}

fn check_action(action: &str, kind: Kind) -> Result<(), Malformed> {
    let is_word = |text: &str, extra: &str| {
        let mut characters = text.chars();
        !text.is_empty()
            && characters
                .all(|character| character.is_ascii_alphanumeric() || extra.contains(character))
    };
    let lower = action.to_ascii_lowercase();
    if kind == Kind::Trust {
        let pattern = Pattern::with_wildcards(&lower, None);
        let is_known = lower.starts_with("sts:")
            && pattern.is_some_and(|pattern| {
                (TRUST_ACTIONS.iter()).any(|action| pattern.matches(action))
            });
        return if is_known {
            Ok(())
        } else {
            malformed("AssumeRole policy may only specify STS AssumeRole actions.")
        };
    }
    if action == "*" {
        return Ok(());
    }
    match action.split_once(':') {
        None => {
            malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        }
        Some((vendor, _)) if !is_word(vendor, "-") => {
            malformed(format!("Vendor {vendor} is not valid"))
        }
        Some((_, name)) if !is_word(name, "*?_-") => malformed(format!(
            "The action {action} is not valid. Action names contain letters and wildcards."
        )),
        Some(_) => Ok(()),
    }
}

fn check_resource(resource: &str) -> Result<(), Malformed> {
    if resource == "*" {
        return Ok(());
    }
    if !is_well_formed(resource) {
        return malformed(format!("Resource {resource} has an incomplete variable."));
    }
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let ["arn", partition, vendor, ..] = parts[..] else {
        return malformed(format!(
            "Resource {resource} must be in ARN format or \"*\"."
        ));
    };
    if !PARTITIONS.contains(&partition) {
        return malformed(format!(
            "Partition \"{partition}\" is not valid for resource \"{resource}\"."
        ));
    }
    if parts.len() < 6 || vendor.is_empty() || vendor.contains(['*', '?', '$']) {
        return malformed("Resource vendor must be fully qualified and cannot contain regexes.");
    }
    Ok(())
}

fn read_principals(principal: &Value) -> Result<Principals, Malformed> {
    let kinds = match principal {
        Value::String(everyone) if everyone == "*" => return Ok(Principals::Everyone),
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        Value::String(other) => {
            return malformed(format!("Invalid principal in policy: \"{other}\""));
        }
        _ => return syntax(),
    };
    let mut listed = Vec::new();
    for (kind, values) in kinds {
        let values = strings(values)?;
        if values.is_empty() {
            return syntax();
        }
        for value in values {
            let is_valid = match kind.as_str() {
                "AWS" => is_aws_principal(&value),
                "Federated" => is_provider(&value),
                "Service" => value.contains('.') && !value.contains('*'),
                _ => return syntax(),
            };
            if !is_valid {
                let kind = kind.to_uppercase();
                return malformed(format!(
                    "Invalid principal in policy: \"{kind}\":\"{value}\""
                ));
            }
            listed.push((kind.clone(), value));
        }
    }
    Ok(Principals::Listed(listed))
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The service and the last part of an ARN without region, of an account and without wildcards.
fn account_resource(text: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, resource] = parts[..] else {
        return None;
    };
    let is_plain = PARTITIONS.contains(&partition) && is_account_id(account);
    (is_plain && !text.contains(['*', '?', '$'])).then_some((service, resource))
}

fn is_aws_principal(text: &str) -> bool {
    text == "*"
        || is_account_id(text)
        || account_resource(text).is_some_and(|(service, resource)| {
            let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
            match (service, kind) {
                ("iam", "root") => name.is_empty(),
                ("iam", "user" | "role") | ("sts", "federated-user") => !name.is_empty(),
                ("sts", "assumed-role") => {
                    name.split('/').filter(|part| !part.is_empty()).count() == 2
                }
                _ => false,
            }
        })
}

fn is_provider(text: &str) -> bool {
    KNOWN_PROVIDERS.contains(&text)
        || account_resource(text).is_some_and(|(service, resource)| {
            let name = resource
                .strip_prefix("saml-provider/")
                .or_else(|| resource.strip_prefix("oidc-provider/"));
            service == "iam" && name.is_some_and(|name| !name.is_empty())
        })
}

fn read_conditions(conditions: Option<&Value>) -> Result<Vec<Condition>, Malformed> {
    let operators = match conditions {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return syntax(),
    };
    let mut found = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return syntax();
        };
        for (key, values) in keys {
            let values = match values {
                Value::Array(values) => values.iter().map(scalar).collect(),
                other => scalar(other).map(|value| vec![value]),
            };
            let values = values.map_or_else(syntax, Ok)?;
            found.push(Condition::read(operator, key, values)?);
        }
    }
    Ok(found)
}

/// A condition's value: AWS takes numbers and truth values without quotes too.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// JSON in which no object has a name twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without a name twice in one object")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, _>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}
