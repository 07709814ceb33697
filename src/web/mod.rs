//! HTTP: every route on one screen, and the middleware in order with a reason each.
//!
//! Never here: decisions. Handlers turn a request into a call of the [`Broker`] and its answer into
//! a page. Entry point: [`router`].

mod assets;
mod attempt;
mod client_address;
mod cookies;
mod csrf;
mod csv;
mod error;
mod headers;
pub mod operations;
mod pages;
mod preview_jobs;
mod serve;
mod session;
mod staff;
mod turned_away;
mod views;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ipnet::IpNet;
use regex::Regex;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, timeout::TimeoutLayer,
};

use crate::{access::PolicyTables, broker::Broker};
pub use serve::{serve, stopped};

/// The largest form that carries an identity provider's message, in bytes.
const MESSAGE_LIMIT: usize = 256 * 1024;

/// The largest form that carries a mapping file, in bytes.
const TABLE_LIMIT: usize = 8 * 1024 * 1024;

/// Reads a text as rows; every finding is a line.
pub type ReadTable = dyn Fn(&str) -> Result<PolicyTables, Vec<String>> + Send + Sync;

/// The table as a text that people edit elsewhere: the form of the mapping file.
#[derive(Clone)]
pub struct TableText {
    /// Reads it; every finding is a line.
    pub read: Arc<ReadTable>,
    /// Writes it as TOML that reads back to the same rows.
    pub to_toml: fn(&PolicyTables) -> String,
    /// Writes it as JSON, one row a line.
    pub to_json_lines: fn(&PolicyTables) -> String,
}

impl fmt::Debug for TableText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableText")
    }
}

/// What the pages need of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether browsers come by https; decides cookies and HSTS.
    pub is_secure: bool,
    /// `https://host[:port]`, as browsers write it in `Origin`.
    pub origin: String,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// Whose pages these are.
    pub organisation: String,
    /// A notice on the sign-in page.
    pub notice: Option<String>,
    /// Where to ask for help, with `{summary}` and `{request_id}` in it.
    pub help_url: Option<String>,
    /// How environments are told from account names.
    pub environments: Arc<[EnvironmentRule]>,
    /// How the table is imported and exported.
    pub table_text: TableText,
}

/// A rule that gives accounts an environment.
#[derive(Debug, Clone)]
pub struct EnvironmentRule {
    /// The word.
    pub name: String,
    /// Which account names or environment labels it is about.
    pub pattern: Regex,
    /// The colour's name.
    pub colour: String,
}

/// What every handler sees.
#[derive(Clone)]
struct App {
    broker: Arc<Broker>,
    settings: Arc<Settings>,
    previews: Arc<preview_jobs::PreviewJobs>,
}

/// All pages.
pub fn router(broker: Arc<Broker>, settings: Settings) -> Router {
    let app = App {
        broker,
        settings: Arc::new(settings),
        previews: Arc::default(),
    };
    let request_timeout = app.settings.request_timeout;
    let messages = DefaultBodyLimit::max(MESSAGE_LIMIT);
    let tables = DefaultBodyLimit::max(TABLE_LIMIT);
    Router::new()
        .route("/", get(pages::picker::show))
        .route("/picker.json", get(pages::picker::json))
        .route("/refresh", post(pages::picker::refresh))
        .route("/favourites", post(pages::picker::set_favourite))
        .route("/role", get(pages::role::show))
        .route("/console", post(pages::console::open))
        .route("/console/{account}/{role}", get(pages::console::deep_link))
        .route("/credentials", post(pages::credentials::issue))
        .route("/sessions", get(pages::sessions::show))
        .route("/sessions/sign-out", post(pages::sessions::sign_out_one))
        .route(
            "/sessions/sign-out-everywhere",
            post(pages::sessions::sign_out_everywhere),
        )
        .route("/settings", post(pages::sessions::set))
        .route("/login", get(pages::login::show))
        .route("/login/{connector}", post(pages::login::sign_in))
        .route("/signed-in", get(pages::signed_in::go_on))
        .route("/logout", post(pages::logout::sign_out))
        .route("/signed-out", get(pages::logout::signed_out))
        .route("/saml/{connector}/metadata", get(pages::saml::metadata))
        .route(
            "/saml/{connector}/acs",
            post(pages::saml::consume).layer(messages),
        )
        .route(
            "/saml/{connector}/acs/confirm",
            post(pages::saml::confirm).layer(messages),
        )
        .route(
            "/saml/{connector}/slo",
            get(pages::saml::log_out_by_query)
                .post(pages::saml::log_out_by_form)
                .layer(messages),
        )
        // The helpdesk's pages: what is edited, and the edits.
        .route("/helpdesk", get(pages::helpdesk::show))
        .route("/helpdesk/mappings", get(pages::helpdesk::mappings::show))
        .route(
            "/helpdesk/mappings.csv",
            get(pages::helpdesk::mappings::csv),
        )
        .route(
            "/helpdesk/mappings/new",
            get(pages::helpdesk::mappings::add),
        )
        .route(
            "/helpdesk/mappings/{id}",
            get(pages::helpdesk::mappings::edit),
        )
        .route(
            "/helpdesk/suggest/groups",
            get(pages::helpdesk::mappings::groups),
        )
        .route(
            "/helpdesk/suggest/roles",
            get(pages::helpdesk::mappings::roles),
        )
        .route("/helpdesk/rules", get(pages::helpdesk::rules::show))
        .route("/helpdesk/rules/new", get(pages::helpdesk::rules::add))
        .route("/helpdesk/rules/{id}", get(pages::helpdesk::rules::edit))
        .route(
            "/helpdesk/preview",
            post(pages::helpdesk::preview::look).layer(tables),
        )
        .route(
            "/helpdesk/previews/{id}",
            get(pages::helpdesk::preview::show),
        )
        .route(
            "/helpdesk/save",
            post(pages::helpdesk::preview::save).layer(tables),
        )
        .route("/helpdesk/undo", get(pages::helpdesk::history::undo))
        .route("/helpdesk/history", get(pages::helpdesk::history::show))
        .route("/helpdesk/pending", get(pages::helpdesk::pending::show))
        .route(
            "/helpdesk/pending/{id}",
            get(pages::helpdesk::pending::show_one),
        )
        .route(
            "/helpdesk/pending/{id}/approve",
            post(pages::helpdesk::pending::approve),
        )
        .route(
            "/helpdesk/pending/{id}/decline",
            post(pages::helpdesk::pending::decline),
        )
        .route("/helpdesk/import", get(pages::helpdesk::import::show))
        .route("/helpdesk/export.toml", get(pages::helpdesk::import::toml))
        .route(
            "/helpdesk/export.jsonl",
            get(pages::helpdesk::import::json_lines),
        )
        .route("/helpdesk/people", get(pages::helpdesk::people::search))
        .route(
            "/helpdesk/people/{connector}/{subject}",
            get(pages::helpdesk::people::show),
        )
        .route(
            "/helpdesk/people/{connector}/{subject}/picker",
            get(pages::helpdesk::people::view_as),
        )
        .route("/helpdesk/groups", get(pages::helpdesk::groups::search))
        .route(
            "/helpdesk/groups/suggest",
            get(pages::helpdesk::groups::suggest),
        )
        .route(
            "/helpdesk/groups/{*key}",
            get(pages::helpdesk::groups::show),
        )
        .route("/helpdesk/roles", get(pages::helpdesk::roles::list))
        .route(
            "/helpdesk/roles/new",
            get(pages::helpdesk::roles::new_role).post(pages::helpdesk::roles::add_role),
        )
        .route(
            "/helpdesk/roles/{*arn}",
            get(pages::helpdesk::roles::role).post(pages::helpdesk::roles::change_role),
        )
        .route(
            "/helpdesk/accounts/new",
            get(pages::helpdesk::roles::new_account).post(pages::helpdesk::roles::add_account),
        )
        .route(
            "/helpdesk/accounts/{id}",
            get(pages::helpdesk::roles::account).post(pages::helpdesk::roles::change_account),
        )
        .route("/helpdesk/confirm", post(pages::helpdesk::confirm::save))
        .route(
            "/helpdesk/reviews",
            get(pages::helpdesk::reviews::list).post(pages::helpdesk::reviews::start),
        )
        .route(
            "/helpdesk/reviews/{id}",
            get(pages::helpdesk::reviews::show),
        )
        .route(
            "/helpdesk/reviews/{id}/decide",
            post(pages::helpdesk::reviews::decide),
        )
        .route(
            "/helpdesk/reviews/{id}/close",
            post(pages::helpdesk::reviews::close),
        )
        .route(
            "/helpdesk/reviews/{id}/end",
            post(pages::helpdesk::reviews::end),
        )
        .route("/helpdesk/who.csv", get(pages::helpdesk::reviews::who))
        .route("/audit", get(pages::audit::show))
        .route("/audit/verify", post(pages::audit::verify))
        .route("/audit.jsonl", get(pages::audit::json_lines))
        .route("/audit.csv", get(pages::audit::csv))
        .route("/assets/{name}", get(pages::asset))
        .fallback(not_found)
        // From the inside out; each layer sees what the ones below it let through.
        // Edits that no handler took are audited too.
        .layer(from_fn_with_state(app.clone(), turned_away::note))
        // Sessions: read and set the cookie.
        .layer(session::layer(&app))
        // Another site's POST goes no further than this; identity providers' do, where they belong.
        .layer(from_fn_with_state(app.clone(), headers::same_site))
        // Bodies are forms of ours, and small; what identity providers send has a limit of its own.
        .layer(DefaultBodyLimit::max(app.settings.body_limit))
        // Nobody waits for ever: directory and STS have deadlines of their own within this one.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            request_timeout,
        ))
        // A panic is a 500 for one request, not the end of the connection.
        .layer(CatchPanicLayer::new())
        // Bare refusals become pages.
        .layer(from_fn(headers::dress_errors))
        // Pages shrink; tokens on them are masked anew each time.
        .layer(CompressionLayer::new())
        // Every answer carries the security headers, errors and redirects included.
        .layer(from_fn_with_state(app.clone(), headers::secure))
        // Header names that servers read differently never reach a handler.
        .layer(from_fn(headers::drop_underscored))
        // First of all: who asks, under which id; last of all: the log line.
        .layer(from_fn_with_state(app.clone(), client_address::note_origin))
        .with_state(app)
}

async fn not_found(request: Request) -> Response {
    error::Frame::of(&request)
        .status(StatusCode::NOT_FOUND)
        .into_response()
}
