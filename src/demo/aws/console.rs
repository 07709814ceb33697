//! The stand-in's console: which account, role and session this browser is in, and until when.
//!
//! Pages never contain credentials or sign-in tokens.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::{Url, form_urlencoded};

use super::catalogue::account_of;
use super::federation::{BROWSER_COOKIE, ConsoleSession};
use super::partition::Partition;
use super::{Shared, escape};

const STYLE: &str = "\
:root { color-scheme: light; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; color: #16202c; background: #fff; }
header { padding: .75rem 1rem; color: #fff; background: #232f3e; }
header p { margin: 0; }
main { max-width: 46rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .35rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
a { color: #0a4f9e; }
a:focus-visible { outline: 3px solid #0a4f9e; outline-offset: 2px; }
";

/// `GET /`: what this server is, for someone who opens it by hand.
pub(super) async fn home() -> Response {
    let text = "This server imitates AWS for Rolegate's demo and tests. Open a role in Rolegate.";
    message_page(StatusCode::OK, "Stand-in for AWS", text)
}

/// The one style sheet; the pages' policy allows no inline style.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// The console page of the session named by `?session=`, else of the one opened last.
pub(super) async fn page(
    State(shared): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let now = shared.now();
    let query = query.unwrap_or_default();
    let wanted = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "session")
        .map(|(_, id)| id.into_owned());
    let sessions = read_browser_id(&headers)
        .and_then(|browser| shared.ledger().browsers.get(browser).cloned())
        .unwrap_or_default();
    let session = match &wanted {
        Some(id) => sessions.iter().find(|session| session.id == *id),
        None => sessions.last(),
    };
    match session {
        Some(session) if session.expires > now => console_page(&shared, session, &sessions, now),
        Some(session) => expired_page(session),
        None => {
            let text = "Open a role in Rolegate to sign in.";
            message_page(StatusCode::FORBIDDEN, "You are not signed in", text)
        }
    }
}

/// A page with one sentence.
pub(super) fn message_page(status: StatusCode, title: &str, text: &str) -> Response {
    html(
        status,
        title,
        &format!("<h1>{}</h1><p>{}</p>", escape(title), escape(text)),
    )
}

/// Why a login was refused, with the way to sign out.
pub(super) fn refusal_page(title: &str, text: &str) -> Response {
    let body = format!(
        "<h1>{}</h1><p>{}</p><p>\
         <a href=\"/oauth?Action=logout\" id=\"sign-out\">Sign out of all sessions</a></p>",
        escape(title),
        escape(text)
    );
    html(StatusCode::BAD_REQUEST, title, &body)
}

/// The value of the cookie that tells one browser from another.
pub(super) fn read_browser_id(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == BROWSER_COOKIE)
        .map(|(_, value)| value)
}

fn console_page(
    shared: &Shared,
    session: &ConsoleSession,
    sessions: &[ConsoleSession],
    now: OffsetDateTime,
) -> Response {
    let account = account_of(&session.identity_arn);
    let catalogue = shared.catalogue();
    let account_name = catalogue
        .account(account)
        .map_or("", |account| account.name.as_str());
    let role = role_name(session);
    let (account, role) = (escape(account), escape(role));
    let session_name = escape(&session.session_name);
    let expires = escape(&timestamp(session.expires));
    let body = format!(
        "<h1>You are in account {account} ({}) as {role} / {session_name} until {expires}</h1>\
         <dl><dt>Account</dt><dd id=\"account\">{account}</dd>\
         <dt>Account name</dt><dd id=\"account-name\">{}</dd>\
         <dt>Role</dt><dd id=\"role\">{role}</dd>\
         <dt>Session name</dt><dd id=\"session-name\">{session_name}</dd>\
         <dt>Ends</dt><dd id=\"expires\">{expires}</dd>\
         <dt>Service</dt><dd id=\"service\">{}</dd>\
         <dt>Region</dt><dd id=\"region\">{}</dd>\
         <dt>Destination</dt><dd id=\"destination\">{}</dd></dl>\
         <h2>Open sessions in this browser</h2><ul id=\"sessions\">{}</ul>\
         <p>Session expired? {}</p>\
         <p><a href=\"/oauth?Action=logout\" id=\"sign-out\">Sign out of all sessions</a></p>",
        escape(account_name),
        escape(account_name),
        escape(&service(&session.destination)),
        escape(&region(&session.destination)),
        escape(session.destination.as_str()),
        sessions
            .iter()
            .filter(|open| open.expires > now)
            .map(list_item)
            .collect::<String>(),
        way_back(session),
    );
    html(StatusCode::OK, &format!("{role} in {account}"), &body)
}

fn expired_page(session: &ConsoleSession) -> Response {
    let body = format!(
        "<h1>Your console session has expired</h1><p>It ended at <span id=\"expires\">{}</span>. \
         {}</p>",
        escape(&timestamp(session.expires)),
        way_back(session)
    );
    html(StatusCode::UNAUTHORIZED, "Session expired", &body)
}

/// `assumed-role/NAME/SESSION` has a role; of a federated user the console says what it is.
fn role_name(session: &ConsoleSession) -> &str {
    let mut parts = session.identity_arn.split('/');
    let (kind, name) = (parts.next(), parts.next());
    match kind {
        Some(kind) if kind.ends_with(":assumed-role") => name.unwrap_or_default(),
        _ => "federated user",
    }
}

fn list_item(session: &ConsoleSession) -> String {
    format!(
        "<li><a href=\"/console?session={}\">{} as {} / {}</a></li>",
        escape(&session.id),
        escape(account_of(&session.identity_arn)),
        escape(role_name(session)),
        escape(&session.session_name)
    )
}

/// The link to the Issuer; an Issuer that is no web address is not linked.
fn way_back(session: &ConsoleSession) -> String {
    let issuer = session
        .issuer
        .as_deref()
        .and_then(|issuer| Url::parse(issuer).ok());
    issuer
        .filter(|issuer| ["http", "https"].contains(&issuer.scheme()))
        .map_or_else(
            || "Open the role again where you came from.".to_owned(),
            |issuer| {
                format!(
                    "<a id=\"issuer\" href=\"{}\">Sign in again</a>.",
                    escape(issuer.as_str())
                )
            },
        )
}

/// The first part of the path, after the stand-in's own `/console`.
fn service(destination: &Url) -> String {
    let mut segments = destination.path_segments().into_iter().flatten();
    let first = segments.next().unwrap_or_default();
    let service = if first == "console" {
        segments
            .next()
            .filter(|part| *part != "home")
            .unwrap_or_default()
    } else {
        first
    };
    if service.is_empty() {
        "console home".to_owned()
    } else {
        service.to_owned()
    }
}

/// The `region` in the query, else the region in front of the console host.
fn region(destination: &Url) -> String {
    let is_region = |text: &str| Partition::of_region(text).is_some();
    destination
        .query_pairs()
        .find(|(name, value)| name == "region" && is_region(value))
        .map(|(_, value)| value.into_owned())
        .or_else(|| {
            let label = destination.host_str()?.split('.').next()?;
            is_region(label).then(|| label.to_owned())
        })
        .unwrap_or_else(|| "none chosen".to_owned())
}

fn timestamp(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

fn html(status: StatusCode, title: &str, main: &str) -> Response {
    page_with_form(status, title, main, "'none'")
}

/// A page whose forms may go to `form_action` (Content Security Policy).
pub(super) fn page_with_form(
    status: StatusCode,
    title: &str,
    main: &str,
    form_action: &str,
) -> Response {
    let document = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{} – Stand-in for AWS</title>\
         <link rel=\"stylesheet\" href=\"/stand-in.css\"></head><body>\
         <header><p>Stand-in for AWS: nothing here is real</p></header>\
         <main>{main}</main></body></html>",
        escape(title)
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            &format!(
                "default-src 'none'; style-src 'self'; base-uri 'none'; \
                 form-action {form_action}; frame-ancestors 'none'"
            ),
        ),
    ];
    (status, headers, document).into_response()
}
