//! `/issuer/…`: what AWS and the people who set it up fetch of Rolegate as an identity provider.
//!
//! Public, the same for everybody, without a session. Never here: a private key.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::super::{
    App,
    error::{ErrorPage, Frame},
    views::error::ErrorView,
};
use crate::broker::Issuer;

/// How long AWS and others may keep it; a key is published for longer before it signs.
const CACHE_CONTROL: &str = "public, max-age=300";

/// `GET /issuer/saml/metadata`: to upload to IAM.
pub(in crate::web) async fn saml_metadata(State(app): State<App>, frame: Frame) -> Response {
    let document = app.broker.issuer().and_then(Issuer::saml_metadata);
    let happened = "Rolegate vouches for nobody by SAML here, so it has no metadata of its own.";
    published(document, "application/samlmetadata+xml", (frame, happened))
}

/// `GET /.well-known/openid-configuration`: what AWS reads first (OpenID Connect Discovery 1.0).
pub(in crate::web) async fn discovery(State(app): State<App>, frame: Frame) -> Response {
    let document = app.broker.issuer().and_then(Issuer::discovery);
    published(document, "application/json", (frame, NO_TOKENS))
}

/// `GET /issuer/jwks`: what AWS verifies tokens with.
pub(in crate::web) async fn jwks(State(app): State<App>, frame: Frame) -> Response {
    let document = app.broker.issuer().and_then(Issuer::jwks);
    published(document, "application/json", (frame, NO_TOKENS))
}

const NO_TOKENS: &str = "Rolegate vouches for nobody by OpenID Connect here, so it has no keys to \
                         show.";

fn published(
    document: Option<String>,
    media_type: &'static str,
    (Frame(layout), happened): (Frame, &str),
) -> Response {
    let Some(document) = document else {
        let view = ErrorView::new(layout, 404, "There is nothing to fetch", happened)
            .step("Whoever runs Rolegate can give it keys in [issuer] of its configuration.");
        return ErrorPage::from(view).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, CACHE_CONTROL),
    ];
    (headers, document).into_response()
}
