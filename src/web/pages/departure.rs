//! Sending the browser to an identity provider.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    super::{App, attempt, error::Frame, headers::keep_secret, views::departure::DepartureView},
    Arrival, render, see_other,
};
use crate::{
    access::ConnectorId,
    broker::{AttemptSecret, Carried, RedirectWish},
};

/// Begins a sign-in at a provider, with a cookie of its own. Once it succeeds, it ends the session
/// `replaced`, given by the hash of its id.
pub(super) async fn begin(
    app: &App,
    arrival: &Arrival,
    connector: &ConnectorId,
    mut wish: RedirectWish,
    replaced: Option<&str>,
) -> Response {
    let secret = attempt::secret(replaced);
    wish.secret = AttemptSecret::new(secret.as_str());
    let (hash, client) = (attempt::hash(&secret), arrival.client(app));
    let departure = match app
        .broker
        .begin_redirect(connector, wish, &hash, &client)
        .await
    {
        Ok(departure) => departure,
        Err(refused) => {
            return arrival
                .frame
                .clone()
                .redirect_refused(&refused)
                .into_response();
        }
    };
    let mut response = carry(&arrival.frame, departure.carried);
    let is_secure = app.settings.is_secure;
    for cookie in attempt::begin(&arrival.headers, &departure.request_id, &secret, is_secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The answer by which the browser carries a message to a provider.
pub(super) fn carry(frame: &Frame, carried: Carried) -> Response {
    let mut response = match carried {
        Carried::Redirect(url) => see_other(url.as_str()),
        Carried::Form { action, fields } => {
            render(&DepartureView::new(frame.0.clone(), action, fields), frame)
        }
    };
    keep_secret(&mut response);
    response
}
