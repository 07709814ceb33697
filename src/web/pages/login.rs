//! `/login`, `/logout`.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;
use url::{Position, Url, form_urlencoded};

use super::{
    super::{
        App, cookies,
        csrf::{self, CheckedForm},
        error::{ErrorPage, Frame},
        headers::is_from_elsewhere,
        session,
        views::{
            Layout,
            sign_in::{SignInInput, SignInMessage, SignInView, Way},
        },
    },
    Arrival, departure, render, see_other,
};
use crate::{
    access::{ConnectorId, Identity},
    broker::{Connector, RedirectWish, SignInAttempt, SignInRefused},
};

/// How long the browser keeps its own mark and the connector used last.
pub(super) const YEAR_SECONDS: u64 = 365 * 86_400;
/// How long a sign-in page stays good.
pub(super) const FORM_SECONDS: u64 = 12 * 3_600;

#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct LoginQuery {
    #[serde(default)]
    next: String,
    expired: Option<String>,
}

#[derive(Deserialize)]
pub(in crate::web) struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: SecretString,
    #[serde(default)]
    next: String,
}

/// `GET /login`. Somebody who is signed in goes on at once.
pub(in crate::web) async fn show(
    State(app): State<App>,
    Query(query): Query<LoginQuery>,
    frame: Frame,
    session: Session,
    headers: HeaderMap,
) -> Response {
    let mut next = local_path(&app, &query.next);
    if is_from_elsewhere(&headers) {
        next = asking_first(next);
    }
    match session::current(&app, &session).await {
        Ok(Some(_)) => return see_other(&next),
        Ok(None) => {}
        Err(error) => return frame.store_unavailable(&error).into_response(),
    }
    let message = query.expired.map(|_| SignInMessage::SessionExpired);
    Page {
        next,
        message,
        username: String::new(),
        first: None,
    }
    .show(&app, frame, &headers)
}

/// `POST /login/{connector}`: checks a password, or sends the browser to the provider.
pub(in crate::web) async fn sign_in(
    State(app): State<App>,
    Path(connector): Path<String>,
    session: Session,
    arrival: Arrival,
    form: Result<CheckedForm<LoginForm>, ErrorPage>,
) -> Response {
    let connectors = app.broker.connectors();
    let Some(connector) = connectors
        .iter()
        .find(|found| found.id().as_str() == connector)
    else {
        return arrival.frame.status(StatusCode::NOT_FOUND).into_response();
    };
    let id = connector.id().clone();
    let form = match form {
        Ok(CheckedForm(form)) => form,
        // The page is made anew rather than an error shown: signing in is all there is to repeat.
        Err(error) if error.status() == StatusCode::FORBIDDEN => {
            let page = Page {
                message: Some(SignInMessage::FormExpired),
                first: Some(id),
                ..Page::default()
            };
            let Arrival { frame, headers, .. } = arrival;
            return page.refuse(&app, frame, &headers, StatusCode::FORBIDDEN);
        }
        Err(error) => return error.into_response(),
    };
    match connector {
        Connector::Password(_) => with_password(&app, id, &session, arrival, form).await,
        Connector::Redirect(_) => {
            let wish = RedirectWish {
                next: local_path(&app, &form.next),
                ..RedirectWish::default()
            };
            departure::begin(&app, &arrival, &id, wish, None).await
        }
    }
}

async fn with_password(
    app: &App,
    connector: ConnectorId,
    session: &Session,
    arrival: Arrival,
    form: LoginForm,
) -> Response {
    let Arrival {
        frame,
        origin,
        headers,
    } = arrival;
    let next = local_path(app, &form.next);
    let page = |message| Page {
        next: next.clone(),
        message: Some(message),
        username: form.username.clone(),
        first: Some(connector.clone()),
    };
    if form.username.trim().is_empty() {
        let incomplete = page(SignInMessage::Incomplete);
        return incomplete.refuse(app, frame, &headers, StatusCode::BAD_REQUEST);
    }
    let attempt = SignInAttempt {
        connector: connector.clone(),
        username: form.username.clone(),
        password: form.password.clone(),
    };
    let browser = cookies::find(&headers, cookies::BROWSER, app.settings.is_secure)
        .map_or_else(cookies::random, str::to_owned);
    let who = origin.client(Some(browser_hash(&browser)));
    let keep = |identity: Identity| session::begin(app, session, identity.into(), &origin);
    match app.broker.sign_in(attempt, &who, keep).await {
        Ok(Ok(())) => signed_in(app, &next, &browser, &connector),
        Ok(Err(error)) => {
            tracing::error!(error = %error, "a sign-in session could not be kept");
            frame
                .status(StatusCode::SERVICE_UNAVAILABLE)
                .into_response()
        }
        Err(refused) => refuse(app, frame, &headers, refused, page),
    }
}

fn signed_in(app: &App, next: &str, browser: &str, connector: &ConnectorId) -> Response {
    let mut response = see_other(next);
    let is_secure = app.settings.is_secure;
    let set = [
        cookies::set(cookies::BROWSER, browser, YEAR_SECONDS, is_secure),
        cookies::set(
            cookies::CONNECTOR,
            connector.as_str(),
            YEAR_SECONDS,
            is_secure,
        ),
        cookies::set(cookies::FORM, "", 0, is_secure),
    ];
    for cookie in set.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn refuse(
    app: &App,
    frame: Frame,
    headers: &HeaderMap,
    refused: SignInRefused,
    page: impl Fn(SignInMessage) -> Page,
) -> Response {
    let (status, message) = match refused {
        SignInRefused::Refused => (StatusCode::UNAUTHORIZED, SignInMessage::Refused),
        SignInRefused::PasswordChangeRequired {
            is_expired,
            change_url,
        } => {
            let change_at = change_url.map(String::from);
            let message = if is_expired {
                SignInMessage::PasswordExpired { change_at }
            } else {
                SignInMessage::PasswordMustChange { change_at }
            };
            (StatusCode::FORBIDDEN, message)
        }
        SignInRefused::Throttled { retry_after } => {
            let retry_after_s = retry_after.as_secs().max(1);
            let message = SignInMessage::Throttled { retry_after_s };
            let mut response =
                page(message).refuse(app, frame, headers, StatusCode::TOO_MANY_REQUESTS);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after_s.into());
            return response;
        }
        SignInRefused::UnknownConnector => {
            return frame.status(StatusCode::NOT_FOUND).into_response();
        }
        SignInRefused::DirectoryUnavailable(error) => {
            tracing::error!(
                request.id = frame.0.request_id,
                error = &error as &dyn std::error::Error,
                "sign-in failed at the directory"
            );
            (
                StatusCode::SERVICE_UNAVAILABLE,
                SignInMessage::DirectoryUnavailable,
            )
        }
        SignInRefused::StoreUnavailable(error) => {
            return frame.store_unavailable(&error).into_response();
        }
    };
    page(message).refuse(app, frame, headers, status)
}

/// The sign-in page in one of its states.
#[derive(Default)]
struct Page {
    next: String,
    message: Option<SignInMessage>,
    username: String,
    first: Option<ConnectorId>,
}

impl Page {
    fn show(self, app: &App, frame: Frame, headers: &HeaderMap) -> Response {
        let is_secure = app.settings.is_secure;
        // The form cookie, and not a dead session's, is what this page's token answers to.
        let (secret, is_new) = match cookies::find(headers, cookies::FORM, is_secure) {
            Some(secret) => (secret.to_owned(), false),
            None => (cookies::random(), true),
        };
        let frame = Frame(Layout {
            csrf_token: csrf::token(&secret),
            ..frame.0
        });
        let last_used = self.first.or_else(|| {
            cookies::find(headers, cookies::CONNECTOR, is_secure)?
                .parse::<ConnectorId>()
                .ok()
        });
        let ways = app.broker.connectors().iter().map(|connector| Way {
            connector: connector.id().clone(),
            name: connector.label().to_owned(),
            is_provider: matches!(connector, Connector::Redirect(_)),
        });
        let view = SignInView::new(SignInInput {
            layout: frame.0.clone(),
            notice: app.settings.notice.clone(),
            ways: ways.collect(),
            last_used,
            next: if self.next.is_empty() {
                "/".to_owned()
            } else {
                self.next
            },
            message: self.message,
            username: self.username,
        });
        let mut response = render(&view, &frame);
        if is_new
            && let Some(cookie) = cookies::set(cookies::FORM, &secret, FORM_SECONDS, is_secure)
        {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    fn refuse(self, app: &App, frame: Frame, headers: &HeaderMap, status: StatusCode) -> Response {
        let mut response = self.show(app, frame, headers);
        *response.status_mut() = status;
        response
    }
}

/// The way to the sign-in page and back, for a request that needs a session and has none.
pub(in crate::web) fn redirect(parts: &Parts, had_session: bool) -> Response {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    // A form that was posted cannot be posted again; the picker is the way back.
    let next = if parts.method == Method::GET {
        path
    } else {
        "/"
    };
    to_sign_in(next, had_session)
}

/// 303 to the sign-in page, coming back to `next`.
pub(in crate::web) fn to_sign_in(next: &str, is_expired: bool) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    if is_expired {
        query.append_pair("expired", "1");
    }
    see_other(&format!("/login?{}", query.finish()))
}

/// `next` as a path of ours; anything else becomes the picker.
pub(super) fn local_path(app: &App, next: &str) -> String {
    own_path(&app.broker.settings().public_url, next).unwrap_or_else(|| "/".to_owned())
}

/// Whether a path opens a role without another click.
pub(super) fn opens_at_once(next: &str) -> bool {
    let (path, query) = next.split_once('?').unwrap_or((next, ""));
    let asks = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "confirm");
    path.starts_with("/console/") && !asks
}

/// The way back after signing in, where another site wrote it: signing in must not stand in for
/// the click that opens a role.
pub(super) fn asking_first(next: String) -> String {
    if !opens_at_once(&next) {
        return next;
    }
    let separator = if next.contains('?') { '&' } else { '?' };
    format!("{next}{separator}confirm=1")
}

/// Browsers drop tabs and line ends and read `\` as `/`, so those are refused rather than read;
/// what is left is resolved as a browser would and must stay at home.
fn own_path(own: &Url, next: &str) -> Option<String> {
    let is_plain = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(|c| c.is_control() || c.is_whitespace());
    if !is_plain {
        return None;
    }
    let resolved = own.join(next).ok()?;
    if resolved.origin() != own.origin() || resolved.path().starts_with("//") {
        return None;
    }
    let path = resolved[Position::BeforePath..Position::AfterQuery].to_owned();
    let leads_back = ["/login", "/signed-in", "/signed-out"]
        .iter()
        .any(|start| path.starts_with(start));
    (!leads_back).then_some(path)
}

/// What the throttle knows a browser by.
pub(super) fn browser_hash(cookie: &str) -> String {
    hex::encode(&digest(&SHA256, cookie.as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(next: &str) -> Option<String> {
        own_path(&"https://aws.example.com/".parse().unwrap(), next)
    }

    #[test]
    fn paths_of_ours_are_kept() {
        let link = "/console/111122223333/Admin?destination=https%3A%2F%2Fconsole.aws.amazon.com";
        assert_eq!(path(link).as_deref(), Some(link));
        assert_eq!(path("/?q=pay").as_deref(), Some("/?q=pay"));
    }

    #[test]
    fn a_way_back_that_opens_a_role_asks_first() {
        let asking = |next: &str| asking_first(next.to_owned());
        assert_eq!(asking("/?q=pay"), "/?q=pay");
        assert_eq!(asking("/console/1/R"), "/console/1/R?confirm=1");
        assert_eq!(
            asking("/console/1/R?destination=confirm=1"),
            "/console/1/R?destination=confirm=1&confirm=1"
        );
        assert_eq!(asking("/console/1/R?confirm=1"), "/console/1/R?confirm=1");
    }

    #[test]
    fn other_places_are_not() {
        for next in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/%09/evil.example\t",
            "/\t/evil.example",
            "/\n/evil.example",
            "javascript:alert(1)",
            " /x",
            "/login?next=/login",
            "/.//evil.example",
            "/..//evil.example",
            "evil.example",
            "/x\u{2028}",
            "http:/evil.example",
            "/signed-out",
            "/signed-in?next=/console/1/R",
        ] {
            assert_eq!(path(next), None, "{next:?}");
        }
    }
}
