//! `/api/v1/tokens`: what holds broker tokens for the caller, and tokens made by hand.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::{App, error::Frame, headers::keep_secret, pages::in_own_task},
    caller::Calling,
    error::{ApiError, sentence},
    input::{Body, Named, filled},
};
use crate::{
    access::{TokenScope, TokenScopes},
    broker::{Caller, CallerWay, NotMade, SignInSession, StoreError, TokenWish},
};

/// What holds broker tokens for the caller.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// Its id, to end it by.
    id: String,
    /// What it calls itself, or what you called it.
    name: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// The one role it is limited to.
    role: Option<String>,
    /// From where it was asked for.
    client_address: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it was last used, within a minute.
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Whether this call came with it.
    is_this_one: bool,
}

/// Devices and tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// Newest first.
    tokens: Vec<Token>,
}

/// What a token is wanted for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "backup job", "scopes": ["credentials"],
    "role": "111122223333/Backup", "lasts": "30d"}))]
pub(super) struct TokenOrder {
    /// What you call it.
    name: String,
    /// What it may be used for; no more than the token of this call.
    scopes: Vec<String>,
    /// The one role it is limited to: an ARN, or `account/role`.
    role: Option<String>,
    /// How long it lasts, such as `12h` or `30d`; else as long as allowed.
    lasts: Option<String>,
}

/// A token that was made, shown once. No `Debug`.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// The token. It is not shown again.
    token: String,
    /// Its id, to end it by.
    id: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// What it may be used for.
    scopes: Vec<String>,
    /// The one role it is limited to.
    role: Option<String>,
}

/// Your devices and tokens
///
/// Whatever holds broker tokens for you: `rolegate login`, AWS's tools, tokens made by hand. With a
/// token that is limited to one role, that one alone. Needs the scope `sessions`.
#[utoipa::path(
    get, path = "/api/v1/tokens", operation_id = "tokens", tag = "Sessions",
    security(("token" = ["sessions"])),
    responses((status = 200, description = "Devices and tokens.", body = Tokens))
)]
pub(super) async fn list(
    State(app): State<App>,
    calling: Calling,
    frame: Frame,
) -> Result<Json<Tokens>, ApiError> {
    let Calling { caller, .. } = calling.allowed(TokenScope::Sessions)?;
    let own = own(&app, &caller, &frame).await?;
    let tokens = own.into_iter().filter_map(|session| {
        let device = session.device?;
        Some(Token {
            is_this_one: session.id_hash == caller.session.id_hash,
            id: session.id_hash,
            name: device.name,
            scopes: device.scopes.iter().map(String::from).collect(),
            role: device.role.map(|role| role.to_string()),
            client_address: session.client_address,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
        })
    });
    Ok(Json(Tokens {
        tokens: tokens.collect(),
    }))
}

/// The caller's own, as far as their token reaches.
async fn own(app: &App, caller: &Caller, frame: &Frame) -> Result<Vec<SignInSession>, ApiError> {
    let failed = |error: StoreError| ApiError::store_unavailable(frame, &error);
    let devices = app.broker.devices(&caller.session.identity).await;
    let mut devices = devices.map_err(failed)?;
    if caller.role.is_some() {
        devices.retain(|session| session.id_hash == caller.session.id_hash);
    }
    Ok(devices)
}

/// Make a token by hand
///
/// For a file or a program. Its scopes are no more than those of the token of this call. It is shown
/// once. Needs a broker token with the scope `sessions`.
#[utoipa::path(
    post, path = "/api/v1/tokens", operation_id = "make_token", tag = "Sessions",
    request_body = TokenOrder,
    security(("token" = ["sessions"])),
    responses((status = 200, description = "The token.", body = MadeToken))
)]
pub(super) async fn make(
    State(app): State<App>,
    calling: Calling,
    frame: Frame,
    Body(order): Body<TokenOrder>,
) -> Result<Response, ApiError> {
    let Calling { caller, client } = calling.allowed(TokenScope::Sessions)?;
    if caller.way != CallerWay::Token || caller.role.is_some() {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "not_allowed",
            "Tokens are made in a browser, or with a token of a device that is not limited to one \
             role.",
        ));
    }
    let wish = wish(order)?;
    let broker = Arc::clone(&app.broker);
    let made = in_own_task(async move {
        let mut session = caller.session;
        broker.make_token(&mut session, &wish, &client).await
    });
    let made = made.await.ok_or_else(ApiError::internal)?;
    let made = made.map_err(|refused| not_made(&refused, &frame))?;
    let mut response = Json(MadeToken {
        token: made.token.expose_secret().to_owned(),
        id: made.id,
        expires_at: made.expires_at,
        scopes: made.device.scopes.iter().map(String::from).collect(),
        role: made.device.role.map(|role| role.to_string()),
    })
    .into_response();
    keep_secret(&mut response);
    Ok(response)
}

fn wish(order: TokenOrder) -> Result<TokenWish, ApiError> {
    let scopes: Result<TokenScopes, _> = order.scopes.iter().map(|scope| scope.parse()).collect();
    let scopes = scopes.map_err(|unknown: crate::access::UnknownScope| {
        let all = TokenScope::ALL.map(TokenScope::as_str).join(", ");
        ApiError::invalid(format!(
            "{} There are: {all}.",
            sentence(&unknown.to_string())
        ))
    })?;
    let lasts = filled(order.lasts).map(|text| {
        let read: Result<Duration, _> = humantime::parse_duration(&text);
        read.map_err(|_| {
            ApiError::invalid("`lasts` is no duration: write it like \"12h\" or \"30d\".")
        })
    });
    Ok(TokenWish {
        name: order.name,
        scopes,
        role: filled(order.role),
        lasts: lasts.transpose()?,
    })
}

fn not_made(refused: &NotMade, frame: &Frame) -> ApiError {
    match refused {
        NotMade::Unfit(text) => ApiError::invalid(sentence(text)),
        NotMade::NotEntitled(_) => ApiError::new(
            StatusCode::FORBIDDEN,
            "not_entitled",
            "None of your groups gives you that role.",
        ),
        NotMade::StoreUnavailable(error) => ApiError::store_unavailable(frame, error),
    }
}

/// End a device or token
///
/// Everything that it holds is worth nothing from then on. Needs the scope `sessions`.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", operation_id = "end_token", tag = "Sessions",
    params(("id" = String, Path, description = "The token's id.")),
    security(("token" = ["sessions"])),
    responses((status = 204, description = "It has ended."))
)]
pub(super) async fn end(
    State(app): State<App>,
    calling: Calling,
    Named(id): Named,
    frame: Frame,
) -> Result<StatusCode, ApiError> {
    let Calling { caller, client } = calling.allowed(TokenScope::Sessions)?;
    let own = own(&app, &caller, &frame).await?;
    let missing = || ApiError::not_found("There is no such device or token of yours.");
    // Browsers' sign-ins are not ended here: they are no tokens.
    if !own.iter().any(|session| session.id_hash == id) {
        return Err(missing());
    }
    let identity = &caller.session.identity;
    let ended = app.broker.end_own_session(identity, &id, &client).await;
    if ended.map_err(|error| ApiError::store_unavailable(&frame, &error))? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing())
    }
}
