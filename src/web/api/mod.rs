//! The JSON API under `/api/v1`: for our own client, for applications, and for whoever automates.
//!
//! Callers prove who they are with every request; cookies are ignored. Every error is JSON, by one
//! table. The routes and the OpenAPI document are made of the same annotations. Never here: decisions.
//! Entry point: [`routes`].

mod caller;
pub(super) mod container;
mod cross_origin;
mod document;
mod error;
mod input;
mod me;
mod opening;
mod page;
mod roles;
mod sessions;
mod staff;
mod tokens;

use axum::{
    Router,
    routing::{get, options},
};

use super::App;
pub(super) use cross_origin::answer as cross_origin;
pub(super) use error::dress;

/// Everything under `/api/v1`.
pub(super) fn routes() -> Router<App> {
    let operations: Router<App> = document::operations().into();
    operations
        .route(cross_origin::PATH, options(cross_origin::preflight))
        .route("/api/v1", get(page::show))
}
