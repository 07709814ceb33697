//! What has to be made at AWS before roles can be opened, as text to run there: CloudFormation and
//! Terraform for one account, and the policy and trust of the broker's own principal.
//!
//! Pure: nothing is sent. Never here: deciding what to set up; that is read from the table and the
//! configuration. Sources: AWS CloudFormation and Terraform AWS provider references of
//! `SAMLProvider`, `OIDCProvider` and `Role`. Entry points: [`AccountSetup`],
//! [`broker_policies`], [`BrokerHost`].

mod cloudformation;
mod terraform;

use serde_json::{Value, json};

use super::trust::{TrustStatement, Trusted};
use crate::access::{AccountId, Partition, SessionDuration, TargetArn};

/// What one account needs.
#[derive(Debug, Clone)]
pub struct AccountSetup {
    /// The account.
    pub account: AccountId,
    /// Its partition.
    pub partition: Partition,
    /// Our issuer's SAML provider, where roles are vouched for by it.
    pub saml_provider: Option<SamlProviderSetup>,
    /// Our issuer's OpenID Connect provider, where roles are vouched for by it.
    pub oidc_provider: Option<OidcProviderSetup>,
    /// The roles, each with a name of its own.
    pub roles: Vec<RoleSetup>,
}

/// An IAM SAML provider for our issuer.
#[derive(Debug, Clone)]
pub struct SamlProviderSetup {
    /// The last part of its ARN.
    pub name: String,
    /// The metadata, as it is to be uploaded.
    pub metadata: String,
}

/// An IAM OpenID Connect provider for our issuer.
#[derive(Debug, Clone)]
pub struct OidcProviderSetup {
    /// The `iss` of tokens: `https://host/path`.
    pub url: String,
    /// The `aud` of tokens.
    pub audience: String,
}

/// A role.
#[derive(Debug, Clone)]
pub struct RoleSetup {
    /// Its ARN.
    pub arn: TargetArn,
    /// Who may open it, and with what.
    pub trust: TrustStatement,
    /// Whether it opens with the code of an MFA device alone.
    pub needs_code: bool,
    /// The longest session to allow.
    pub max_duration: SessionDuration,
    /// A line for people.
    pub description: Option<String>,
    /// What it may do; none leaves that to whoever runs the template.
    pub permissions: Option<Value>,
}

impl RoleSetup {
    /// The name without the path.
    pub fn name(&self) -> &str {
        self.arn.name()
    }

    /// The path, from slash to slash.
    pub fn path(&self) -> String {
        let resource = self
            .arn
            .as_str()
            .split_once(":role/")
            .map_or("", |(_, rest)| rest);
        match resource.rsplit_once('/') {
            Some((path, _)) => format!("/{path}/"),
            None => "/".to_owned(),
        }
    }

    /// The description, as far as IAM takes it: 1,000 characters, none beyond Latin-1.
    fn short_description(&self) -> Option<String> {
        let is_taken = |c: &char| matches!(c, ' '..='~' | '\u{a1}'..='\u{ff}');
        let short = |text: &String| text.chars().filter(is_taken).take(1_000).collect();
        self.description.as_ref().map(short)
    }

    /// The trust policy as a document.
    pub fn trust_policy(&self) -> Value {
        let mut statement = parsed(&self.trust.json());
        if self.needs_code {
            statement["Condition"]["Bool"]["aws:MultiFactorAuthPresent"] = "true".into();
        }
        policy([statement])
    }

    /// Whether our own provider of its account vouches for who opens it.
    fn is_vouched_by(&self, provider: &SamlProviderSetup) -> bool {
        match &self.trust.trusted {
            Trusted::Saml {
                provider: trusted,
                issuer: Some(_),
                ..
            } => trusted.as_str().ends_with(&format!("/{}", provider.name)),
            _ => false,
        }
    }
}

impl AccountSetup {
    /// A CloudFormation template (JSON), without the account's id, so that a stack set can bring
    /// the same to many accounts. What names the broker's own principal names it in full.
    pub fn cloudformation(&self) -> String {
        cloudformation::template(self)
    }

    /// A Terraform configuration (HCL) for a provider that is signed in to the account.
    pub fn terraform(&self) -> String {
        terraform::configuration(self)
    }
}

/// Where the broker itself runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerHost {
    /// An EC2 instance with an instance profile.
    Ec2,
    /// An ECS task.
    Ecs,
    /// A Lambda function.
    Lambda,
}

impl BrokerHost {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Ec2, Self::Ecs, Self::Lambda];

    /// The name on the command line and in links.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Ecs => "ecs",
            Self::Lambda => "lambda",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2.amazonaws.com",
            Self::Ecs => "ecs-tasks.amazonaws.com",
            Self::Lambda => "lambda.amazonaws.com",
        }
    }

    /// The trust policy of the broker's own role: the service that runs it may take it. For ECS in
    /// `account` alone, so that no other account's service can be made to (confused deputy, IAM User
    /// Guide).
    pub fn trust_policy(self, account: Option<&AccountId>) -> Value {
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": { "Service": self.service() },
            "Action": "sts:AssumeRole",
        });
        if let (Self::Ecs, Some(account)) = (self, account) {
            statement["Condition"] =
                json!({ "StringEquals": { "aws:SourceAccount": account.as_str() } });
        }
        policy([statement])
    }
}

/// IAM's quota for one managed policy, blanks not counted.
const MANAGED_POLICY_CHARACTERS: usize = 6_144;
/// IAM's quota for all inline policies of a role together, blanks not counted.
const INLINE_POLICY_CHARACTERS: usize = 10_240;

/// The least that the broker's own principal has to be allowed: to open these roles, with what their
/// sessions carry. Roles that our issuer or a provider vouches for need nothing. Each fits into a
/// managed policy; empty where no role needs anything. IAM attaches ten managed policies to a role
/// or user, and twenty when it is asked to.
pub fn broker_policies<'a>(roles: impl IntoIterator<Item = &'a RoleSetup>) -> Vec<Value> {
    let mut wanted: Vec<(Vec<&'static str>, &str)> = (roles.into_iter())
        .filter(|role| matches!(role.trust.trusted, Trusted::Caller { .. }))
        .map(|role| (role.trust.actions(), role.arn.as_str()))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut policies: Vec<Vec<(Vec<&str>, Vec<&str>)>> = Vec::new();
    for (actions, arn) in wanted {
        if let Some(last) = policies.last_mut() {
            let before = last.clone();
            match last.last_mut() {
                Some((known, arns)) if *known == actions => arns.push(arn),
                _ => last.push((actions.clone(), vec![arn])),
            }
            if length(&allowing(last)) <= MANAGED_POLICY_CHARACTERS {
                continue;
            }
            *last = before;
        }
        policies.push(vec![(actions, vec![arn])]);
    }
    (policies.iter())
        .map(|statements| allowing(statements))
        .collect()
}

fn allowing(statements: &[(Vec<&str>, Vec<&str>)]) -> Value {
    policy(
        statements.iter().map(
            |(actions, arns)| json!({ "Effect": "Allow", "Action": actions, "Resource": arns }),
        ),
    )
}

/// As IAM counts.
fn length(document: &Value) -> usize {
    document.to_string().len()
}

/// What the role has to be allowed by which the broker reads IAM.
pub fn read_permissions() -> Value {
    policy([json!({
        "Effect": "Allow",
        "Action": ["iam:GetRole", "iam:ListAccountAliases", "iam:ListRoles"],
        "Resource": "*",
    })])
}

/// What the role has to be allowed by which the broker ends sessions: to write inline policies of
/// `roles`, and of no other. It could give them more too, so it is a role to guard. None where there
/// are no roles, or more than fit into the inline policies of one role (some two hundred).
pub fn revoke_permissions<'a>(roles: impl IntoIterator<Item = &'a TargetArn>) -> Option<Value> {
    let arns: Vec<&str> = roles.into_iter().map(TargetArn::as_str).collect();
    let permissions = policy([json!({
        "Effect": "Allow",
        "Action": [
            "iam:DeleteRolePolicy",
            "iam:GetRolePolicy",
            "iam:ListRolePolicies",
            "iam:PutRolePolicy",
        ],
        "Resource": arns,
    })]);
    (!arns.is_empty() && length(&permissions) <= INLINE_POLICY_CHARACTERS).then_some(permissions)
}

/// A policy document, printed to be pasted.
pub fn printed(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

/// A policy document of these statements.
pub fn policy(statements: impl IntoIterator<Item = Value>) -> Value {
    let statements: Vec<Value> = statements.into_iter().collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn parsed(statement: &str) -> Value {
    // It was written by us as JSON.
    serde_json::from_str(statement).unwrap_or_default()
}

/// A name in a template: letters and digits of `text` in one word, with a number behind it where it
/// would be taken already, in whichever case.
fn logical_name(text: &str, taken: &mut Vec<String>) -> String {
    let mut name = String::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    let mut free = format!("Role{name}");
    let mut number = 2;
    while taken.iter().any(|other| other.eq_ignore_ascii_case(&free)) {
        free = format!("Role{name}{number}");
        number += 1;
    }
    taken.push(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Sends;

    const ACCOUNT: &str = "111122223333";

    fn role(arn: &str, trusted: Trusted, sends: Sends) -> RoleSetup {
        RoleSetup {
            arn: arn.parse().unwrap(),
            trust: TrustStatement { trusted, sends },
            needs_code: false,
            max_duration: SessionDuration::HOUR,
            description: Some("Look, \"do not\" touch ${x}".to_owned()),
            permissions: None,
        }
    }

    fn by_saml(path: &str) -> RoleSetup {
        let trusted = Trusted::Saml {
            provider: format!("arn:aws:iam::{ACCOUNT}:saml-provider/rolegate")
                .parse()
                .unwrap(),
            recipient: "https://signin.aws.amazon.com/saml".to_owned(),
            issuer: Some("https://aws.example.com/issuer/saml/metadata".to_owned()),
        };
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{path}");
        role(&arn, trusted, Sends::default())
    }

    fn by_caller(path: &str, tags: bool) -> RoleSetup {
        let trusted = Trusted::Caller {
            arn: "arn:aws:sts::444455556666:assumed-role/rolegate/i-1".to_owned(),
            external_id: Some("rolegate-7f3c".to_owned()),
        };
        let sends = Sends {
            tags,
            ..Sends::default()
        };
        role(
            &format!("arn:aws:iam::{ACCOUNT}:role/{path}"),
            trusted,
            sends,
        )
    }

    fn setup(roles: Vec<RoleSetup>) -> AccountSetup {
        AccountSetup {
            account: ACCOUNT.parse().unwrap(),
            partition: Partition::Aws,
            saml_provider: Some(SamlProviderSetup {
                name: "rolegate".to_owned(),
                metadata: "<EntityDescriptor a=\"${x}\">\n%{y}</EntityDescriptor>".to_owned(),
            }),
            oidc_provider: None,
            roles,
        }
    }

    #[test]
    fn a_template_holds_in_any_account() {
        let template = setup(vec![by_saml("team/ReadOnly"), by_caller("Ops", true)]);
        let text = template.cloudformation();
        assert!(!text.contains(ACCOUNT), "{text}");
        let template: Value = serde_json::from_str(&text).unwrap();
        let role = &template["Resources"]["RoleReadOnly"];
        assert_eq!(role["Properties"]["Path"], "/team/");
        assert_eq!(role["DependsOn"], json!(["SamlProvider"]));
        let statement = &role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0];
        assert_eq!(
            statement["Principal"]["Federated"]["Fn::Sub"],
            "arn:${AWS::Partition}:iam::${AWS::AccountId}:saml-provider/rolegate"
        );
        // Of another account: as it is.
        let other = &template["Resources"]["RoleOps"]["Properties"]["AssumeRolePolicyDocument"];
        assert_eq!(
            other["Statement"][0]["Principal"]["AWS"],
            "arn:aws:iam::444455556666:role/rolegate"
        );
        // And the broker's own principal, even where it is of the account that was asked about: in
        // another one, a role of the same name would be somebody else.
        let mut here = by_caller("Ops", true);
        here.trust.trusted = Trusted::Caller {
            arn: format!("arn:aws:iam::{ACCOUNT}:role/rolegate"),
            external_id: None,
        };
        let text = setup(vec![here]).cloudformation();
        assert!(text.contains(&format!("arn:aws:iam::{ACCOUNT}:role/rolegate")));
    }

    #[test]
    fn two_roles_that_differ_in_signs_alone_have_names_of_their_own() {
        let template = setup(vec![by_saml("read-only"), by_saml("ReadOnly")]).cloudformation();
        let template: Value = serde_json::from_str(&template).unwrap();
        assert!(template["Resources"]["RoleReadOnly"].is_object());
        assert!(template["Resources"]["RoleReadOnly2"].is_object());
        // Terraform's are in lower case.
        let text = setup(vec![by_saml("read-only"), by_saml("Readonly")]).terraform();
        assert!(text.contains(r#""aws_iam_role" "rolereadonly2""#), "{text}");
    }

    #[test]
    fn what_looks_like_a_template_stays_text_in_terraform() {
        let text = setup(vec![by_saml("ReadOnly")]).terraform();
        assert!(text.contains(r#"a=\"\u0024{x}\">\n\u0025{y}<"#), "{text}");
        let description = r#""Look, \"do not\" touch \u0024{x}""#;
        assert!(text.contains(description), "{text}");
        assert!(!text.contains("${") && !text.contains("%{"), "{text}");
    }

    #[test]
    fn the_broker_may_open_its_roles_and_nothing_else() {
        let roles = [
            by_caller("b", false),
            by_caller("a", false),
            by_caller("tagged", true),
            by_saml("vouched"),
        ];
        let arn = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let expected = [policy([
            json!({
                "Effect": "Allow",
                "Action": ["sts:AssumeRole"],
                "Resource": [arn("a"), arn("b")],
            }),
            json!({
                "Effect": "Allow",
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Resource": [arn("tagged")],
            }),
        ])];
        assert_eq!(broker_policies(&roles), expected);
        assert!(broker_policies(&[by_saml("vouched")]).is_empty());
    }

    #[test]
    fn many_roles_are_spread_over_policies_that_iam_takes() {
        let roles: Vec<RoleSetup> = (0..500)
            .map(|number| by_caller(&format!("team/Role-{number:04}"), number % 2 == 0))
            .collect();
        let policies = broker_policies(&roles);
        assert!((4..6).contains(&policies.len()), "{}", policies.len());
        let mut arns = Vec::new();
        for policy in &policies {
            assert!(length(policy) <= MANAGED_POLICY_CHARACTERS);
            for statement in policy["Statement"].as_array().unwrap() {
                arns.extend(statement["Resource"].as_array().unwrap().iter().cloned());
            }
        }
        arns.sort_unstable_by_key(ToString::to_string);
        let expected: Vec<Value> = roles.iter().map(|role| role.arn.as_str().into()).collect();
        assert_eq!(arns, expected);
        let arns: Vec<&TargetArn> = roles.iter().map(|role| &role.arn).collect();
        assert!(revoke_permissions(arns.iter().copied().take(100)).is_some());
        assert_eq!(revoke_permissions(arns), None);
        assert_eq!(revoke_permissions([]), None);
    }

    #[test]
    fn the_service_that_runs_the_broker_may_take_its_role() {
        let account = ACCOUNT.parse().unwrap();
        let trust = BrokerHost::Ecs.trust_policy(Some(&account));
        let statement = &trust["Statement"][0];
        assert_eq!(statement["Principal"]["Service"], "ecs-tasks.amazonaws.com");
        assert_eq!(
            statement["Condition"]["StringEquals"]["aws:SourceAccount"],
            ACCOUNT
        );
        let trust = BrokerHost::Ec2.trust_policy(None);
        assert_eq!(
            trust["Statement"][0]["Principal"]["Service"],
            "ec2.amazonaws.com"
        );
    }
}
