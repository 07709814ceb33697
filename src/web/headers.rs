//! What every response says to the browser, and which requests are not let in at all.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, aws_sso, error::Frame};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Adds the security headers to every response, errors and redirects included.
///
/// `form-action` lets the redirect chain from `POST /console` to AWS through: Chromium checks every
/// hop of it. Pages send `Referrer-Policy: same-origin`, since under `no-referrer` their own POSTs
/// would carry `Origin: null`; answers that carry secrets set `no-referrer` themselves.
pub(super) async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    let is_secure = app.settings.is_secure;
    let policy = if is_secure {
        CONTENT_POLICY
    } else {
        LOOPBACK_CONTENT_POLICY
    };
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(header::REFERRER_POLICY, "same-origin");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::CACHE_CONTROL, "no-store");
    // `-allow-popups`: the console opens in a tab of its own.
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin-allow-popups",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    if is_secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=63072000");
    }
    response
}

const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self' https:; base-uri 'none'; \
     frame-ancestors 'none'";
const LOOPBACK_CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self' https: http://127.0.0.1:* \
     http://localhost:*; base-uri 'none'; frame-ancestors 'none'";
const IPV6_CONSENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self' https: http:; base-uri 'none'; \
     frame-ancestors 'none'";

/// The policy of the page where a person agrees that a client on their machine acts for them: its
/// form leads to the client, and Chromium checks that hop too. `http:` where the address is one of
/// IPv6, which no source expression can name.
pub(super) fn allow_loopback(response: &mut Response, is_ipv6: bool) {
    let policy = if is_ipv6 {
        IPV6_CONSENT_POLICY
    } else {
        LOOPBACK_CONTENT_POLICY
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
}

/// What identity providers make browsers post to. The messages carry signatures, and the cookie of
/// the attempt or the provider's session decides whose they are.
const FROM_PROVIDERS: [&str; 3] = [
    "/saml/{connector}/acs",
    "/saml/{connector}/slo",
    // Providers call it themselves, so there is no cookie that it could misuse.
    "/oidc/{connector}/backchannel-logout",
];

/// Refuses state-changing requests that another site started, before any handler runs.
///
/// `Sec-Fetch-Site` decides; `Origin` only where it is absent. The CSRF token of the form decides
/// in any case, so a client that sends neither is not let through by this.
pub(super) async fn same_site(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    // An address that leads nowhere changes no state, and should say so.
    let is_exempt = request
        .extensions()
        .get::<MatchedPath>()
        .is_none_or(|path| FROM_PROVIDERS.contains(&path.as_str()))
        || is_for_programs(request.uri().path());
    if is_safe || is_exempt || is_own(request.headers(), &app.settings.origin) {
        return next.run(request).await;
    }
    metrics::counter!("rolegate_cross_site_refused_total").increment(1);
    Frame::of(&request).expired_form().into_response()
}

/// Whether an address is for programs: cookies are ignored there, so that no site can misuse them, and
/// answers are never pages.
pub(super) fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/aws/")
}

fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    match (headers.get(FETCH_SITE), headers.get(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(from)) => from == origin,
        (None, None) => true,
    }
}

/// Whether the body says that it is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// Keeps an answer whose address or fields are secrets from caches and from the next site's log.
pub(super) fn keep_secret(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
}

/// Whether another site brought the browser here; what cannot be told counts as yes.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    !headers
        .get(FETCH_SITE)
        .is_some_and(|site| site == "same-origin" || site == "none")
}

/// Drops header names with an underscore: proxies and servers disagree on them, and one that is
/// read as its hyphenated twin slips past what the proxy checked. `/aws` needs one of them.
pub(super) async fn drop_underscored(mut request: Request, next: Next) -> Response {
    let is_for_aws_tools = request.uri().path().starts_with("/aws/");
    let is_kept = |name: &HeaderName| is_for_aws_tools && *name == aws_sso::BEARER_TOKEN;
    let dropped: Vec<HeaderName> = (request.headers().keys())
        .filter(|name| name.as_str().contains('_') && !is_kept(name))
        .cloned()
        .collect();
    for name in dropped {
        request.headers_mut().remove(name);
    }
    next.run(request).await
}

/// Turns the framework's bare refusals (405, 413, 408) into pages.
pub(super) async fn dress_errors(request: Request, next: Next) -> Response {
    let frame = Frame::of(&request);
    if request.uri().path().starts_with("/api/") {
        return super::api::dress(request, next).await;
    }
    if request.uri().path().starts_with("/aws/") {
        return aws_sso::dress(request, next).await;
    }
    let response = next.run(request).await;
    let is_bare = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|content_type| {
            content_type
                .to_str()
                .is_ok_and(|text| text.starts_with("text/plain"))
        });
    match response.status() {
        status @ (StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::INTERNAL_SERVER_ERROR)
            if is_bare =>
        {
            let allow = response.headers().get(header::ALLOW).cloned();
            let mut page = frame.status(status).into_response();
            if let Some(allow) = allow {
                page.headers_mut().insert(header::ALLOW, allow);
            }
            page
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn requests_of_other_sites_are_told_apart() {
        let own = "https://aws.example.com";
        assert!(is_own(&headers(&[("sec-fetch-site", "same-origin")]), own));
        assert!(is_own(
            &headers(&[("origin", "https://aws.example.com")]),
            own
        ));
        assert!(is_own(&headers(&[]), own));
        for foreign in [
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://aws.example.com"),
            ]),
            headers(&[("origin", "https://aws.example.com.evil.example")]),
            headers(&[("origin", "null")]),
        ] {
            assert!(!is_own(&foreign, own), "{foreign:?}");
        }
    }
}
