//! `/logout` and what comes after it.

use axum::{
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tower_sessions::Session;

use super::{
    super::{
        App, cookies,
        csrf::CheckedForm,
        error::Frame,
        session,
        views::signed_out::{ProviderEnd, SignedOutView},
    },
    Arrival, Nothing, departure, render, see_other,
};

/// `POST /logout`: ends our session, then asks the provider to end its own.
pub(in crate::web) async fn sign_out(
    State(app): State<App>,
    session: Session,
    arrival: Arrival,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    let current = match session::current(&app, &session).await {
        Ok(Some(current)) => current,
        Ok(None) => return ended(&app, None),
        Err(error) => return arrival.frame.store_unavailable(&error).into_response(),
    };
    // Ours first: whatever happens at the provider, the person is signed out here.
    if let Err(error) = app.broker.sign_out(&current, &arrival.client(&app)).await {
        return arrival.frame.store_unavailable(&error).into_response();
    }
    match app.broker.begin_provider_logout(&current).await {
        Some(carried) => without_session(&app, departure::carry(&arrival.frame, carried)),
        None => ended(
            &app,
            current
                .provider_session
                .is_some()
                .then_some(ProviderEnd::Open),
        ),
    }
}

/// 303 to the page after signing out, with the cookie taken away.
pub(super) fn ended(app: &App, provider: Option<ProviderEnd>) -> Response {
    without_session(app, to_signed_out(provider))
}

/// 303 to the page after signing out.
pub(super) fn to_signed_out(provider: Option<ProviderEnd>) -> Response {
    match provider {
        Some(end) => see_other(&format!("/signed-out?provider={}", end.as_query())),
        None => see_other("/signed-out"),
    }
}

/// Takes the session's cookie away.
pub(super) fn without_session(app: &App, mut response: Response) -> Response {
    // tower-sessions removes its cookie without `Secure`, which browsers ignore for `__Host-`.
    if let Some(cookie) = cookies::set(cookies::SESSION, "", 0, app.settings.is_secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct SignedOutQuery {
    #[serde(default)]
    provider: String,
}

/// `GET /signed-out`. The query changes a sentence and nothing else, so anybody may write it.
pub(in crate::web) async fn signed_out(
    Query(query): Query<SignedOutQuery>,
    frame: Frame,
) -> Response {
    let provider = ProviderEnd::from_query(&query.provider);
    render(&SignedOutView::new(frame.0.clone(), true, provider), &frame)
}
