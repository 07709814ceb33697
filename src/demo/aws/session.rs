//! Sessions: the credentials that STS makes up, and how it writes them down.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::assume_role::AssumeRole;
use super::catalogue::{Principal, PrincipalKind, account_of, assumed_role_arn};
use super::{Issued, StsAction, escape, random_bytes};

/// Who calls, and for which region.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) region: String,
}

impl Caller {
    /// A provider that vouches for somebody: nothing is signed, so no region is known.
    pub(super) fn provider(arn: &str) -> Self {
        Self {
            principal: Principal::user(arn, "", ""),
            region: String::new(),
        }
    }
}

/// The session that answers a request which was found right.
pub(super) fn issue(
    action: StsAction,
    caller: Caller,
    wanted: AssumeRole,
    now: OffsetDateTime,
    request_id: &str,
) -> Issued {
    let Caller { principal, region } = caller;
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let packed = wanted.packed_size();
    let kinds = [PrincipalKind::RoleSession, PrincipalKind::UserSession];
    let has_policy = wanted.policy.is_some() || !wanted.policy_arns.is_empty();
    Issued {
        action,
        arn: session_arn(action, &principal, &wanted),
        role_arn: wanted.role_arn,
        session_name: wanted.session_name,
        external_id: wanted.external_id,
        tags: wanted.tags,
        transitive_tag_keys: wanted.transitive_tag_keys,
        policy: wanted.policy,
        policy_arns: wanted.policy_arns,
        packed_policy_size: (packed > 0).then_some(packed),
        duration_seconds: wanted.duration_seconds,
        source_identity: wanted.source_identity.or(principal.source_identity),
        caller_arn: principal.caller_arn,
        is_chained: kinds.contains(&principal.kind),
        has_permissions: action != StsAction::GetFederationToken || has_policy,
        has_mfa: principal.has_mfa,
        access_key_id: format!("ASIA{}", random_base32(16)),
        secret_access_key: STANDARD.encode(random_bytes(30)),
        session_token: format!("IQoJb3JpZ2luX2VjE{}", STANDARD.encode(random_bytes(516))),
        issued_at: now,
        expiration: now + Duration::seconds(i64::from(wanted.duration_seconds)),
        request_id: request_id.to_owned(),
        region,
        saml: None,
        web_identity: None,
    }
}

fn session_arn(action: StsAction, principal: &Principal, wanted: &AssumeRole) -> String {
    match action {
        StsAction::GetSessionToken => principal.arn.clone(),
        StsAction::GetFederationToken => {
            let partition = principal.arn.split(':').nth(1).unwrap_or_default();
            let account = account_of(&principal.arn);
            let name = &wanted.session_name;
            format!("arn:{partition}:sts::{account}:federated-user/{name}")
        }
        _ => assumed_role_arn(&wanted.role_arn, &wanted.session_name),
    }
}

/// The result of the call, as it stands in the answer.
pub(super) fn result_xml(issued: &Issued) -> String {
    let packed = issued.packed_policy_size.map(|size| size.to_string());
    let (user, packed) = match issued.action {
        StsAction::GetSessionToken => (String::new(), None),
        StsAction::GetFederationToken => (federated_user_xml(issued), packed),
        _ => (assumed_role_user_xml(issued), packed),
    };
    [
        credentials_xml(issued),
        user,
        optional("PackedPolicySize", packed.as_deref()),
        optional("SourceIdentity", issued.source_identity.as_deref()),
        evidence_xml(issued),
    ]
    .concat()
}

fn credentials_xml(issued: &Issued) -> String {
    format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>",
        issued.access_key_id,
        issued.secret_access_key,
        issued.session_token,
        issued.expiration.format(&Rfc3339).unwrap_or_default(),
    )
}

fn assumed_role_user_xml(issued: &Issued) -> String {
    format!(
        "<AssumedRoleUser><AssumedRoleId>{}:{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
        unique_id("AROA", &issued.role_arn),
        escape(&issued.session_name),
        escape(&issued.arn),
    )
}

fn federated_user_xml(issued: &Issued) -> String {
    format!(
        "<FederatedUser><FederatedUserId>{}:{}</FederatedUserId><Arn>{}</Arn></FederatedUser>",
        account_of(&issued.arn),
        escape(&issued.session_name),
        escape(&issued.arn),
    )
}

fn evidence_xml(issued: &Issued) -> String {
    let element = |name: &str, value: &str| optional(name, Some(value));
    let saml = issued.saml.as_ref().map(|saml| {
        [
            element("Subject", &saml.subject),
            element("SubjectType", &saml.subject_type),
            element("Issuer", &saml.issuer),
            element("Audience", &saml.audience),
            element("NameQualifier", &saml.name_qualifier),
        ]
        .concat()
    });
    let web = issued.web_identity.as_ref().map(|web| {
        [
            element("SubjectFromWebIdentityToken", &web.subject),
            element("Audience", &web.audience),
            element("Provider", &web.provider),
        ]
        .concat()
    });
    saml.or(web).unwrap_or_default()
}

fn optional(name: &str, value: Option<&str>) -> String {
    value
        .map(|value| format!("<{name}>{}</{name}>", escape(value)))
        .unwrap_or_default()
}

/// The result of `GetCallerIdentity`.
pub(super) fn caller_identity(principal: &Principal) -> String {
    let session_name = principal.caller_arn.rsplit('/').next().unwrap_or_default();
    let account = account_of(&principal.arn);
    let user_id = match principal.kind {
        PrincipalKind::User | PrincipalKind::UserSession => unique_id("AIDA", &principal.arn),
        PrincipalKind::FederatedUser => format!("{account}:{session_name}"),
        PrincipalKind::RoleSession | PrincipalKind::InstanceProfile => {
            format!("{}:{session_name}", unique_id("AROA", &principal.arn))
        }
    };
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{account}</Account>",
        escape(&principal.caller_arn),
        escape(&user_id),
    )
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(BASE32[usize::from(byte % 32)]))
        .collect()
}

fn random_base32(length: usize) -> String {
    base32(&random_bytes(length))
}

/// The stable id that IAM gives to a user or role.
pub(super) fn unique_id(prefix: &str, arn: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, arn.as_bytes());
    format!(
        "{prefix}{}",
        base32(hash.as_ref().get(..17).unwrap_or_default())
    )
}
