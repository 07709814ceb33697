//! `GET /api/v1/me`, `POST /api/v1/logout`: who calls, and ending that.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    super::{App, error::Frame},
    caller::Calling,
    error::ApiError,
};
use crate::broker::CallerWay;

/// Who calls.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// The directory, identity provider or trusted issuer that vouches.
    connector: String,
    /// The stable id there.
    subject: String,
    /// The user name.
    username: String,
    /// What to call the person.
    display_name: Option<String>,
    /// The e-mail address.
    email: Option<String>,
    /// The names of the groups, direct and nested.
    groups: Vec<String>,
    /// When the groups were read.
    #[serde(with = "time::serde::rfc3339")]
    groups_read_at: OffsetDateTime,
    /// When they proved who they are.
    #[serde(with = "time::serde::rfc3339")]
    authenticated_at: OffsetDateTime,
    /// How this call proved it.
    way: Way,
    /// What this call may be used for.
    scopes: Vec<String>,
    /// The device that holds the token, where it is a broker token.
    device: Option<OwnDevice>,
}

/// How a call proves who it comes from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// A broker token.
    Token,
    /// A password of the directory.
    Password,
    /// A token of a trusted issuer.
    Issuer,
}

/// A device that holds broker tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnDevice {
    /// What it calls itself.
    name: String,
    /// The one role its tokens are limited to.
    role: Option<String>,
    /// When somebody has to agree again.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Who calls
///
/// The person or application behind the call, with their groups as last read, and what the call may be
/// used for. Any scope will do.
#[utoipa::path(
    get, path = "/api/v1/me", operation_id = "me", tag = "You",
    security(("token" = []), ("password" = [])),
    responses((status = 200, description = "Who calls.", body = Me))
)]
pub(super) async fn show(Calling { caller, .. }: Calling) -> Json<Me> {
    let session = caller.session;
    let identity = session.identity;
    let expires_at = session.expires_at;
    Json(Me {
        connector: identity.connector.to_string(),
        subject: identity.subject,
        username: identity.username,
        display_name: identity.display_name,
        email: identity.email,
        groups: identity
            .groups
            .into_iter()
            .map(|group| group.name)
            .collect(),
        groups_read_at: identity.groups_read_at,
        authenticated_at: identity.authenticated_at,
        way: match caller.way {
            CallerWay::Token => Way::Token,
            CallerWay::Password => Way::Password,
            CallerWay::Issuer(_) => Way::Issuer,
        },
        scopes: caller.scopes.iter().map(String::from).collect(),
        device: session.device.map(|device| OwnDevice {
            name: device.name,
            role: device.role.map(|role| role.to_string()),
            expires_at,
        }),
    })
}

/// Sign the calling device out
///
/// Ends every broker token of the device that holds the token of this call. Any scope will do. Role
/// sessions that were opened with it go on until they end, or are revoked.
#[utoipa::path(
    post, path = "/api/v1/logout", operation_id = "logout", tag = "You",
    security(("token" = [])),
    responses((status = 204, description = "The device is signed out."))
)]
pub(super) async fn log_out(
    State(app): State<App>,
    Calling { caller, client }: Calling,
    frame: Frame,
) -> Result<StatusCode, ApiError> {
    if caller.way != CallerWay::Token {
        return Err(ApiError::invalid(
            "There is nothing to end: you did not come with a broker token.",
        ));
    }
    (app.broker.sign_out(&caller.session, &client).await)
        .map_err(|error| ApiError::store_unavailable(&frame, &error))?;
    Ok(StatusCode::NO_CONTENT)
}
