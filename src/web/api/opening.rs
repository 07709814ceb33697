//! `POST /api/v1/credentials`, `POST /api/v1/console`: opening a role.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::{App, error::Frame, headers::keep_secret, pages::in_own_task},
    caller::Calling,
    error::ApiError,
    input::{Body, filled},
    roles::{is_within, opens_credentials},
};
use crate::{
    access::TokenScope,
    broker::{Caller, CallerOpened, IssuedCredentials, OpenOrder, StoreError},
};

/// For how long AWS takes a sign-in address (IAM User Guide, "Enabling custom identity broker access
/// to the AWS console").
const SIGN_IN_SECONDS: u32 = 900;
/// How many roles are named to somebody who did not say which.
const CHOICES: usize = 100;

/// Which credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "arn:aws:iam::111122223333:role/ReadOnly", "duration": "1h"}))]
pub(super) struct CredentialsOrder {
    /// The role's ARN, or `account/role`. May be left out where you hold just one.
    role: Option<String>,
    /// `45m`, a number of seconds, or the moment it ends (RFC 3339); else as long as allowed.
    duration: Option<String>,
    /// Whether to narrow the session to reading.
    read_only: Option<bool>,
    /// Why; some roles ask for it.
    reason: Option<String>,
    /// The code of an MFA device; some roles ask for it.
    #[schema(value_type = Option<String>, write_only)]
    mfa_code: Option<SecretString>,
    /// The region to work in.
    region: Option<String>,
}

/// Temporary credentials, as AWS's tools read them from a `credential_process`. No `Debug`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Credentials {
    /// Always 1.
    version: u8,
    /// The access key's id.
    access_key_id: String,
    /// The secret key.
    secret_access_key: String,
    /// The session token.
    session_token: String,
    /// When they end.
    #[serde(with = "time::serde::rfc3339")]
    expiration: OffsetDateTime,
    /// The account.
    account_id: String,
    /// The role.
    role_arn: String,
    /// Who AWS takes the bearer for.
    assumed_role_arn: String,
    /// `aws:userid` of the session; empty where AWS does not tell.
    assumed_role_id: String,
    /// The region to work in, where one is known.
    region: Option<String>,
    /// Whether they are narrowed to reading.
    #[serde(rename = "read_only")]
    read_only: bool,
    /// What applications are told of the role, such as a bucket and a prefix.
    #[serde(rename = "public_values")]
    public_values: BTreeMap<String, String>,
}

impl From<IssuedCredentials> for Credentials {
    fn from(issued: IssuedCredentials) -> Self {
        let credentials = issued.credentials;
        Self {
            version: 1,
            secret_access_key: credentials.secret_access_key.expose_secret().to_owned(),
            session_token: credentials.session_token.expose_secret().to_owned(),
            access_key_id: credentials.access_key_id,
            expiration: credentials.expiration,
            account_id: issued.role.account().to_string(),
            role_arn: issued.role.to_string(),
            assumed_role_arn: issued.assumed_role_arn,
            assumed_role_id: issued.assumed_role_id,
            region: issued.region,
            read_only: issued.is_read_only,
            public_values: issued.public_values,
        }
    }
}

/// Credentials of a role
///
/// Temporary credentials, in the form that AWS's tools read from a `credential_process`. Without
/// `role`, of the one role that you hold; where there are several, 422 `role_ambiguous` names them.
/// Needs the scope `credentials`. Browsers may call it from the origins of a trusted issuer, without
/// cookies.
#[utoipa::path(
    post, path = "/api/v1/credentials", operation_id = "credentials", tag = "Roles",
    request_body = CredentialsOrder,
    params(("rolegate-issuer" = Option<String>, Header,
            description = "The id of the trusted issuer of a token that does not say whose it is.")),
    security(("token" = ["credentials"]), ("password" = [])),
    responses(
        (status = 200, description = "The credentials.", body = Credentials),
        (status = 422, description = "You hold several roles and do not say which one; `choices` \
            names them.", body = super::error::ErrorBody)
    )
)]
pub(super) async fn credentials(
    State(app): State<App>,
    calling: Calling,
    frame: Frame,
    Body(order): Body<CredentialsOrder>,
) -> Result<Response, ApiError> {
    let Calling { caller, client } = calling.allowed(TokenScope::Credentials)?;
    let role = match filled(order.role) {
        Some(role) => role,
        None => the_one_role(&app, &caller, &frame).await?,
    };
    let order = OpenOrder {
        role,
        region: filled(order.region),
        duration: filled(order.duration),
        reason: filled(order.reason),
        read_only: order.read_only.unwrap_or_default(),
        mfa_code: order.mfa_code,
        ..OpenOrder::default()
    };
    count(&app, &caller)?;
    let broker = Arc::clone(&app.broker);
    let issued = in_own_task(async move {
        let mut caller = caller;
        let issued = broker.caller_credentials(&mut caller, &order, &client);
        (issued.await, order)
    });
    let (issued, order) = issued.await.ok_or_else(ApiError::internal)?;
    match issued {
        Ok(issued) => {
            let mut response = Json(Credentials::from(issued)).into_response();
            keep_secret(&mut response);
            Ok(response)
        }
        Err(refused) => Err(ApiError::of_opening(&refused, &order, (&app, &frame)).await),
    }
}

/// The role that is meant where none is named.
async fn the_one_role(app: &App, caller: &Caller, frame: &Frame) -> Result<String, ApiError> {
    let failed = |error: StoreError| ApiError::store_unavailable(frame, &error);
    let policy = app.broker.policy().await.map_err(failed)?;
    let held = policy.entitlements(&caller.session.identity, app.broker.now());
    let mut roles = (held.iter())
        .filter(|held| is_within(caller, held) && opens_credentials(held))
        .map(|held| held.role.arn.to_string());
    match (roles.next(), roles.next()) {
        (Some(role), None) => Ok(role),
        (Some(first), Some(second)) => {
            let choices = [first, second].into_iter().chain(roles);
            Err(ApiError::ambiguous(choices.take(CHOICES).collect()))
        }
        (None, _) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "not_entitled",
            "You hold no role that gives credentials.",
        )),
    }
}

fn count(app: &App, caller: &Caller) -> Result<(), ApiError> {
    (app.broker.count_api_order(&caller.session.identity))
        .map_err(|wait| ApiError::throttled("too_many_credentials", wait))
}

/// Which console.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "111122223333/ReadOnly", "destination": "s3"}))]
pub(super) struct ConsoleOrder {
    /// The role's ARN, or `account/role`.
    role: String,
    /// Where in the console: an address of it, or the name of a service.
    destination: Option<String>,
    /// The region.
    region: Option<String>,
    /// `45m`, a number of seconds, or the moment it ends (RFC 3339); else as long as allowed.
    duration: Option<String>,
    /// Why; some roles ask for it.
    reason: Option<String>,
    /// Whether to narrow the session to reading.
    read_only: Option<bool>,
    /// The code of an MFA device; some roles ask for it.
    #[schema(value_type = Option<String>, write_only)]
    mfa_code: Option<SecretString>,
}

/// An address that opens the console. No `Debug`: it is a secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Console {
    /// The address. Whoever has it has the session.
    url: String,
    /// For how many seconds AWS takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_in: Option<u32>,
    /// Set where the address is one of Rolegate's, because only a browser that is signed in here can
    /// open the role; nothing was opened yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    opens_here: Option<bool>,
}

/// The AWS console of a role
///
/// An address that opens the AWS console once, within 15 minutes. For roles that only a browser can
/// open it is one of Rolegate's, with `opens_here`. Needs the scope `credentials`.
#[utoipa::path(
    post, path = "/api/v1/console", operation_id = "console", tag = "Roles",
    request_body = ConsoleOrder,
    security(("token" = ["credentials"]), ("password" = [])),
    responses((status = 200, description = "The address.", body = Console))
)]
pub(super) async fn console(
    State(app): State<App>,
    calling: Calling,
    frame: Frame,
    Body(order): Body<ConsoleOrder>,
) -> Result<Response, ApiError> {
    let Calling { caller, client } = calling.allowed(TokenScope::Credentials)?;
    let order = OpenOrder {
        role: order.role.trim().to_owned(),
        destination: filled(order.destination),
        region: filled(order.region),
        duration: filled(order.duration),
        reason: filled(order.reason),
        read_only: order.read_only.unwrap_or_default(),
        sign_out_first: false,
        mfa_code: order.mfa_code,
    };
    count(&app, &caller)?;
    let broker = Arc::clone(&app.broker);
    let opened = in_own_task(async move {
        let mut caller = caller;
        let opened = broker.caller_console(&mut caller, &order, &client);
        (opened.await, order)
    });
    let (opened, order) = opened.await.ok_or_else(ApiError::internal)?;
    let console = match opened {
        Ok(CallerOpened::Console(url)) => Console {
            url: url.into_location(),
            expires_in: Some(SIGN_IN_SECONDS),
            opens_here: None,
        },
        Ok(CallerOpened::Here(url)) => Console {
            url: url.into(),
            expires_in: None,
            opens_here: Some(true),
        },
        Err(refused) => {
            return Err(ApiError::of_opening(&refused, &order, (&app, &frame)).await);
        }
    };
    let mut response = Json(console).into_response();
    keep_secret(&mut response);
    Ok(response)
}
