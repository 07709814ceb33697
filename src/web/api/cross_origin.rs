//! Scripts of other origins, on `/api/v1/credentials` alone: from where a trusted issuer's
//! applications run, without cookies (Fetch standard, "CORS protocol").
//!
//! An answer may be read by an origin that the issuer which vouched for the caller lists. Where nobody
//! is known yet, any issuer's will do: there is nothing to read but that.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{super::App, caller::KnownWay};
use crate::{access::ConnectorId, broker::CallerWay};

/// The one path.
pub(super) const PATH: &str = "/api/v1/credentials";
/// What scripts may send beside what they always may.
const HEADERS: &str = "authorization, content-type, rolegate-issuer";
/// What scripts may read beside what they always may.
const EXPOSED: &str = "x-request-id, retry-after, www-authenticate";
/// For how many seconds browsers remember it.
const REMEMBERED: &str = "600";

/// `OPTIONS /api/v1/credentials`.
pub(super) async fn preflight(State(app): State<App>, parts: Parts) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    let is_preflight = parts
        .headers
        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let origin = parts.headers.get(header::ORIGIN);
    if let Some(origin) = origin.filter(|origin| is_preflight && is_listed(&app, origin, None)) {
        let mut set = |name: HeaderName, value| headers.insert(name, value);
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let methods = HeaderValue::from_static("POST");
        set(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static(HEADERS);
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        let remembered = HeaderValue::from_static(REMEMBERED);
        set(header::ACCESS_CONTROL_MAX_AGE, remembered);
    }
    response
}

/// Says which origin may read the answer, if any.
pub(in crate::web) async fn answer(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.uri().path() != PATH || request.method() == http::Method::OPTIONS {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let KnownWay(way) = KnownWay::default();
    request.extensions_mut().insert(KnownWay(way.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let may_read = |origin: &HeaderValue| match way.get() {
        Some(CallerWay::Issuer(issuer)) => is_listed(&app, origin, Some(issuer)),
        // Passwords and broker tokens are nothing that a page of another origin should have.
        Some(CallerWay::Token | CallerWay::Password) => false,
        None => is_listed(&app, origin, None),
    };
    if let Some(origin) = origin.filter(may_read) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(EXPOSED);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

/// Whether an issuer, or any where none is named, lists an origin.
fn is_listed(app: &App, origin: &HeaderValue, issuer: Option<&ConnectorId>) -> bool {
    let issuers = app.broker.trusted_issuers().iter();
    issuers
        .filter(|trusted| issuer.is_none_or(|id| trusted.id() == id))
        .flat_map(|trusted| trusted.allowed_origins())
        .any(|listed| origin.as_bytes() == listed.as_bytes())
}
