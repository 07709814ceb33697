//! `GET /api/v1`: the OpenAPI document as a page to read.

use axum::{extract::State, response::Response};

use super::{
    super::{App, error::Frame, pages::render, views::api::ApiView},
    document::document,
};

/// The page; it tells nothing that the document does not, so everybody may see it.
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    let public_url = app.broker.settings().public_url.as_str();
    let view = ApiView::new(
        frame.0.clone(),
        document(),
        public_url.trim_end_matches('/'),
    );
    render(&view, &frame)
}
