//! The STS query protocol: who signed, may they, and the credentials that follow.

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use time::OffsetDateTime;
use url::form_urlencoded;
use uuid::Uuid;

use super::assume_role::AssumeRole;
use super::catalogue::{Account, Catalogue, Principal, PrincipalKind, Role, account_of};
use super::listener::Line;
use super::partition::Partition;
use super::permissions::{Authority, refused_action};
use super::policy::Context;
use super::saml::Assertion;
use super::session::{Caller, caller_identity, issue, result_xml};
use super::signature::{Authorization, SignedRequest};
use super::trust::Wishes;
use super::{
    Shared, StsFault, escape, for_users, iam, mfa, organizations, web_identity, with_saml,
};

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
    let Ok(body) = body else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request_id = Uuid::new_v4().to_string();
    let parameters: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let request = SignedRequest {
        head: &head,
        body: &body,
    };
    if organizations::is_asked(&head.headers) {
        return organizations::call(&shared, &line, &request, &request_id).await;
    }
    let is_iam = parameter(&parameters, "Version") == Some(iam::VERSION);
    shared.note_call(&head.headers, is_iam);
    if let Ok(action) = StsAction::of(&parameters) {
        *(shared.ledger().calls_by_action.entry(action)).or_default() += 1;
    }
    let namespace = if is_iam { iam::NAMESPACE } else { NAMESPACE };
    if let Some(response) = fault(&shared, &line, &parameters, (namespace, &request_id)).await {
        return response;
    }
    if is_iam {
        return iam::call(&shared, &request, &parameters, &request_id);
    }
    match answer(&shared, &request, &parameters, &request_id).await {
        Ok(result) => {
            let action = parameter(&parameters, "Action").unwrap_or_default();
            let document = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
                 </{action}Response>"
            );
            xml(StatusCode::OK, &request_id, document)
        }
        Err(error) => error.into_response_as(NAMESPACE, &request_id),
    }
}

/// What STS is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the actions of STS")]
pub enum StsAction {
    AssumeRole,
    AssumeRoleWithSaml,
    AssumeRoleWithWebIdentity,
    GetCallerIdentity,
    GetFederationToken,
    GetSessionToken,
}

impl StsAction {
    const ALL: [Self; 6] = [
        Self::AssumeRole,
        Self::AssumeRoleWithSaml,
        Self::AssumeRoleWithWebIdentity,
        Self::GetCallerIdentity,
        Self::GetFederationToken,
        Self::GetSessionToken,
    ];

    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithSaml => "AssumeRoleWithSAML",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetFederationToken => "GetFederationToken",
            Self::GetSessionToken => "GetSessionToken",
        }
    }

    /// The action with a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    fn of(parameters: &[(String, String)]) -> Result<Self, StsError> {
        let action = parameter(parameters, "Action").unwrap_or_default();
        let version = parameter(parameters, "Version").unwrap_or("NO_VERSION_SPECIFIED");
        let known = Self::named(action).filter(|_| version == VERSION);
        known.ok_or_else(|| {
            let message = format!("Could not find operation {action} for version {version}");
            StsError::sender(400, "InvalidAction", &message)
        })
    }
}

/// A refusal, as STS words it.
#[derive(Debug)]
pub(super) struct StsError {
    pub(super) status: StatusCode,
    fault: &'static str,
    pub(super) code: &'static str,
    pub(super) message: String,
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

    pub(super) fn denied(principal: &Principal, action: &str, resource: &str) -> Self {
        let message = format!(
            "User: {} is not authorized to perform: sts:{action} on resource: {resource}",
            principal.caller_arn
        );
        Self::sender(403, "AccessDenied", &message)
    }

    /// The refusal in the XML of a service.
    pub(super) fn into_response_as(self, namespace: &str, request_id: &str) -> Response {
        let document = format!(
            "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{}</Type><Code>{}</Code>\
             <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
            self.fault,
            self.code,
            escape(&self.message)
        );
        xml(self.status, request_id, document)
    }
}

pub(super) fn xml(status: StatusCode, request_id: &str, document: String) -> Response {
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
    (namespace, request_id): (&str, &str),
) -> Option<Response> {
    let of_all = shared.next_sts_fault().await;
    let role_arn = parameter(parameters, "RoleArn").unwrap_or_default();
    let of_role = || shared.catalogue().role(role_arn)?.fault;
    let error = match of_all.or_else(of_role)? {
        StsFault::Down | StsFault::Hang => {
            line.cut();
            return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        StsFault::Garbage => return Some("\u{1}<<not the XML that was asked for".into_response()),
        StsFault::Throttle(_) | StsFault::ThrottleEvery(_) => {
            StsError::sender(400, "Throttling", "Rate exceeded")
        }
        StsFault::InternalError(_) => StsError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            fault: "Receiver",
            code: "InternalFailure",
            message: "An internal error has occurred".to_owned(),
        },
        StsFault::AccessDenied => {
            let action = StsAction::of(parameters).ok()?;
            if action == StsAction::GetCallerIdentity {
                return None;
            }
            let action = action.name();
            let message = format!("Not authorized to perform sts:{action} on resource: {role_arn}");
            StsError::sender(403, "AccessDenied", &message)
        }
    };
    Some(error.into_response_as(namespace, request_id))
}

async fn answer(
    shared: &Shared,
    request: &SignedRequest<'_>,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let action = StsAction::of(parameters)?;
    match action {
        StsAction::AssumeRoleWithSaml => {
            demand_unsigned(request, action)?;
            return with_saml::answer(shared, parameters, request_id);
        }
        StsAction::AssumeRoleWithWebIdentity => {
            demand_unsigned(request, action)?;
            return web_identity::answer(shared, parameters, request_id).await;
        }
        _ => {}
    }
    let authorization = Authorization::parse(&request.head.headers)?;
    let caller = authenticate(shared, request, authorization, shared.now())?;
    permit(&caller.principal, action, parameters)?;
    match action {
        StsAction::GetCallerIdentity => Ok(caller_identity(&caller.principal)),
        StsAction::GetFederationToken => {
            for_users::federation_token(shared, caller, parameters, request_id)
        }
        StsAction::GetSessionToken => {
            for_users::session_token(shared, caller, parameters, request_id)
        }
        _ => assume_role(shared, caller, parameters, request_id),
    }
}

/// STS would not mind; here it does, so that credentials which had no business there are noticed.
fn demand_unsigned(request: &SignedRequest<'_>, action: StsAction) -> Result<(), StsError> {
    if request.head.headers.contains_key(header::AUTHORIZATION) {
        let name = action.name();
        let message = format!("{name} needs no signature, and this one has one.");
        return Err(StsError::validation(&message));
    }
    Ok(())
}

/// Which keys may be used for which call at all.
fn permit(
    principal: &Principal,
    action: StsAction,
    parameters: &[(String, String)],
) -> Result<(), StsError> {
    match (action, principal.kind) {
        (StsAction::GetCallerIdentity, _) | (_, PrincipalKind::User) => Ok(()),
        (StsAction::GetFederationToken | StsAction::GetSessionToken, _) => {
            let name = action.name();
            let message = format!("Cannot call {name} with session credentials");
            Err(StsError::sender(403, "AccessDenied", &message))
        }
        (_, PrincipalKind::FederatedUser) => {
            let role_arn = parameter(parameters, "RoleArn").unwrap_or_default();
            Err(StsError::denied(principal, action.name(), role_arn))
        }
        _ => Ok(()),
    }
}

fn assume_role(
    shared: &Shared,
    mut caller: Caller,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let now = shared.now();
    let mut wanted = AssumeRole::parse(parameters)?;
    let proven = mfa::prove(
        &wanted.mfa,
        &caller.principal,
        &mut shared.ledger().used_codes,
        now,
    )?;
    caller.principal.has_mfa |= proven.is_some();
    inherit_tags(&caller.principal, &mut wanted)?;
    let catalogue = shared.catalogue();
    let authority = shared.authority(&caller.principal, now);
    let role = authorize(&catalogue, &caller, &authority, &wanted)?;
    limit_duration(&caller.principal, role, &wanted)?;
    let issued = issue(StsAction::AssumeRole, caller, wanted, now, request_id);
    let result = result_xml(&issued);
    shared.keep(issued);
    Ok(result)
}

/// Transitive tags of the calling session go on to the next one, and cannot be set anew.
fn inherit_tags(principal: &Principal, wanted: &mut AssumeRole) -> Result<(), StsError> {
    for (key, value) in &principal.inherited_tags {
        let is_same = |known: &String| known.to_lowercase() == key.to_lowercase();
        if wanted.tags.iter().any(|(known, _)| is_same(known)) {
            return Err(StsError::validation(
                "One of the specified transitive tag keys can't be set because it conflicts with \
                 a transitive tag key from the calling session.",
            ));
        }
        wanted.tags.push((key.clone(), value.clone()));
        wanted.transitive_tag_keys.push(key.clone());
    }
    Ok(())
}

/// The role's trust; everything that it does not allow, and a role that does not exist, is refused
/// in the same words.
pub(super) fn federate<'a>(
    catalogue: &'a Catalogue,
    wanted: &AssumeRole,
    provider_arn: &str,
    assertion: &Assertion,
) -> Result<&'a Role, StsError> {
    let wishes = Wishes {
        session_name: &assertion.session_name,
        tags: &assertion.tags,
        transitive_tag_keys: &assertion.transitive_tag_keys,
        source_identity: assertion.source_identity.as_deref(),
    };
    let provider = catalogue.saml_provider(provider_arn);
    let evidence = provider.map(|provider| assertion.context(provider));
    let role = catalogue.role(&wanted.role_arn);
    let role = role.filter(|role| {
        account_of(role.arn()) == account_of(provider_arn)
            && catalogue.account(account_of(provider_arn)).is_some()
            && evidence.as_ref().is_some_and(|evidence| {
                let opening = "sts:AssumeRoleWithSAML";
                (role.trust).admits(opening, provider_arn, &wishes, evidence)
            })
            && is_for_federation(role)
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

/// Whether the role is not one of IAM Identity Center, which are for itself alone.
pub(super) fn is_for_federation(role: &Role) -> bool {
    let name = role.arn().rsplit('/').next().unwrap_or_default();
    !name.starts_with("AWSReservedSSO_")
}

/// Who signed: a principal of the catalogue, or a session that this stand-in issued.
pub(super) fn authenticate(
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

/// The trust policy and, where it alone does not suffice, the caller's identity policy. A role
/// that does not exist is refused in the same words.
fn authorize<'a>(
    catalogue: &'a Catalogue,
    caller: &Caller,
    authority: &Authority,
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
    if principal.partition() != Partition::of_arn(role.arn()) {
        return Err(denied("AssumeRole"));
    }
    let source_identity = (wanted.source_identity.as_ref()).or(principal.source_identity.as_ref());
    let wishes = Wishes {
        source_identity: source_identity.map(String::as_str),
        ..wanted.wishes()
    };
    let mut request = Context::default();
    request.set("aws:RequestedRegion", region);
    request.set_all("sts:ExternalId", wanted.external_id.as_deref());
    if let Some(action) = refused_action(authority, principal, role, &wishes, &request) {
        return Err(denied(action.trim_start_matches("sts:")));
    }
    let inherited = principal.source_identity.as_ref();
    if inherited.is_some() && source_identity != inherited {
        return Err(denied("SetSourceIdentity"));
    }
    check_region(account, region)?;
    wanted.check_policy_arns(role.arn())?;
    Ok(role)
}

/// Whether the account has STS active in a region.
pub(super) fn check_region(account: &Account, region: &str) -> Result<(), StsError> {
    if account.disabled_regions.iter().any(|known| known == region) {
        let message = format!(
            "STS is not activated in this region for account:{}. Your account administrator can \
             activate STS in this region using the IAM Console.",
            account.id()
        );
        return Err(StsError::sender(403, "RegionDisabledException", &message));
    }
    Ok(())
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

pub(super) fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}
