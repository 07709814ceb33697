//! `/api/v1/container`: what AWS SDKs ask for as container credentials, in its exact form.
//!
//! The SDKs send what stands in their token file as the whole `Authorization` header, wait a second or
//! two, and show at most the status of an error. Never here: what is kept and for how long. Entry
//! point: [`routes`].

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::super::{App, client_address::Origin, headers::keep_secret};
use crate::{
    access::{AccountId, Entitlement, NotEntitled, Policy, TargetArn, TokenScope},
    broker::{
        Caller, CallerRefused, Client, GroupsRefused, KeptCredentials, OpenRefused, Presented,
        StoreError,
    },
};

/// When to come back where something does not answer, in seconds.
const SOON: u64 = 5;

/// What container credentials add to the document of the API.
#[derive(OpenApi)]
#[openapi(paths(list, show))]
struct Document;

/// `/api/v1/container` and what lies below. A role's ARN has slashes in it, which the document's
/// notation cannot say.
pub(super) fn routes() -> OpenApiRouter<App> {
    let mut router = OpenApiRouter::new()
        .route("/api/v1/container", get(list))
        .route("/api/v1/container/", get(list))
        .route("/api/v1/container/{*role}", get(show));
    router.get_openapi_mut().merge(Document::openapi());
    router
}

/// Credentials as the SDKs' container provider reads them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
struct ContainerCredentials<'a> {
    /// `Success`.
    code: &'static str,
    /// `AWS-HMAC`.
    #[serde(rename = "Type")]
    kind: &'static str,
    /// When AWS issued them.
    last_updated: String,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    /// The session token.
    token: &'a str,
    /// When they end.
    expiration: String,
    account_id: &'a str,
    role_arn: &'a str,
}

/// Why there are none.
#[derive(Debug, Serialize, ToSchema)]
struct ContainerError {
    /// A stable code, such as `NotEntitled`.
    code: &'static str,
    /// What it means and what to do, for people.
    message: String,
}

/// An error on its way out.
struct Refused {
    status: StatusCode,
    error: ContainerError,
    retry_after: Option<u64>,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            error: ContainerError { code, message },
            retry_after: None,
        }
    }

    fn later(status: StatusCode, code: &'static str, message: &str, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds.max(1)),
            ..Self::new(status, code, message)
        }
    }

    fn store(error: &StoreError) -> Self {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the store is unavailable"
        );
        metrics::counter!("rolegate_store_failures_total").increment(1);
        let message = "Rolegate cannot keep its records at the moment, so it issues nothing.";
        Self::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "StoreUnavailable",
            message,
            SOON,
        )
    }

    fn token(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidToken", message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.error)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// The names of the roles that a program can have credentials of, one a line.
///
/// A token that is limited to one role sees that one. A name that several accounts have is written
/// `account/role`.
#[utoipa::path(
    get,
    path = "/api/v1/container",
    operation_id = "container_roles",
    tag = "Container credentials",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 401, body = ContainerError, description = "no token, or none that is good"),
        (status = 403, body = ContainerError, description = "the token is for something else"),
        (status = 429, body = ContainerError),
        (status = 503, body = ContainerError, description = "comes with `Retry-After`"),
    ),
    security(("token" = ["credentials"]))
)]
async fn list(State(app): State<App>, origin: Origin, headers: HeaderMap) -> Response {
    match names(&app, &origin, &headers).await {
        Ok(text) => text.into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn names(app: &App, origin: &Origin, headers: &HeaderMap) -> Result<String, Refused> {
    let (caller, _) = caller(app, origin, headers).await?;
    let policy = app.broker.policy().await;
    let policy = policy.map_err(|error| Refused::store(&error))?;
    let mut text = String::new();
    for (_, name) in offered(app, &policy, &caller) {
        text.push_str(&name);
        text.push('\n');
    }
    Ok(text)
}

/// Credentials of one role, from what is kept where they last for a while.
///
/// The role is an ARN, `account/role`, or a name that only one of the person's roles has.
#[utoipa::path(
    get,
    path = "/api/v1/container/{role}",
    operation_id = "container_credentials",
    tag = "Container credentials",
    params(("role" = String, Path, description = "the role; its slashes are sent as they are")),
    responses(
        (status = 200, body = ContainerCredentials<'static>),
        (status = 400, body = ContainerError, description = "what was sent cannot be read"),
        (status = 401, body = ContainerError, description = "no token, or none that is good"),
        (status = 403, body = ContainerError, description = "not the person's, or not for programs"),
        (status = 404, body = ContainerError, description = "no such role"),
        (status = 429, body = ContainerError),
        (status = 502, body = ContainerError, description = "AWS refused"),
        (status = 503, body = ContainerError, description = "comes with `Retry-After`"),
    ),
    security(("token" = ["credentials"]))
)]
async fn show(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    Path(role): Path<String>,
) -> Response {
    match credentials(&app, &origin, &headers, &role).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

async fn credentials(
    app: &App,
    origin: &Origin,
    headers: &HeaderMap,
    role: &str,
) -> Result<Response, Refused> {
    let (caller, client) = caller(app, origin, headers).await?;
    let policy = app.broker.policy().await;
    let policy = policy.map_err(|error| Refused::store(&error))?;
    let role = meant(app, &policy, &caller, role)?;
    let kept = app.broker.kept_credentials(caller, &role, &client).await;
    let kept = kept.map_err(|refused| not_opened(app, &role, &refused))?;
    Ok(answer(&kept))
}

fn answer(kept: &KeptCredentials) -> Response {
    let account = kept.role.account();
    let mut response = Json(ContainerCredentials {
        code: "Success",
        kind: "AWS-HMAC",
        last_updated: in_seconds(kept.issued_at),
        access_key_id: &kept.access_key_id,
        secret_access_key: kept.secret_access_key.expose_secret(),
        token: kept.session_token.expose_secret(),
        expiration: in_seconds(kept.expires_at),
        account_id: account.as_str(),
        role_arn: kept.role.as_str(),
    })
    .into_response();
    keep_secret(&mut response);
    response
}

/// RFC 3339 in UTC, whole seconds: not every SDK reads fractions.
fn in_seconds(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}

/// Who calls, if they may have credentials at all.
async fn caller(
    app: &App,
    origin: &Origin,
    headers: &HeaderMap,
) -> Result<(Caller, Client), Refused> {
    let Some(token) = token(headers) else {
        return Err(Refused::token(
            "Send a broker token as the Authorization header, without a line break at its end.",
        ));
    };
    let client = origin.client(None);
    let presented = Presented::Bearer {
        token,
        issuer: None,
    };
    let caller = app.broker.caller(presented, &client).await;
    let caller = caller.map_err(|refused| not_known(&refused))?;
    (app.broker.count_request(&caller.session.identity))
        .map_err(|wait| throttled(wait.as_secs()))?;
    if !caller.may(TokenScope::Credentials) {
        let message =
            "This token was not made for credentials. Make one that is, under My sessions.";
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "InsufficientScope",
            message,
        ));
    }
    Ok((caller, client))
}

/// The token of `Authorization: Bearer TOKEN`, or of `Authorization: TOKEN` as SDKs send it.
fn token(headers: &HeaderMap) -> Option<SecretString> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) => return None,
        None => text,
    };
    (!token.is_empty()).then(|| token.to_owned().into())
}

/// Which role is meant: a bare name is looked for among the person's own.
fn meant(app: &App, policy: &Policy, caller: &Caller, text: &str) -> Result<String, Refused> {
    let text = text.trim_end_matches('/');
    if text.starts_with("arn:") {
        return Ok(text.to_owned());
    }
    if let Some((account, name)) = text.split_once('/') {
        // As an ARN, so that a refusal can say where a person opens it.
        let account = account.parse::<AccountId>().ok();
        let arn = account.and_then(|account| policy.role_named(&account, name));
        return Ok(arn.map_or_else(|| text.to_owned(), ToString::to_string));
    }
    if let Some(only) = &caller.role
        && only.name() == text
    {
        return Ok(only.to_string());
    }
    let entitlements = entitlements(app, policy, caller);
    let mut named = entitlements
        .iter()
        .map(|entitlement| &entitlement.role.arn)
        .filter(|arn| arn.name() == text);
    match (named.next(), named.next()) {
        (Some(arn), None) => Ok(arn.to_string()),
        (Some(arn), Some(other)) => Err(Refused::new(
            StatusCode::NOT_FOUND,
            "AmbiguousRole",
            format!(
                "Several of your roles have this name: write {} or {}.",
                path_of(policy, arn),
                path_of(policy, other)
            ),
        )),
        (None, _) => Err(no_such_role()),
    }
}

fn no_such_role() -> Refused {
    let message = "There is no such role. GET /api/v1/container lists those that you have.";
    Refused::new(StatusCode::NOT_FOUND, "UnknownRole", message)
}

/// The roles that a program can have credentials of, with the names to ask for them by.
fn offered(app: &App, policy: &Policy, caller: &Caller) -> Vec<(TargetArn, String)> {
    let entitlements = entitlements(app, policy, caller);
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for entitlement in &entitlements {
        *count.entry(entitlement.role.arn.name()).or_default() += 1;
    }
    let is_own = |arn: &TargetArn| caller.role.as_ref().is_none_or(|only| only == arn);
    (entitlements.iter())
        .filter(|entitlement| is_own(&entitlement.role.arn) && entitlement.opens_without_asking())
        .map(|entitlement| {
            let arn = &entitlement.role.arn;
            let is_single = caller.role.is_some() || count.get(arn.name()) == Some(&1);
            let name = if is_single {
                arn.name().to_owned()
            } else {
                path_of(policy, arn)
            };
            (arn.clone(), name)
        })
        .collect()
}

fn entitlements<'a>(app: &App, policy: &'a Policy, caller: &Caller) -> Vec<Entitlement<'a>> {
    policy.entitlements(&caller.session.identity, app.broker.now())
}

/// `account/role`, where that means the role; else its ARN.
pub(in crate::web) fn path_of(policy: &Policy, arn: &TargetArn) -> String {
    if policy.role_named(&arn.account(), arn.name()) == Some(arn) {
        format!("{}/{}", arn.account(), arn.name())
    } else {
        arn.to_string()
    }
}

fn not_known(refused: &CallerRefused) -> Refused {
    match refused {
        CallerRefused::Refused { .. }
        | CallerRefused::Token { .. }
        | CallerRefused::PasswordChangeRequired { .. } => Refused::token(
            "This token is not good, or no longer: it may have ended or been signed out. Make a new \
             one under My sessions.",
        ),
        CallerRefused::Unclear(message) => {
            Refused::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
        }
        CallerRefused::Throttled { retry_after } => throttled(retry_after.as_secs()),
        CallerRefused::Unavailable(_) => Refused::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "Unavailable",
            "What knows you does not answer at the moment.",
            SOON,
        ),
        CallerRefused::StoreUnavailable(error) => Refused::store(error),
    }
}

fn throttled(seconds: u64) -> Refused {
    let message = "Too many requests. Wait as long as Retry-After says.";
    Refused::later(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        message,
        seconds,
    )
}

fn not_opened(app: &App, role: &str, refused: &OpenRefused) -> Refused {
    let here = || match role.parse::<TargetArn>() {
        Ok(arn) => app.broker.deep_link(&arn, None).to_string(),
        Err(_) => app.broker.settings().public_url.to_string(),
    };
    let forbidden = |code, message| Refused::new(StatusCode::FORBIDDEN, code, message);
    match refused {
        OpenRefused::NotEntitled { reason, .. } => not_entitled(reason, &here()),
        OpenRefused::CodeNeeded { .. } => forbidden(
            "CodeRequired",
            format!(
                "This role asks for a code of an MFA device, which a program cannot give. You can \
                 open it at {}",
                here()
            ),
        ),
        OpenRefused::FreshAssertion | OpenRefused::NoAssertion => forbidden(
            "SignInRequired",
            format!(
                "AWS wants to see your identity provider's word for this role, which only a browser \
                 brings. You can open it at {}",
                here()
            ),
        ),
        OpenRefused::ConsoleOnly | OpenRefused::NoAwsApplication => forbidden(
            "ConsoleOnly",
            format!(
                "This role opens in the console alone. You can open it at {}",
                here()
            ),
        ),
        OpenRefused::Groups(refused) => old_groups(refused),
        OpenRefused::Throttled { retry_after } => throttled(retry_after.as_secs()),
        OpenRefused::Sts(error) if refused.is_aws_outage() => Refused::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "AwsUnavailable",
            &error.for_person(),
            SOON,
        ),
        OpenRefused::Sts(error) => {
            Refused::new(StatusCode::BAD_GATEWAY, "AwsRefused", error.for_person())
        }
        OpenRefused::StoreUnavailable(error) => Refused::store(error),
        OpenRefused::OutsideToken => forbidden(
            "NotEntitled",
            "This token is for another role, and for that alone.".to_owned(),
        ),
        OpenRefused::Destination(_)
        | OpenRefused::Duration(_)
        | OpenRefused::ReasonTooLong
        | OpenRefused::SignIn(_) => Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "Something went wrong here. The log has it under this request's id.",
        ),
    }
}

fn not_entitled(reason: &NotEntitled, here: &str) -> Refused {
    let message = match reason {
        NotEntitled::UnknownRole => return no_such_role(),
        NotEntitled::NoMapping | NotEntitled::GroupRecreated(_) => {
            "None of your groups gives you this role.".to_owned()
        }
        NotEntitled::ReasonRequired(_) => format!(
            "This role asks for a reason, which a program cannot give. You can open it at {here}"
        ),
        NotEntitled::Expired { .. } => "Your access to this role has ended.".to_owned(),
        NotEntitled::EndsTooSoon { .. } => {
            "Your access to this role ends in less than the 15 minutes that AWS needs.".to_owned()
        }
        reason => format!(
            "This role cannot be opened so ({}). What stands in the way is shown at {here}",
            reason.code()
        ),
    };
    let code = match reason {
        NotEntitled::ReasonRequired(_) => "ReasonRequired",
        _ => "NotEntitled",
    };
    Refused::new(StatusCode::FORBIDDEN, code, message)
}

fn old_groups(refused: &GroupsRefused) -> Refused {
    match refused {
        GroupsRefused::AccountGone => {
            Refused::token("Your account is disabled or gone, so that this token has ended.")
        }
        GroupsRefused::SignInAgain => Refused::token(
            "Your groups were read too long ago to go by. Sign in and make a new token under My \
             sessions.",
        ),
        GroupsRefused::DirectoryUnavailable(_) => Refused::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "DirectoryUnavailable",
            "Your directory does not answer, and your groups were read too long ago to go by.",
            SOON,
        ),
        GroupsRefused::StoreUnavailable(error) => Refused::store(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        token(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn a_token_is_taken_as_sdks_send_it_and_as_a_bearer_token() {
        for value in ["rgk_abc", "Bearer rgk_abc", "bearer  rgk_abc"] {
            assert_eq!(sent(value).as_deref(), Some("rgk_abc"), "{value:?}");
        }
        for value in ["", "Basic YTpi", "rgk_abc def"] {
            assert_eq!(sent(value), None, "{value:?}");
        }
    }

    #[test]
    fn moments_are_whole_seconds_in_utc() {
        let at = time::macros::datetime!(2026-11-24 10:00:00.9 +1);
        assert_eq!(in_seconds(at), "2026-11-24T09:00:00Z");
    }
}
