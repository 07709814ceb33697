//! Who is at the other end: the client's address behind trusted proxies, and the request id.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::USER_AGENT, request::Parts},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use super::{
    App, cookies, csrf,
    error::Frame,
    views::{Layout, Theme},
};
use crate::broker::Client;

/// On every response, and in every log line and audit row of the request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is known of a request before anything else looks at it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) address: IpAddr,
    pub(super) request_id: String,
    pub(super) user_agent: String,
}

impl Origin {
    /// The same, as the use-cases want it.
    pub(super) fn client(&self, browser: Option<String>) -> Client {
        Client {
            address: self.address,
            request_id: self.request_id.clone(),
            user_agent: self.user_agent.clone(),
            browser,
        }
    }
}

/// What [`note_origin`] found out; there for every request.
impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Finds out the client's address, gives the request an id, and writes the response's log line.
pub(super) async fn note_origin(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = tokio::time::Instant::now();
    let origin = Origin {
        address: client_address(peer.ip(), request.headers(), &app.settings.trusted_proxies),
        // Ours alone: an id from outside could be made to look like another request's.
        request_id: uuid::Uuid::now_v7().simple().to_string(),
        user_agent: user_agent(request.headers()),
    };
    let (method, route) = (request.method().clone(), route(&request));
    let frame = frame(&app, request.headers(), &origin.request_id);
    request.extensions_mut().insert(origin.clone());
    request.extensions_mut().insert(frame);
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&origin.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    // Assets are fetched once and kept; their lines would hide the others.
    if route.starts_with("/assets/") {
        tracing::debug!(
            request.id = origin.request_id,
            http.status = status,
            "asset"
        );
    } else {
        tracing::info!(
            request.id = origin.request_id,
            client.address = %origin.address,
            http.method = %method,
            http.route = route,
            http.status = status,
            duration_ms = elapsed_ms,
            "response"
        );
    }
    metrics::histogram!("rolegate_http_seconds", "route" => route.clone())
        .record(elapsed.as_secs_f64());
    metrics::counter!(
        "rolegate_http_responses_total",
        "route" => route,
        "status" => status.to_string()
    )
    .increment(1);
    response
}

/// What every page of this request has in common, errors included.
fn frame(app: &App, headers: &HeaderMap, request_id: &str) -> Frame {
    let is_secure = app.settings.is_secure;
    let secret = cookies::find(headers, cookies::SESSION, is_secure)
        .or_else(|| cookies::find(headers, cookies::FORM, is_secure));
    Frame(Layout {
        organisation: app.settings.organisation.clone(),
        person: None,
        rights: super::views::Rights::default(),
        csrf_token: secret.map(csrf::token).unwrap_or_default(),
        theme: cookies::plain(headers, Theme::COOKIE).and_then(Theme::from_cookie),
        help_url: app.settings.help_url.clone(),
        request_id: request_id.to_owned(),
        environments: Arc::clone(&app.settings.environments),
    })
}

/// The route's pattern, never the path itself: paths carry what people typed.
fn route(request: &Request) -> String {
    request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned())
}

/// The last address in `X-Forwarded-For` that no trusted proxy has, when the peer is one.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|network| network.contains(&address))
    };
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lines: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    for hop in lines.join(",").rsplit(',') {
        // Something that is no address was put there by the client: what stands left of it too.
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

fn user_agent(headers: &HeaderMap) -> String {
    headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn strangers_cannot_name_their_own_address() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn trusted_proxies_are_walked_from_the_right() {
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.7, 203.0.113.9, 10.0.0.2"]),
            "203.0.113.9"
        );
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.7", "203.0.113.9"]),
            "203.0.113.9"
        );
        assert_eq!(seen("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn junk_stops_the_walk() {
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }
}
