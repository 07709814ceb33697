//! What a trust policy says, as far as it is plain.
//!
//! This is no policy evaluator: conditions are named, not judged, and what is not understood is
//! never taken for a refusal. Entry point: [`TrustDocument::read`].

use serde_json::Value;

use super::Trusted;

/// The condition keys about what a probe does not send, or sends differently than a person would.
const KEYS_OF_PEOPLE: [&str; 9] = [
    "sts:sourceidentity",
    "aws:sourceidentity",
    "sts:rolesessionname",
    "aws:requesttag/",
    "aws:principaltag/",
    "aws:tagkeys",
    "sts:transitivetagkeys",
    "aws:multifactorauth",
    "saml:",
];

/// A role's trust policy.
#[derive(Debug, Clone)]
pub struct TrustDocument {
    allows: Vec<Allow>,
    has_denials: bool,
}

/// A statement that allows something.
#[derive(Debug, Clone)]
struct Allow {
    /// Everything that stands as principal; `*` for anybody.
    principals: Vec<String>,
    actions: Vec<String>,
    /// In lower case.
    condition_keys: Vec<String>,
    /// Whether it says `NotPrincipal` or `NotAction`, so that what it allows is not listed.
    is_inverted: bool,
}

impl TrustDocument {
    /// Reads a policy; none where it is no policy by IAM's grammar.
    pub fn read(text: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(text).ok()?;
        let statements = match document.get("Statement")? {
            Value::Array(statements) => statements.iter().collect(),
            one @ Value::Object(_) => vec![one],
            _ => return None,
        };
        let mut read = Self {
            allows: Vec::new(),
            has_denials: false,
        };
        for statement in statements {
            match statement.get("Effect")?.as_str()? {
                "Allow" => read.allows.push(Allow::read(statement)),
                "Deny" => read.has_denials = true,
                _ => return None,
            }
        }
        Some(read)
    }

    /// Whether a statement names `trusted` itself and lets it open the role, whatever the
    /// conditions are.
    pub fn names(&self, trusted: &Trusted) -> bool {
        let principal = trusted.principal();
        self.assuming(trusted)
            .any(|allow| allow.principals.contains(&principal))
    }

    /// Whether a statement may let `trusted` open the role: it names it, its account, or anybody.
    pub fn may_allow(&self, trusted: &Trusted) -> bool {
        let principal = trusted.principal();
        let account = principal.split(':').nth(4).unwrap_or_default();
        self.assuming(trusted).any(|allow| {
            allow.is_inverted
                || allow.principals.iter().any(|named| {
                    *named == "*"
                        || *named == principal
                        || (matches!(trusted, Trusted::Caller { .. })
                            && (named == account || is_account(named, account)))
                })
        })
    }

    /// Whether any statement allows an action, to whomever.
    pub fn allows_action(&self, action: &str) -> bool {
        self.allows.iter().any(|allow| allow.has(action))
    }

    /// Whether it looks at something that is different for people than for a probe.
    pub fn looks_at_people(&self) -> bool {
        self.has_denials
            || self.allows.iter().any(|allow| {
                allow.condition_keys.iter().any(|key| {
                    // Ours are always the same, so that a statement may pin them.
                    !matches!(key.as_str(), "saml:aud" | "saml:iss")
                        && KEYS_OF_PEOPLE.iter().any(|people| key.starts_with(people))
                })
            })
    }

    fn assuming<'a>(&'a self, trusted: &Trusted) -> impl Iterator<Item = &'a Allow> {
        let action = trusted.action();
        self.allows.iter().filter(move |allow| allow.has(action))
    }
}

impl Allow {
    fn read(statement: &Value) -> Self {
        let is_there = |key: &str| statement.get(key).is_some();
        let mut principals = Vec::new();
        match statement.get("Principal") {
            Some(Value::Object(kinds)) => {
                kinds
                    .values()
                    .for_each(|kind| principals.extend(texts(kind)));
            }
            Some(other) => principals.extend(texts(other)),
            None => {}
        }
        let conditions = statement.get("Condition").and_then(Value::as_object);
        let keys = conditions
            .into_iter()
            .flat_map(serde_json::Map::values)
            .filter_map(Value::as_object)
            .flat_map(serde_json::Map::keys);
        Self {
            principals,
            actions: statement.get("Action").map(texts).unwrap_or_default(),
            condition_keys: keys.map(|key| key.to_lowercase()).collect(),
            is_inverted: is_there("NotPrincipal") || is_there("NotAction"),
        }
    }

    fn has(&self, action: &str) -> bool {
        self.is_inverted || self.actions.iter().any(|pattern| fits(pattern, action))
    }
}

/// One text, or several.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// `arn:aws:iam::123456789012:root`
fn is_account(named: &str, account: &str) -> bool {
    named
        .strip_suffix(":root")
        .and_then(|named| named.rsplit(':').next())
        == Some(account)
}

/// Whether an action is meant by a pattern with `*` and `?`, case ignored, as IAM compares.
fn fits(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    let (pattern, action) = (pattern.as_bytes(), action.as_bytes());
    let (mut at, mut star, mut mark, mut index) = (0, None, 0, 0);
    while index < action.len() {
        match pattern.get(at) {
            Some(b'*') => {
                (star, mark) = (Some(at), index);
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == action[index] => {
                at += 1;
                index += 1;
            }
            _ => {
                let Some(star) = star else { return false };
                at = star + 1;
                mark += 1;
                index = mark;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Trusted {
        Trusted::Caller {
            arn: "arn:aws:sts::444455556666:assumed-role/rolegate/task".to_owned(),
            external_id: None,
        }
    }

    fn document(principal: &str, action: &str, condition: &str) -> TrustDocument {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},
               "Action":{action}{condition}}}]}}"#
        );
        TrustDocument::read(&text).unwrap()
    }

    #[test]
    fn principals_are_found_in_every_form() {
        let role = r#"{"AWS":"arn:aws:iam::444455556666:role/rolegate"}"#;
        let action = r#""sts:AssumeRole""#;
        for (principal, names, may) in [
            (role, true, true),
            (
                r#"{"AWS":["arn:aws:iam::1:role/x","arn:aws:iam::444455556666:role/rolegate"]}"#,
                true,
                true,
            ),
            (r#"{"AWS":"arn:aws:iam::444455556666:root"}"#, false, true),
            (r#"{"AWS":"444455556666"}"#, false, true),
            (r#""*""#, false, true),
            (r#"{"AWS":"*"}"#, false, true),
            (
                r#"{"AWS":"arn:aws:iam::444455556666:role/other"}"#,
                false,
                false,
            ),
            (r#"{"Service":"ec2.amazonaws.com"}"#, false, false),
            // The unique id that IAM puts in place of a principal that was deleted.
            (r#"{"AWS":"AROAEXAMPLEID"}"#, false, false),
        ] {
            let document = document(principal, action, "");
            assert_eq!(document.names(&caller()), names, "{principal}");
            assert_eq!(document.may_allow(&caller()), may, "{principal}");
        }
        assert!(!document(role, r#""sts:AssumeRoleWithSAML""#, "").may_allow(&caller()));
        assert!(document(role, r#"["sts:Tag*","sts:assume*"]"#, "").names(&caller()));
        assert!(document(role, r#""*""#, "").allows_action("sts:TagSession"));
        assert!(!document(role, action, "").allows_action("sts:TagSession"));
    }

    #[test]
    fn conditions_about_people_are_noticed() {
        let role = r#"{"AWS":"arn:aws:iam::444455556666:role/rolegate"}"#;
        let with = |condition: &str| {
            let condition = format!(r#","Condition":{condition}"#);
            document(role, r#""sts:AssumeRole""#, &condition).looks_at_people()
        };
        assert!(with(r#"{"StringLike":{"sts:SourceIdentity":"*"}}"#));
        assert!(with(r#"{"StringEquals":{"aws:RequestTag/team":"x"}}"#));
        assert!(with(r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#));
        assert!(!with(r#"{"StringEquals":{"sts:ExternalId":"x"}}"#));
        assert!(!with(r#"{"StringEquals":{"SAML:aud":"x","SAML:iss":"y"}}"#));
        let denying = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*"}]}"#;
        assert!(TrustDocument::read(denying).unwrap().looks_at_people());
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"Statement":"x"}"#,
            r#"{"Statement":[{"Effect":"Perhaps"}]}"#,
        ] {
            assert!(TrustDocument::read(text).is_none(), "{text}");
        }
        let one = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:*"}}"#;
        assert!(TrustDocument::read(one).unwrap().may_allow(&caller()));
    }
}
