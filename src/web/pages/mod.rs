//! The handlers, one file per family of addresses.

pub(super) mod audit;
pub(super) mod authorize;
pub(super) mod console;
pub(super) mod credentials;
mod departure;
pub(super) mod device;
pub(super) mod helpdesk;
pub(super) mod issuer;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod oidc;
pub(super) mod picker;
pub(super) mod role;
pub(super) mod saml;
pub(super) mod sessions;
pub(super) mod signed_in;
pub(super) mod tokens;

use askama::Template;
use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use super::{
    App, assets, client_address::Origin, cookies, error::Frame, session::SignedIn, views::Layout,
};
use crate::{access::ConnectorId, broker::Client};

/// A form with nothing in it but the token.
#[derive(serde::Deserialize)]
pub(in crate::web) struct Nothing {}

/// What every handler asks about a request beside its form.
pub(in crate::web) struct Arrival {
    frame: Frame,
    origin: Origin,
    headers: HeaderMap,
}

impl<S: Sync> FromRequestParts<S> for Arrival {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, StatusCode> {
        Ok(Self {
            frame: Frame::of_parts(parts),
            origin: Origin::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
        })
    }
}

impl Arrival {
    /// Who asks, with the browser's own mark where it has one.
    pub(in crate::web) fn client(&self, app: &App) -> Client {
        let browser = cookies::find(&self.headers, cookies::BROWSER, app.settings.is_secure);
        self.origin.client(browser.map(login::browser_hash))
    }
}

/// Renders a page, or says that it could not be.
pub(in crate::web) fn render(view: &impl Template, frame: &Frame) -> Response {
    match view.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "a page could not be rendered");
            frame
                .clone()
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .into_response()
        }
    }
}

/// The frame of a page for the person signed in.
fn layout(frame: &Frame, signed_in: &SignedIn) -> Layout {
    Layout {
        person: Some(signed_in.identity().display().to_owned()),
        ..frame.0.clone()
    }
}

/// What people call the connector that a person signed in with.
fn connector_label<'a>(app: &'a App, id: &ConnectorId) -> &'a str {
    app.broker
        .connectors()
        .iter()
        .find(|connector| connector.id() == id)
        .map_or("your identity provider", |connector| connector.label())
}

/// 303 to a path of ours, or to an address that was checked.
fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// A file to keep.
fn download(body: impl Into<Body>, name: &str, media_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// `GET /assets/{name}`: named by content, so kept for ever.
pub(super) async fn asset(uri: axum::http::Uri, frame: Frame) -> Response {
    let Some(asset) = assets::find(uri.path()) else {
        return frame.status(StatusCode::NOT_FOUND).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, assets::CACHE_CONTROL),
    ];
    (headers, asset.bytes.clone()).into_response()
}

/// `GET /favicon.ico`: what browsers ask for unasked beside an answer that names no icon, such as a
/// redirect or a download.
pub(super) async fn icon() -> Response {
    see_other(assets::url("icon.svg"))
}

/// Runs a grant to its end even when the client goes away meanwhile: an intent that was written
/// gets its outcome. None when it panicked.
pub(in crate::web) async fn in_own_task<T: Send + 'static>(
    grant: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tokio::spawn(grant).await.ok()
}

/// Whether a script of ours asked, by `fetch`, rather than a form.
fn is_script(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-mode")
        .is_some_and(|mode| mode != "navigate")
}
