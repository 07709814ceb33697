//! The JSON API under `/api/v1`: for our own client, for applications, and for whoever automates.
//!
//! Callers prove who they are with every request; cookies are ignored. Entry point: [`routes`].

pub(super) mod container;

use axum::Router;

use super::App;

/// Everything under `/api/v1`.
pub(super) fn routes() -> Router<App> {
    container::routes().into()
}
