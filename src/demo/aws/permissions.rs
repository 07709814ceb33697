//! What callers and issued sessions may do: identity policies, session policies and what each of
//! them knows of the session.
//!
//! Service control policies, permissions boundaries and resource policies do not exist here. Entry
//! points: [`Authority::of`], [`Authority::verdict`], [`refused_action`].

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::catalogue::{Catalogue, Principal, PrincipalKind, Role, account_of};
use super::policy::{Claimant, Context, Decision, Document, Question, Subject, decide_all};
use super::session::unique_id;
use super::trust::{Wishes, web_keys};
use super::{Issued, WebIdentityEvidence};

/// What a role may do when no policy was attached to it: everything but opening other roles, which
/// [`Role::which_may_assume`] allows.
const UNLESS_ATTACHED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}]}"#;
/// What `ReadOnlyAccess` reads, approximately.
const READABLE: [&str; 14] = [
    "s3",
    "ec2",
    "iam",
    "lambda",
    "logs",
    "cloudwatch",
    "cloudtrail",
    "cloudformation",
    "dynamodb",
    "ecs",
    "eks",
    "rds",
    "sns",
    "sqs",
];

/// The policies of somebody, and what is known about them.
pub(super) struct Authority {
    identity: Vec<Document>,
    /// `None` where the session was not narrowed.
    session: Option<Vec<Document>>,
    /// The condition keys that come with every request of theirs.
    pub(super) context: Context,
}

/// Whether somebody may, by policies of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    DeniedBySession,
    NoSessionPolicy,
    NoIdentityPolicy,
}

impl Verdict {
    /// How IAM ends its refusal.
    pub(super) fn reason(self, action: &str) -> String {
        match self {
            Self::Allowed => String::new(),
            Self::Denied => " with an explicit deny in an identity-based policy".to_owned(),
            Self::DeniedBySession => " with an explicit deny in a session policy".to_owned(),
            Self::NoSessionPolicy => {
                format!(" because no session policy allows the {action} action")
            }
            Self::NoIdentityPolicy => {
                format!(" because no identity-based policy allows the {action} action")
            }
        }
    }
}

impl Authority {
    /// Of whoever signs with a key: `issued` is the session that the key belongs to, none for keys
    /// of the catalogue.
    pub(super) fn of(
        principal: &Principal,
        issued: Option<&Issued>,
        catalogue: &Catalogue,
        now: OffsetDateTime,
    ) -> Self {
        let mut authority = match issued {
            None => Self::of_principal(principal, catalogue),
            Some(issued) => match catalogue.role(&issued.role_arn) {
                Some(role) => Self::of_role_session(issued, role),
                None => Self::of_user_session(issued, catalogue),
            },
        };
        let issued_at = issued.map_or(now, |issued| issued.issued_at);
        let is_temporary = issued.is_some() || principal.kind != PrincipalKind::User;
        let context = &mut authority.context;
        context.set("aws:CurrentTime", &now.format(&Rfc3339).unwrap_or_default());
        context.set("aws:EpochTime", &now.unix_timestamp().to_string());
        context.set("aws:SecureTransport", "true");
        context.set("aws:SourceIp", "127.0.0.1");
        if is_temporary {
            let issued_at = issued_at.format(&Rfc3339).unwrap_or_default();
            context.set("aws:TokenIssueTime", &issued_at);
        }
        // Long-term keys without a code have no such key at all.
        if is_temporary || principal.has_mfa {
            let has_mfa = principal.has_mfa || issued.is_some_and(|issued| issued.has_mfa);
            context.set("aws:MultiFactorAuthPresent", &has_mfa.to_string());
        }
        authority
    }

    fn of_principal(principal: &Principal, catalogue: &Catalogue) -> Self {
        let mut identity = principal.policies.clone();
        identity.extend(assuming(&principal.may_assume));
        let mut context = Context::default();
        if principal.kind == PrincipalKind::User {
            name_user(&mut context, &principal.arn);
        } else {
            let session_name = principal.caller_arn.rsplit('/').next().unwrap_or_default();
            name_role_session(&mut context, &principal.arn, session_name);
            if let Some(role) = catalogue.role(&principal.arn) {
                identity.extend(role.inline_documents());
            }
        }
        context.set_all("aws:SourceIdentity", principal.source_identity.as_deref());
        Self {
            identity,
            session: None,
            context,
        }
    }

    fn of_role_session(issued: &Issued, role: &Role) -> Self {
        let mut identity = role.policies.clone();
        if identity.is_empty() {
            identity.extend(Document::identity(UNLESS_ATTACHED));
        }
        identity.extend(assuming(&role.may_assume));
        identity.extend(role.inline_documents());
        let mut context = Context::default();
        name_role_session(&mut context, role.arn(), &issued.session_name);
        tell(&mut context, issued);
        Self {
            identity,
            session: session_documents(issued),
            context,
        }
    }

    /// A session that a user's keys were exchanged for, narrowed or not. One of `GetFederationToken`
    /// may nothing without a session policy.
    fn of_user_session(issued: &Issued, catalogue: &Catalogue) -> Self {
        let user = catalogue.user(&issued.caller_arn);
        let mut identity = Vec::new();
        if let Some(user) = user {
            identity.extend(user.policies.iter().cloned());
            identity.extend(assuming(&user.may_assume));
        }
        let mut context = Context::default();
        let mut session = session_documents(issued);
        if issued.arn.contains(":federated-user/") {
            session = session.or(Some(Vec::new()));
            let account = account_of(&issued.arn);
            let name = issued.arn.rsplit('/').next().unwrap_or_default();
            context.set("aws:userid", &format!("{account}:{name}"));
            context.set("aws:PrincipalArn", &issued.arn);
            context.set("aws:PrincipalAccount", account);
            context.set("aws:PrincipalType", "FederatedUser");
        } else {
            name_user(&mut context, &issued.caller_arn);
        }
        tell(&mut context, issued);
        Self {
            identity,
            session,
            context,
        }
    }

    /// Decides one action on one resource; `request` are the keys of this request.
    pub(super) fn verdict(&self, action: &str, resource: &str, request: &Context) -> Verdict {
        let mut context = self.context.clone();
        context.extend(request);
        let question = Question {
            action,
            subject: Subject::Resource(resource),
            context: &context,
        };
        let identity = decide_all(&self.identity, &question);
        let session = (self.session.as_ref()).map(|documents| decide_all(documents, &question));
        match (identity, session) {
            (Decision::Denied, _) => Verdict::Denied,
            (_, Some(Decision::Denied)) => Verdict::DeniedBySession,
            (_, Some(session)) if !session.is_allowed() => Verdict::NoSessionPolicy,
            (identity, _) if !identity.is_allowed() => Verdict::NoIdentityPolicy,
            _ => Verdict::Allowed,
        }
    }
}

/// The first of the actions that `AssumeRole` needs which is refused. The trust has to allow each;
/// the caller's own policies too, unless the trust names the caller and both are of one account.
pub(super) fn refused_action(
    authority: &Authority,
    principal: &Principal,
    role: &Role,
    wishes: &Wishes<'_>,
    request: &Context,
) -> Option<&'static str> {
    let mut keys = request.clone();
    wishes.add_to(&mut keys);
    let mut context = authority.context.clone();
    context.extend(&keys);
    let claimant = Claimant::Aws {
        arn: &principal.arn,
        caller_arn: &principal.caller_arn,
    };
    let is_same_account = account_of(&principal.arn) == account_of(role.arn());
    wishes.actions("sts:AssumeRole").into_iter().find(|action| {
        let trust = role.trust.decide(action, claimant, &context);
        let suffices = is_same_account && trust == Decision::Allowed;
        let is_allowed = match authority.verdict(action, role.arn(), &keys) {
            Verdict::Allowed => true,
            Verdict::NoIdentityPolicy => suffices,
            _ => false,
        };
        !(trust.is_allowed() && is_allowed)
    })
}

/// What `which_may_assume` allows, as a policy.
fn assuming(patterns: &[String]) -> Option<Document> {
    let policy = serde_json::json!({
        "Version": "2008-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Resource": patterns,
        },
    });
    Document::identity(&policy.to_string()).ok()
}

fn name_user(context: &mut Context, arn: &str) {
    context.set("aws:userid", &unique_id("AIDA", arn));
    let name = arn.rsplit('/').next().unwrap_or_default();
    context.set("aws:username", name);
    context.set("aws:PrincipalArn", arn);
    context.set("aws:PrincipalAccount", account_of(arn));
    context.set("aws:PrincipalType", "User");
}

fn name_role_session(context: &mut Context, role_arn: &str, session_name: &str) {
    let id = unique_id("AROA", role_arn);
    context.set("aws:userid", &format!("{id}:{session_name}"));
    context.set("aws:PrincipalArn", role_arn);
    context.set("aws:PrincipalAccount", account_of(role_arn));
    context.set("aws:PrincipalType", "AssumedRole");
}

/// What a session carries for its whole life.
fn tell(context: &mut Context, issued: &Issued) {
    for (key, value) in &issued.tags {
        context.set(&format!("aws:PrincipalTag/{key}"), value);
    }
    context.set_all("aws:SourceIdentity", issued.source_identity.as_deref());
    if let Some(saml) = &issued.saml {
        context.set("saml:sub", &saml.subject);
        context.set("saml:sub_type", &saml.subject_type);
        context.set("saml:namequalifier", &saml.name_qualifier);
        context.set("aws:FederatedProvider", &saml.provider_arn);
    }
    if let Some(web) = &issued.web_identity {
        context.extend(&web_context(web));
        context.set("aws:FederatedProvider", &web.provider_arn);
    }
}

/// What trust policies may look at of a token: `host/path:aud` and `host/path:sub`, or the names of
/// Facebook and Amazon for the same.
pub(super) fn web_context(web: &WebIdentityEvidence) -> Context {
    let (place, audience, subject) = web_keys(&web.provider_arn);
    let mut context = Context::default();
    context.set(&format!("{place}:{audience}"), &web.audience);
    context.set(&format!("{place}:{subject}"), &web.subject);
    context
}

fn session_documents(issued: &Issued) -> Option<Vec<Document>> {
    if issued.policy.is_none() && issued.policy_arns.is_empty() {
        return None;
    }
    // A policy that is not known allows nothing.
    let managed = issued.policy_arns.iter().filter_map(|arn| managed(arn));
    let inline = issued.policy.as_deref().map(Document::identity);
    Some(managed.chain(inline.into_iter().flatten()).collect())
}

/// AWS's own policies, as far as they are known here.
fn managed(arn: &str) -> Option<Document> {
    let (_, name) = arn.split_once(":iam::aws:policy/")?;
    let allow = |element: &str, actions: Vec<String>| {
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": { "Effect": "Allow", element: actions, "Resource": "*" },
        })
    };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let document = match name.rsplit('/').next()? {
        "AdministratorAccess" => allow("Action", words(&["*"])),
        "PowerUserAccess" => allow(
            "NotAction",
            words(&["iam:*", "organizations:*", "account:*"]),
        ),
        "ReadOnlyAccess" => allow(
            "Action",
            reading(&["Get*", "List*", "Describe*", "BatchGet*"]),
        ),
        "ViewOnlyAccess" => allow("Action", reading(&["List*", "Describe*"])),
        "AWSDenyAll" => serde_json::json!({
            "Version": "2012-10-17",
            "Statement": { "Effect": "Deny", "Action": "*", "Resource": "*" },
        }),
        _ => return None,
    };
    Document::identity(&document.to_string()).ok()
}

fn reading(verbs: &[&str]) -> Vec<String> {
    let of_service = |service: &&str| {
        let actions = verbs.iter().map(|verb| format!("{service}:{verb}"));
        actions.collect::<Vec<_>>()
    };
    READABLE.iter().flat_map(of_service).collect()
}
