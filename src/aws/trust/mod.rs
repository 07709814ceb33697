//! The policy statements that let the broker open a role, and what a trust policy says of it.
//!
//! Never here: writing anything at AWS. Source: IAM User Guide, "Available keys for AWS STS" and
//! "IAM JSON policy elements". Entry points: [`TrustStatement`], [`TrustDocument`].

mod document;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::document::TrustDocument;
use crate::access::{SamlProviderArn, Sends, TargetArn};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Principal>,
    action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: Conditions,
}

#[derive(Serialize)]
enum Principal {
    #[serde(rename = "AWS")]
    Aws(String),
    Federated(String),
}

/// By operator and key.
type Conditions = BTreeMap<&'static str, BTreeMap<String, String>>;

/// Whom a role has to trust for the broker to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// The principal of a credential source.
    Caller {
        /// What [`super::Caller`] says. A role session's ARN leaves out the role's path, so the
        /// principal has to be completed where the broker's role has one.
        arn: String,
        /// The ExternalId that is sent.
        external_id: Option<String>,
    },
    /// A SAML provider of the role's account.
    Saml {
        /// The IAM SAML provider.
        provider: SamlProviderArn,
        /// The assertion's Recipient, which AWS calls `SAML:aud`.
        recipient: String,
        /// The assertion's Issuer, where it is known.
        issuer: Option<String>,
    },
    /// An OpenID Connect provider of the role's account.
    WebIdentity {
        /// The IAM OpenID Connect provider's ARN.
        provider: String,
        /// The `aud` of the token.
        audience: String,
        /// What the `sub` of the token is compared with by `StringLike`.
        subject_pattern: Option<String>,
    },
}

impl Trusted {
    /// What is assumed with.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Caller { .. } => "sts:AssumeRole",
            Self::Saml { .. } => "sts:AssumeRoleWithSAML",
            Self::WebIdentity { .. } => "sts:AssumeRoleWithWebIdentity",
        }
    }

    /// The principal as a trust policy names it.
    pub fn principal(&self) -> String {
        match self {
            Self::Caller { arn, .. } => principal_of(arn),
            Self::Saml { provider, .. } => provider.to_string(),
            Self::WebIdentity { provider, .. } => provider.clone(),
        }
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::new();
        let mut add = |operator, key: String, value: &str| {
            let of_operator = conditions.entry(operator).or_default();
            of_operator.insert(key, value.to_owned());
        };
        match self {
            Self::Caller { external_id, .. } => {
                if let Some(external_id) = external_id {
                    add("StringEquals", "sts:ExternalId".to_owned(), external_id);
                }
            }
            Self::Saml {
                recipient, issuer, ..
            } => {
                add("StringEquals", "SAML:aud".to_owned(), recipient);
                if let Some(issuer) = issuer {
                    add("StringEquals", "SAML:iss".to_owned(), issuer);
                }
            }
            Self::WebIdentity {
                provider,
                audience,
                subject_pattern,
            } => {
                // The condition keys are named after the provider's URL without its scheme.
                let name = provider.split_once(":oidc-provider/");
                let name = name.map_or(provider.as_str(), |(_, name)| name);
                add("StringEquals", format!("{name}:aud"), audience);
                if let Some(pattern) = subject_pattern {
                    add("StringLike", format!("{name}:sub"), pattern);
                }
            }
        }
        conditions
    }
}

/// The statement that lets the broker open a role: to be added to the role's trust policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustStatement {
    /// Whom the role has to trust.
    pub trusted: Trusted,
    /// What the sessions carry, for which the trust needs more actions.
    pub sends: Sends,
}

impl TrustStatement {
    /// The actions that the trust has to allow.
    pub fn actions(&self) -> Vec<&'static str> {
        actions(
            self.trusted.action(),
            self.sends.source_identity,
            self.sends.tags,
        )
    }

    /// The statement as JSON, to be pasted.
    pub fn json(&self) -> String {
        let principal = self.trusted.principal();
        printed(&Statement {
            effect: "Allow",
            principal: Some(match self.trusted {
                Trusted::Caller { .. } => Principal::Aws(principal),
                Trusted::Saml { .. } | Trusted::WebIdentity { .. } => {
                    Principal::Federated(principal)
                }
            }),
            action: self.actions(),
            resource: None,
            condition: self.trusted.conditions(),
        })
    }
}

/// The statement that lets the broker open a role: to be added to the role's trust policy.
///
/// `caller_arn` is what [`super::Caller`] says. A role session's ARN leaves out the role's path,
/// so the principal has to be completed where the broker's role has one.
pub fn trust_statement(
    caller_arn: &str,
    external_id: Option<&str>,
    sends_source_identity: bool,
    sends_tags: bool,
) -> String {
    let statement = TrustStatement {
        trusted: Trusted::Caller {
            arn: caller_arn.to_owned(),
            external_id: external_id.map(str::to_owned),
        },
        sends: Sends {
            tags: sends_tags,
            source_identity: sends_source_identity,
        },
    };
    statement.json()
}

/// The statement that lets an identity provider's assertion, posted to us, open a role: to be added
/// to the role's trust policy.
///
/// `acs_url` is our assertion consumer service: AWS compares it with the assertion's Recipient,
/// which it calls `SAML:aud`. Tags and a SourceIdentity come from the assertion.
pub fn saml_trust_statement(
    provider: &SamlProviderArn,
    acs_url: &str,
    sends_source_identity: bool,
    sends_tags: bool,
) -> String {
    let statement = TrustStatement {
        trusted: Trusted::Saml {
            provider: provider.clone(),
            recipient: acs_url.to_owned(),
            issuer: None,
        },
        sends: Sends {
            tags: sends_tags,
            source_identity: sends_source_identity,
        },
    };
    statement.json()
}

/// The statement that the broker's own identity policy needs for a role of another account.
pub fn broker_statement(
    target: &TargetArn,
    sends_source_identity: bool,
    sends_tags: bool,
) -> String {
    printed(&Statement {
        effect: "Allow",
        principal: None,
        action: actions("sts:AssumeRole", sends_source_identity, sends_tags),
        resource: Some(target.as_str()),
        condition: Conditions::new(),
    })
}

fn actions(
    assume: &'static str,
    sends_source_identity: bool,
    sends_tags: bool,
) -> Vec<&'static str> {
    let mut actions = vec![assume];
    if sends_tags {
        actions.push("sts:TagSession");
    }
    if sends_source_identity {
        actions.push("sts:SetSourceIdentity");
    }
    actions
}

/// The IAM principal behind a caller: trust policies that name sessions break at the next one.
fn principal_of(caller_arn: &str) -> String {
    let mut parts = caller_arn.splitn(6, ':');
    let (Some("arn"), Some(partition), Some("sts"), Some(_), Some(account), Some(resource)) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return caller_arn.to_owned();
    };
    let role = resource
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split('/').next());
    role.map_or_else(
        || caller_arn.to_owned(),
        |role| format!("arn:{partition}:iam::{account}:role/{role}"),
    )
}

fn printed(statement: &Statement<'_>) -> String {
    // Strings alone: there is nothing in it that JSON cannot hold.
    serde_json::to_string_pretty(statement).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_statement_names_the_role_behind_a_session() {
        insta::assert_snapshot!(
            trust_statement(
                "arn:aws:sts::444455556666:assumed-role/rolegate/task-1",
                Some("rolegate-\"7f3c"),
                true,
                true,
            ),
            @r#"
        {
          "Effect": "Allow",
          "Principal": {
            "AWS": "arn:aws:iam::444455556666:role/rolegate"
          },
          "Action": [
            "sts:AssumeRole",
            "sts:TagSession",
            "sts:SetSourceIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "sts:ExternalId": "rolegate-\"7f3c"
            }
          }
        }
        "#
        );
    }

    #[test]
    fn a_trust_statement_for_assertions_names_the_provider_and_our_address() {
        let provider = "arn:aws:iam::111122223333:saml-provider/CorpIdP"
            .parse()
            .unwrap();
        let acs = "https://broker.example/saml/okta/acs";
        insta::assert_snapshot!(saml_trust_statement(&provider, acs, true, true), @r#"
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::111122223333:saml-provider/CorpIdP"
          },
          "Action": [
            "sts:AssumeRoleWithSAML",
            "sts:TagSession",
            "sts:SetSourceIdentity"
          ],
          "Condition": {
            "StringEquals": {
              "SAML:aud": "https://broker.example/saml/okta/acs"
            }
          }
        }
        "#);
    }

    #[test]
    fn a_broker_statement_names_the_role_alone() {
        let target = "arn:aws:iam::111122223333:role/team/Admin".parse().unwrap();
        insta::assert_snapshot!(broker_statement(&target, false, false), @r#"
        {
          "Effect": "Allow",
          "Action": [
            "sts:AssumeRole"
          ],
          "Resource": "arn:aws:iam::111122223333:role/team/Admin"
        }
        "#);
        let user = "arn:aws:iam::444455556666:user/rolegate";
        assert!(trust_statement(user, None, false, false).contains(user));
    }

    #[test]
    fn what_our_issuer_vouches_for_is_pinned_to_it() {
        let sends = Sends {
            tags: true,
            source_identity: false,
        };
        let saml = TrustStatement {
            trusted: Trusted::Saml {
                provider: "arn:aws:iam::111122223333:saml-provider/rolegate"
                    .parse()
                    .unwrap(),
                recipient: "https://signin.aws.amazon.com/saml".to_owned(),
                issuer: Some("https://b.example/issuer/saml/metadata".to_owned()),
            },
            sends,
        };
        let web = TrustStatement {
            trusted: Trusted::WebIdentity {
                provider: "arn:aws:iam::111122223333:oidc-provider/b.example".to_owned(),
                audience: "sts.amazonaws.com".to_owned(),
                subject_pattern: Some("role:111122223333/Admin:*".to_owned()),
            },
            sends,
        };
        insta::assert_snapshot!(format!("{}\n{}", saml.json(), web.json()), @r#"
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::111122223333:saml-provider/rolegate"
          },
          "Action": [
            "sts:AssumeRoleWithSAML",
            "sts:TagSession"
          ],
          "Condition": {
            "StringEquals": {
              "SAML:aud": "https://signin.aws.amazon.com/saml",
              "SAML:iss": "https://b.example/issuer/saml/metadata"
            }
          }
        }
        {
          "Effect": "Allow",
          "Principal": {
            "Federated": "arn:aws:iam::111122223333:oidc-provider/b.example"
          },
          "Action": [
            "sts:AssumeRoleWithWebIdentity",
            "sts:TagSession"
          ],
          "Condition": {
            "StringEquals": {
              "b.example:aud": "sts.amazonaws.com"
            },
            "StringLike": {
              "b.example:sub": "role:111122223333/Admin:*"
            }
          }
        }
        "#);
    }
}
