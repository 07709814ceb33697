//! `/metrics`, `/healthz` and `/readyz`, on a listener of their own.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use crate::broker::Broker;

/// How long the store may take before we call ourselves not ready.
const READY_DEADLINE: Duration = Duration::from_secs(2);

/// Renders the metrics; the registry is the composition root's.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The operations routes. Nothing here is personal and nothing needs a sign-in, so the listener
/// belongs on an address that only operators reach.
pub fn router(broker: Arc<Broker>, render: Render) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(broker))
        .route("/metrics", get(metrics).with_state(render))
}

/// Ready means that the store can be read and written. A dead directory or STS is a metric and a
/// page, not a reason to take every replica out at once.
async fn ready(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    match tokio::time::timeout(READY_DEADLINE, broker.is_ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(_)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store: cannot be read and written\n",
        ),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store: no answer within 2 s\n",
        ),
    }
}

async fn metrics(State(render): State<Render>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        render(),
    )
}
