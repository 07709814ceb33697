//! `/oidc/{connector}/…`: how browsers come back from OpenID Connect providers, and what the
//! providers tell us themselves.
//!
//! Never here: what an answer says; the query goes to the broker as it came, and into no log.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde_json::json;
use tower_sessions::Session;

use super::{
    super::{App, headers::is_form},
    Arrival, in_own_task,
    saml::{self, Provider},
};
use crate::broker::{Answer, LogoutMessage, RedirectSignInRefused};

/// `GET /oidc/{connector}/callback`: the browser comes back with a code, or with what the provider
/// says instead.
pub(in crate::web) async fn callback(
    State(app): State<App>,
    Provider(connector): Provider,
    session: Session,
    arrival: Arrival,
    RawQuery(query): RawQuery,
) -> Response {
    let answer = Answer {
        message: SecretString::from(query.unwrap_or_default()),
        relay_state: None,
        secret: None,
    };
    saml::finish(&app, &session, &arrival, connector, (answer, false)).await
}

/// `POST /oidc/{connector}/backchannel-logout`: the provider, not a browser, says that sessions
/// have ended (OpenID Connect Back-Channel Logout 1.0, 2.5 and 2.8).
pub(in crate::web) async fn end_sessions(
    State(app): State<App>,
    Provider(connector): Provider,
    arrival: Arrival,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(token) = logout_token(&headers, &body) else {
        return answered(StatusCode::BAD_REQUEST);
    };
    let client = arrival.client(&app);
    let broker = Arc::clone(&app.broker);
    let done = in_own_task(async move {
        let message = LogoutMessage::Token(token);
        broker.provider_logout(&connector, message, &client).await
    });
    answered(match done.await {
        Some(Ok(_)) => StatusCode::OK,
        Some(Err(refused)) => status(&refused),
        None => StatusCode::INTERNAL_SERVER_ERROR,
    })
}

/// None where the field is not there once.
fn logout_token(headers: &HeaderMap, body: &[u8]) -> Option<SecretString> {
    if !is_form(headers) {
        return None;
    }
    let mut fields = url::form_urlencoded::parse(body)
        .filter(|(name, _)| name == "logout_token")
        .map(|(_, value)| value.into_owned());
    let token = fields.next()?;
    fields.next().is_none().then(|| SecretString::from(token))
}

/// What went wrong here is not the provider's mistake, and may be tried again.
fn status(refused: &RedirectSignInRefused) -> StatusCode {
    match refused {
        RedirectSignInRefused::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        RedirectSignInRefused::ProviderUnavailable(_)
        | RedirectSignInRefused::Misconfigured(_)
        | RedirectSignInRefused::StoreUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn answered(status: StatusCode) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    if status.is_success() {
        return (status, no_store).into_response();
    }
    let error = match status {
        StatusCode::BAD_REQUEST => "invalid_request",
        _ => "temporarily_unavailable",
    };
    (status, no_store, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_logout_token_is_there_once() {
        let form = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        )]);
        assert!(logout_token(&form, b"logout_token=a.b.c&x=y").is_some());
        assert!(logout_token(&form, b"logout_token=a&logout_token=a").is_none());
        assert!(logout_token(&form, b"token=a").is_none());
        assert!(logout_token(&HeaderMap::new(), b"logout_token=a.b.c").is_none());
    }
}
