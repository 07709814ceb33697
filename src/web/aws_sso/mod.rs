//! What AWS's own tools speak with IAM Identity Center: the operations of the services SSO OIDC and
//! SSO, with their exact wire forms, under `/aws`.
//!
//! Cookies are ignored. Entry point: [`routes`].

use axum::Router;

use super::App;

/// Everything under `/aws`.
pub(super) fn routes() -> Router<App> {
    Router::new()
}
