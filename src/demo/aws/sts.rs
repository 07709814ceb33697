//! The STS query protocol: who signed, may they, and the credentials that follow.

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use url::form_urlencoded;
use uuid::Uuid;

use super::assume_role::AssumeRole;
use super::catalogue::{Catalogue, Principal, PrincipalKind, Role, account_of, assumed_role_arn};
use super::listener::Line;
use super::partition::Partition;
use super::saml::Assertion;
use super::signature::{Authorization, SignedRequest};
use super::{Issued, SamlEvidence, Shared, StsFault, escape, random_bytes};

const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const MAX_BODY_BYTES: usize = 1 << 18;
const CHAINED_SECONDS: u32 = 3_600;

/// `POST /`: one STS call.
pub(super) async fn call(
    State(shared): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    shared.note_call(&head.headers);
    let Ok(body) = body else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request_id = Uuid::new_v4().to_string();
    let parameters: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    if let Some(response) = fault(&shared, &line, &parameters, &request_id).await {
        return response;
    }
    let request = SignedRequest {
        head: &head,
        body: &body,
    };
    match answer(&shared, &request, &parameters, &request_id) {
        Ok(result) => {
            let action = parameter(&parameters, "Action").unwrap_or_default();
            let document = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
                 </{action}Response>"
            );
            xml(StatusCode::OK, &request_id, document)
        }
        Err(error) => error.into_response_with(&request_id),
    }
}

/// A refusal, as STS words it.
pub(super) struct StsError {
    status: StatusCode,
    fault: &'static str,
    code: &'static str,
    message: String,
}

impl StsError {
    pub(super) fn sender(status: u16, code: &'static str, message: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            status,
            fault: "Sender",
            code,
            message: message.to_owned(),
        }
    }

    pub(super) fn validation(message: &str) -> Self {
        Self::sender(400, "ValidationError", message)
    }

    pub(super) fn unsigned() -> Self {
        let message = "Request is missing Authentication Token";
        Self::sender(403, "MissingAuthenticationToken", message)
    }

    fn denied(principal: &Principal, action: &str, role_arn: &str) -> Self {
        let message = format!(
            "User: {} is not authorized to perform: sts:{action} on resource: {role_arn}",
            principal.caller_arn
        );
        Self::sender(403, "AccessDenied", &message)
    }

    fn into_response_with(self, request_id: &str) -> Response {
        let document = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{}</Type><Code>{}</Code>\
             <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            self.fault,
            self.code,
            escape(&self.message)
        );
        xml(self.status, request_id, document)
    }
}

fn xml(status: StatusCode, request_id: &str, document: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/xml"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-amzn-requestid", request_id),
    ];
    (status, headers, document).into_response()
}

async fn fault(
    shared: &Shared,
    line: &Line,
    parameters: &[(String, String)],
    request_id: &str,
) -> Option<Response> {
    let error = match shared.next_sts_fault().await? {
        StsFault::Down | StsFault::Hang => {
            line.cut();
            return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        StsFault::Garbage => return Some("\u{1}<<not the XML that was asked for".into_response()),
        StsFault::Throttle(_) => StsError::sender(400, "Throttling", "Rate exceeded"),
        StsFault::InternalError(_) => StsError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            fault: "Receiver",
            code: "InternalFailure",
            message: "An internal error has occurred".to_owned(),
        },
        StsFault::AccessDenied => {
            let role = parameter(parameters, "RoleArn")?;
            let action = parameter(parameters, "Action")?;
            let message = format!("Not authorized to perform sts:{action} on resource: {role}");
            StsError::sender(403, "AccessDenied", &message)
        }
    };
    Some(error.into_response_with(request_id))
}

fn answer(
    shared: &Shared,
    request: &SignedRequest<'_>,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let action = parameter(parameters, "Action").unwrap_or_default();
    let version = parameter(parameters, "Version").unwrap_or("NO_VERSION_SPECIFIED");
    let known = ["AssumeRole", "AssumeRoleWithSAML", "GetCallerIdentity"];
    if !known.contains(&action) || version != VERSION {
        let message = format!("Could not find operation {action} for version {version}");
        return Err(StsError::sender(400, "InvalidAction", &message));
    }
    if action == "AssumeRoleWithSAML" {
        if request.head.headers.contains_key(header::AUTHORIZATION) {
            let message = "AssumeRoleWithSAML needs no signature, and this one has one.";
            return Err(StsError::validation(message));
        }
        return answer_saml(shared, parameters, request_id);
    }
    let authorization = Authorization::parse(&request.head.headers)?;
    let now = shared.now();
    let caller = authenticate(shared, request, authorization, now)?;
    if action == "GetCallerIdentity" {
        return Ok(caller_identity(&caller.principal));
    }
    let wanted = AssumeRole::parse(parameters)?;
    let catalogue = shared.catalogue();
    let role = authorize(&catalogue, &caller, &wanted)?;
    limit_duration(&caller.principal, role, &wanted)?;
    let issued = issue(caller, role, wanted, now, request_id);
    let result = credentials_xml(&issued, role);
    shared.keep(issued);
    Ok(result)
}

/// `AssumeRoleWithSAML`: the assertion in place of a signature.
fn answer_saml(
    shared: &Shared,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let (mut wanted, provider_arn, response) = AssumeRole::parse_with_saml(parameters)?;
    let now = shared.now();
    let catalogue = shared.catalogue();
    let provider = catalogue.saml_provider(&provider_arn);
    let provider = provider.ok_or_else(|| {
        let message = "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; \
                       Status Code: 400; Error Code: AuthSamlManifestNotFoundException)";
        StsError::sender(400, "InvalidIdentityToken", message)
    })?;
    let assertion = Assertion::read(&response, provider, now)?;
    if !assertion.names(&wanted.role_arn, &provider_arn) {
        let message = "SAML Assertion doesn't contain the requested Role and Metadata in the \
                       attributes";
        return Err(StsError::sender(400, "InvalidIdentityToken", message));
    }
    let role = federate(&catalogue, &wanted, &provider_arn, &assertion)?;
    wanted.check_policy_arns(role)?;
    if wanted.duration_seconds > role.max_session_seconds {
        return Err(StsError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let left = (assertion.session_end).map(|end| (end - now).whole_seconds());
    let left = left.and_then(|seconds| u32::try_from(seconds).ok());
    for limit in [assertion.session_seconds, left].into_iter().flatten() {
        wanted.duration_seconds = wanted.duration_seconds.min(limit);
    }
    wanted.session_name = assertion.session_name;
    wanted.tags = assertion.tags;
    wanted.transitive_tag_keys = assertion.transitive_tag_keys;
    wanted.source_identity = assertion.source_identity;
    let caller = Caller {
        principal: Principal::user(&provider_arn, "", ""),
        region: String::new(),
    };
    let mut issued = issue(caller, role, wanted, now, request_id);
    issued.saml = Some(SamlEvidence {
        response,
        assertion_id: assertion.id,
        provider_arn,
        issuer: assertion.issuer,
        subject: assertion.name_id.unwrap_or_default(),
        subject_type: assertion.name_id_type,
        audience: assertion.recipient,
        name_qualifier: provider.name_qualifier(),
    });
    let result = credentials_xml(&issued, role);
    shared.keep(issued);
    Ok(result)
}

/// The role's trust; everything that it does not allow, and a role that does not exist, is refused
/// in the same words.
fn federate<'a>(
    catalogue: &'a Catalogue,
    wanted: &AssumeRole,
    provider_arn: &str,
    assertion: &Assertion,
) -> Result<&'a Role, StsError> {
    let role = catalogue.role(&wanted.role_arn);
    let role = role.filter(|role| {
        let trust = &role.trust;
        account_of(role.arn()) == account_of(provider_arn)
            && catalogue.account(account_of(provider_arn)).is_some()
            && trust.federates(provider_arn, &assertion.recipient)
            && (assertion.tags.is_empty() || trust.allows_session_tags)
            && (assertion.source_identity.is_none() || trust.allows_source_identity)
            && assertion
                .name_id
                .as_ref()
                .is_some_and(|name| !name.is_empty())
    });
    role.ok_or_else(|| {
        let message = "Not authorized to perform sts:AssumeRoleWithSAML";
        StsError::sender(403, "AccessDenied", message)
    })
}

/// Who signed, and for which region.
struct Caller {
    principal: Principal,
    region: String,
}

/// Who signed: a principal of the catalogue, or a session that this stand-in issued.
fn authenticate(
    shared: &Shared,
    request: &SignedRequest<'_>,
    authorization: Authorization,
    now: OffsetDateTime,
) -> Result<Caller, StsError> {
    let invalid = || {
        let message = "The security token included in the request is invalid.";
        StsError::sender(403, "InvalidClientTokenId", message)
    };
    let key = &authorization.access_key_id;
    let (principal, expiration) = shared.signer(key).ok_or_else(invalid)?;
    let token = request
        .head
        .headers
        .get("x-amz-security-token")
        .map(HeaderValue::as_bytes);
    if principal.session_token.as_ref().map(String::as_bytes) != token {
        return Err(invalid());
    }
    if principal.partition() != Partition::of_region(&authorization.region) {
        return Err(invalid());
    }
    authorization.verify(request, &principal.secret_access_key, now)?;
    if expiration.is_some_and(|expiration| expiration <= now) {
        let message = "The security token included in the request is expired";
        return Err(StsError::sender(403, "ExpiredToken", message));
    }
    Ok(Caller {
        principal,
        region: authorization.region,
    })
}

fn caller_identity(principal: &Principal) -> String {
    let user_id = match principal.kind {
        PrincipalKind::User => unique_id("AIDA", &principal.arn),
        _ => format!(
            "{}:{}",
            unique_id("AROA", &principal.arn),
            principal.caller_arn.rsplit('/').next().unwrap_or_default()
        ),
    };
    format!(
        "<Arn>{}</Arn><UserId>{user_id}</UserId><Account>{}</Account>",
        escape(&principal.caller_arn),
        account_of(&principal.arn)
    )
}

/// The trust policy and, where it alone does not suffice, the caller's identity policy. A role
/// that does not exist is refused in the same words.
fn authorize<'a>(
    catalogue: &'a Catalogue,
    caller: &Caller,
    wanted: &AssumeRole,
) -> Result<&'a Role, StsError> {
    let Caller { principal, region } = caller;
    let denied = |action: &str| StsError::denied(principal, action, &wanted.role_arn);
    let role = catalogue
        .role(&wanted.role_arn)
        .ok_or_else(|| denied("AssumeRole"))?;
    let account_id = account_of(role.arn());
    let account = catalogue
        .account(account_id)
        .ok_or_else(|| denied("AssumeRole"))?;
    let trust = &role.trust;
    let is_named =
        (trust.principals.iter()).any(|arn| *arn == principal.arn || *arn == principal.caller_arn);
    let partition = principal.arn.split(':').nth(1).unwrap_or_default();
    let root = format!("arn:{partition}:iam::{}:root", account_of(&principal.arn));
    let is_trusted = is_named || trust.principals.contains(&root);
    let is_same_account = account_of(&principal.arn) == account_id;
    let is_allowed = (is_named && is_same_account) || principal.is_allowed(role.arn());
    let is_partition_right = principal.partition() == Partition::of_arn(role.arn());
    let is_external_id_right =
        trust.external_id.is_none() || trust.external_id == wanted.external_id;
    if !(is_trusted && is_allowed && is_partition_right && is_external_id_right) {
        return Err(denied("AssumeRole"));
    }
    if !wanted.tags.is_empty() && !trust.allows_session_tags {
        return Err(denied("TagSession"));
    }
    let sets_identity = wanted.source_identity.is_some() || principal.source_identity.is_some();
    let changes_identity = principal.source_identity.is_some()
        && wanted.source_identity.is_some()
        && principal.source_identity != wanted.source_identity;
    if changes_identity || (sets_identity && !trust.allows_source_identity) {
        return Err(denied("SetSourceIdentity"));
    }
    if account
        .disabled_regions
        .iter()
        .any(|disabled| disabled == region)
    {
        let message = format!(
            "STS is not activated in this region for account:{account_id}. Your account \
             administrator can activate STS in this region using the IAM Console."
        );
        return Err(StsError::sender(403, "RegionDisabledException", &message));
    }
    wanted.check_policy_arns(role)?;
    Ok(role)
}

fn limit_duration(principal: &Principal, role: &Role, wanted: &AssumeRole) -> Result<(), StsError> {
    let is_chained = principal.kind == PrincipalKind::RoleSession;
    if is_chained && wanted.duration_seconds > CHAINED_SECONDS {
        return Err(StsError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    if wanted.duration_seconds > role.max_session_seconds {
        return Err(StsError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(())
}

fn issue(
    caller: Caller,
    role: &Role,
    wanted: AssumeRole,
    now: OffsetDateTime,
    request_id: &str,
) -> Issued {
    let Caller { principal, region } = caller;
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let packed = wanted.packed_size();
    Issued {
        arn: assumed_role_arn(role.arn(), &wanted.session_name),
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
        is_chained: principal.kind == PrincipalKind::RoleSession,
        access_key_id: format!("ASIA{}", random_base32(16)),
        secret_access_key: STANDARD.encode(random_bytes(30)),
        session_token: format!("IQoJb3JpZ2luX2VjE{}", STANDARD.encode(random_bytes(516))),
        expiration: now + Duration::seconds(i64::from(wanted.duration_seconds)),
        request_id: request_id.to_owned(),
        region,
        saml: None,
    }
}

fn credentials_xml(issued: &Issued, role: &Role) -> String {
    let optional = |name: &str, value: Option<String>| {
        value
            .map(|value| format!("<{name}>{}</{name}>", escape(&value)))
            .unwrap_or_default()
    };
    format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>{}:{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>{}{}",
        issued.access_key_id,
        issued.secret_access_key,
        issued.session_token,
        issued.expiration.format(&Rfc3339).unwrap_or_default(),
        unique_id("AROA", role.arn()),
        escape(&issued.session_name),
        escape(&issued.arn),
        optional(
            "PackedPolicySize",
            issued.packed_policy_size.map(|size| size.to_string())
        ),
        optional("SourceIdentity", issued.source_identity.clone())
            + &issued.saml.as_ref().map(evidence_xml).unwrap_or_default(),
    )
}

fn evidence_xml(saml: &SamlEvidence) -> String {
    let element = |name: &str, value: &str| format!("<{name}>{}</{name}>", escape(value));
    [
        element("Subject", &saml.subject),
        element("SubjectType", &saml.subject_type),
        element("Issuer", &saml.issuer),
        element("Audience", &saml.audience),
        element("NameQualifier", &saml.name_qualifier),
    ]
    .concat()
}

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
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
fn unique_id(prefix: &str, arn: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, arn.as_bytes());
    format!(
        "{prefix}{}",
        base32(hash.as_ref().get(..17).unwrap_or_default())
    )
}
