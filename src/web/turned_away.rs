//! Edits that are turned away before the broker hears of them: by somebody who is not staff, or by a
//! form that did not come from a page of ours. All others are audited by the broker; these are here.

use axum::{
    extract::{FromRequestParts as _, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::{App, pages::Arrival, session::SignedIn};

/// Where edits are posted.
const DESK: &str = "/helpdesk/";

/// On an answer: why the request was turned away, as the audit log calls it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnedAway(pub(super) &'static str);

/// Tells the audit log of edits that were turned away. Nothing is told of requests without a
/// sign-in: they can be sent by anybody, as often as they like, and reach nothing.
pub(super) async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.uri().path().starts_with(DESK) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut asked = parts.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some(TurnedAway(code)) = response.extensions().get()
        && let Ok(signed_in) = SignedIn::from_request_parts(&mut asked, &app).await
        && let Ok(arrival) = Arrival::from_request_parts(&mut asked, &app).await
    {
        let client = arrival.client(&app);
        let broker = &app.broker;
        let noted = broker
            .note_turned_away(signed_in.identity(), asked.uri.path(), code, &client)
            .await;
        if let Err(error) = noted {
            // It is refused whether it could be noted or not.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an edit that was turned away could not be noted"
            );
        }
    }
    response
}
