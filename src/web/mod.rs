//! HTTP: every route on one screen, and the middleware in order with a reason each.
//!
//! Never here: decisions. Handlers turn a request into a call of the [`Broker`] and its answer into
//! a page. Entry point: [`router`].

mod api;
mod assets;
mod attempt;
mod aws_sso;
mod client_address;
mod cookies;
mod csrf;
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
    Router::new()
        .merge(sign_in_pages())
        .merge(own_pages())
        .merge(helpdesk_edits())
        .merge(helpdesk_lookups())
        .merge(staff_pages())
        .merge(issuer_pages())
        .merge(setup_pages())
        .merge(probe_pages())
        .merge(revocation_pages())
        .merge(consent_pages())
        .merge(api::routes())
        .merge(aws_sso::routes())
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
        // Scripts of other origins may read one address's answers; refused ones too.
        .layer(from_fn_with_state(app.clone(), api::cross_origin))
        // Bare refusals become pages, and JSON where programs ask.
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

/// Signing in and out.
fn sign_in_pages() -> Router<App> {
    use pages::{login, logout, oidc, saml, signed_in};
    let messages = DefaultBodyLimit::max(MESSAGE_LIMIT);
    Router::new()
        .route("/login", get(login::show))
        .route("/login/{connector}", post(login::sign_in))
        .route("/signed-in", get(signed_in::go_on))
        .route("/logout", post(logout::sign_out))
        .route("/signed-out", get(logout::signed_out))
        .route("/saml/{connector}/metadata", get(saml::metadata))
        .route("/saml/{connector}/acs", post(saml::consume).layer(messages))
        .route(
            "/saml/{connector}/acs/confirm",
            post(saml::confirm).layer(messages),
        )
        .route(
            "/saml/{connector}/slo",
            get(saml::log_out_by_query)
                .post(saml::log_out_by_form)
                .layer(messages),
        )
        .route("/oidc/{connector}/callback", get(oidc::callback))
        .route(
            "/oidc/{connector}/backchannel-logout",
            post(oidc::end_sessions),
        )
}

/// Everybody's own: the picker, the console, credentials, sessions.
fn own_pages() -> Router<App> {
    use pages::{console, credentials, picker, role, sessions, tokens};
    Router::new()
        .route("/", get(picker::show))
        .route("/picker.json", get(picker::json))
        .route("/refresh", post(picker::refresh))
        .route("/favourites", post(picker::set_favourite))
        .route("/role", get(role::show))
        .route("/console", post(console::open))
        .route("/console/{account}/{role}", get(console::deep_link))
        .route("/credentials", post(credentials::issue))
        .route("/sessions", get(sessions::show))
        .route("/sessions/sign-out", post(sessions::sign_out_one))
        .route(
            "/sessions/sign-out-everywhere",
            post(sessions::sign_out_everywhere),
        )
        .route("/sessions/tokens/new", get(tokens::new))
        .route("/sessions/tokens", post(tokens::make))
        .route("/settings", post(sessions::set))
        .route("/assets/{name}", get(pages::asset))
        .route("/favicon.ico", get(pages::icon))
}

/// The helpdesk's pages that edit: what is edited, and the edits.
fn helpdesk_edits() -> Router<App> {
    use pages::helpdesk::{self, history, import, mappings, pending, preview, rules, suggest};
    let tables = DefaultBodyLimit::max(TABLE_LIMIT);
    Router::new()
        .route("/helpdesk", get(helpdesk::show))
        // What is edited: a form posts to the preview.
        .route("/helpdesk/mappings", get(mappings::show))
        .route("/helpdesk/mappings.csv", get(mappings::csv))
        .route("/helpdesk/mappings/new", get(mappings::add))
        .route("/helpdesk/mappings/{id}", get(mappings::edit))
        .route("/helpdesk/rules", get(rules::show))
        .route("/helpdesk/rules/new", get(rules::add))
        .route("/helpdesk/rules/{id}", get(rules::edit))
        .route("/helpdesk/import", get(import::show))
        .route("/helpdesk/export.toml", get(import::toml))
        .route("/helpdesk/export.jsonl", get(import::json_lines))
        .route("/helpdesk/suggest/groups", get(suggest::groups))
        .route("/helpdesk/suggest/roles", get(suggest::roles))
        // The edits: looked at, saved, approved, taken back.
        .route("/helpdesk/preview", post(preview::look).layer(tables))
        .route("/helpdesk/previews/{id}", get(preview::show))
        .route("/helpdesk/save", post(preview::save).layer(tables))
        .route("/helpdesk/pending", get(pending::show))
        .route("/helpdesk/pending/{id}", get(pending::show_one))
        .route("/helpdesk/pending/{id}/approve", post(pending::approve))
        .route("/helpdesk/pending/{id}/decline", post(pending::decline))
        .route("/helpdesk/history", get(history::show))
        .route("/helpdesk/undo", get(history::undo))
}

/// The helpdesk's pages that answer: who, through what, what can be opened.
fn helpdesk_lookups() -> Router<App> {
    use pages::helpdesk::{groups, people, roles};
    Router::new()
        .route("/helpdesk/people", get(people::search))
        .route("/helpdesk/people/{connector}/{subject}", get(people::show))
        .route(
            "/helpdesk/people/{connector}/{subject}/picker",
            get(people::view_as),
        )
        .route("/helpdesk/groups", get(groups::search))
        .route("/helpdesk/groups/{*key}", get(groups::show))
        .route("/helpdesk/roles", get(roles::list))
        .route("/helpdesk/roles/new", get(roles::new_role))
        .route("/helpdesk/roles/{*arn}", get(roles::role))
        .route("/helpdesk/accounts/new", get(roles::new_account))
        .route("/helpdesk/accounts/{id}", get(roles::account))
}

/// Access reviews, and the audit log.
fn staff_pages() -> Router<App> {
    use pages::{audit, helpdesk::reviews};
    Router::new()
        .route("/helpdesk/reviews", get(reviews::list).post(reviews::start))
        .route("/helpdesk/reviews/{id}", get(reviews::show))
        .route("/helpdesk/reviews/{id}/decide", post(reviews::decide))
        .route("/helpdesk/reviews/{id}/close", post(reviews::close))
        .route("/helpdesk/reviews/{id}/end", post(reviews::end))
        .route("/helpdesk/who.csv", get(reviews::who))
        .route("/audit", get(audit::show))
        .route("/audit/verify", post(audit::verify))
        .route("/audit.jsonl", get(audit::json_lines))
        .route("/audit.csv", get(audit::csv))
}

/// What AWS and people who set it up fetch of the issuer.
fn issuer_pages() -> Router<App> {
    use pages::issuer;
    Router::new()
        .route("/issuer/saml/metadata", get(issuer::saml_metadata))
        .route("/.well-known/openid-configuration", get(issuer::discovery))
        .route("/issuer/jwks", get(issuer::jwks))
}

/// What has to be done at AWS, for each account.
fn setup_pages() -> Router<App> {
    use pages::helpdesk::setup;
    Router::new()
        .route("/helpdesk/accounts/{id}/setup", get(setup::show))
        .route(
            "/helpdesk/accounts/{id}/setup/cloudformation.json",
            get(setup::cloudformation),
        )
        .route(
            "/helpdesk/accounts/{id}/setup/terraform.tf",
            get(setup::terraform),
        )
}

/// Whether roles can be opened, and which there are.
fn probe_pages() -> Router<App> {
    use pages::helpdesk::probes;
    Router::new()
        .route("/helpdesk/roles/probe", post(probes::look))
        .route("/helpdesk/accounts/{id}/discover", get(probes::discover))
}

/// Ending sessions that were issued.
fn revocation_pages() -> Router<App> {
    use pages::{helpdesk::revocations, sessions};
    Router::new()
        .route("/sessions/revoke", post(sessions::revoke_one))
        .route("/sessions/revoke-all", post(sessions::revoke_all))
        .route(
            "/helpdesk/revocations",
            get(revocations::list).post(revocations::revoke),
        )
        .route("/helpdesk/revocations/new", get(revocations::confirm))
        .route("/helpdesk/revocations/retry", post(revocations::retry))
        .route("/helpdesk/revocations/{id}", get(revocations::show))
}

/// Where a person agrees that a client acts for them.
fn consent_pages() -> Router<App> {
    use pages::{authorize, device};
    Router::new()
        .route("/authorize", get(authorize::show).post(authorize::decide))
        .route("/device", get(device::show).post(device::post))
        .route(
            "/start",
            get(authorize::start).head(authorize::start_for_aws),
        )
}

async fn not_found(request: Request) -> Response {
    error::Frame::of(&request)
        .status(StatusCode::NOT_FOUND)
        .into_response()
}
