//! What AWS's own tools speak with IAM Identity Center: the operations of the services SSO OIDC and
//! SSO, with their exact wire forms, under `/aws`.
//!
//! Cookies are ignored. Never here: decisions, and any token in a log line or an error. Entry point:
//! [`routes`].

mod oidc;
mod place;
mod portal;
mod refusal;
mod request;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};

use self::refusal::{ERROR_TYPE, Refusal};
use super::{App, client_address::Origin};

/// The header with the token, whose underscore is AWS's; read under `/aws` alone.
pub(super) const BEARER_TOKEN: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The largest body, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Everything under `/aws`.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/aws/client/register", post(oidc::register))
        .route("/aws/device_authorization", post(oidc::start_device))
        .route("/aws/token", post(oidc::create_token))
        .route("/aws/assignment/accounts", get(portal::accounts))
        .route("/aws/assignment/roles", get(portal::roles))
        .route("/aws/federation/credentials", get(portal::credentials))
        .route("/aws/logout", post(portal::log_out))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .route("/aws/{*rest}", axum::routing::any(unknown))
}

async fn unknown() -> Refusal {
    Refusal::of_status(StatusCode::NOT_FOUND)
}

/// Gives every answer under `/aws` what SDKs look for: the request's id, and the error's name also where
/// the framework answered.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<Origin>();
    let id = id.and_then(|origin| HeaderValue::from_str(&origin.request_id).ok());
    let mut response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && !response.headers().contains_key(ERROR_TYPE) {
        let allow = response.headers().get(header::ALLOW).cloned();
        response = Refusal::of_status(status).into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
