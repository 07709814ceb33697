//! `/sessions` and the small settings a person keeps.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        App,
        csrf::CheckedForm,
        error::Frame,
        session::SignedIn,
        views::{
            sessions::{RoleSession, SessionsInput, SessionsView, SignInSession},
            signed_out::ProviderEnd,
        },
    },
    Arrival, Nothing, connector_label, layout, logout, render, see_other,
};
use crate::{
    access::{AuthenticationMethod, Delivery},
    broker::{self, StoreError},
};

/// The settings that `POST /settings` takes, with their values.
const SETTINGS: [(&str, &[&str]); 2] = [
    ("shortcuts", &["on", "off"]),
    ("sign_out_first", &["on", "off"]),
];

/// `GET /sessions`.
pub(in crate::web) async fn show(
    State(app): State<App>,
    signed_in: SignedIn,
    frame: Frame,
) -> Response {
    match page(&app, &signed_in, &frame).await {
        Ok(response) => response,
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

async fn page(app: &App, signed_in: &SignedIn, frame: &Frame) -> Result<Response, StoreError> {
    let identity = signed_in.identity();
    let policy = app.broker.policy().await?;
    let role_sessions: Vec<RoleSession> = app
        .broker
        .role_sessions(identity)
        .await?
        .into_iter()
        .filter_map(|session| {
            let role: crate::access::TargetArn = session.role.parse().ok()?;
            let account = policy.account(&role.account());
            Some(RoleSession {
                account: account.map_or_else(|| role.account().to_string(), |a| a.name.clone()),
                role,
                delivery: match session.delivery.as_str() {
                    "console" => Delivery::Console,
                    _ => Delivery::Credentials,
                },
                session_name: session.session_name,
                is_read_only: session.read_only,
                started_at: session.started_at,
                ends_at: session.expires_at,
            })
        })
        .collect();
    let sign_in_sessions: Vec<SignInSession> = app
        .broker
        .sign_in_sessions(identity)
        .await?
        .into_iter()
        .map(|session| sign_in_session(session, &signed_in.session.id_hash))
        .collect();
    let view = SessionsView::new(SessionsInput {
        layout: layout(frame, signed_in),
        role_sessions: &role_sessions,
        sign_in_sessions: &sign_in_sessions,
        provider: (identity.method != AuthenticationMethod::Password)
            .then(|| connector_label(app, &identity.connector)),
        now: app.broker.now(),
    });
    Ok(render(&view, frame))
}

fn sign_in_session(session: broker::SignInSession, own: &str) -> SignInSession {
    SignInSession {
        is_this_one: session.id_hash == own,
        handle: session.id_hash,
        address: session.client_address,
        browser: browser(&session.user_agent),
        signed_in_at: session.created_at,
        last_seen_at: session.last_seen_at,
    }
}

/// `Firefox on Linux`, as far as the user agent says.
fn browser(user_agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names
            .iter()
            .find(|(mark, _)| user_agent.contains(mark))
            .map(|(_, name)| *name)
    };
    // The order matters: every browser also claims to be an older one.
    let name = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        _ => "Unknown browser".to_owned(),
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct SessionForm {
    session: String,
}

/// `POST /sessions/sign-out`: ends one of the person's own sessions.
pub(in crate::web) async fn sign_out_one(
    State(app): State<App>,
    signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<SessionForm>,
) -> Response {
    let who = arrival.client(&app);
    match app
        .broker
        .end_own_session(signed_in.identity(), &form.session, &who)
        .await
    {
        Ok(true) => see_other("/sessions"),
        Ok(false) => arrival.frame.status(StatusCode::NOT_FOUND).into_response(),
        Err(error) => arrival.frame.store_unavailable(&error).into_response(),
    }
}

/// `POST /sessions/sign-out-everywhere`: everywhere here; the provider's own session goes on.
pub(in crate::web) async fn sign_out_everywhere(
    State(app): State<App>,
    signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    let who = arrival.client(&app);
    let ended = app
        .broker
        .sign_out_everywhere(signed_in.identity(), "asked_by_person", &who)
        .await;
    match ended {
        Ok(_) => {
            let provider = signed_in.session.provider_session.is_some();
            logout::ended(&app, provider.then_some(ProviderEnd::Open))
        }
        Err(error) => arrival.frame.store_unavailable(&error).into_response(),
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct SettingForm {
    name: String,
    value: String,
}

/// `POST /settings`: keeps one small setting.
pub(in crate::web) async fn set(
    State(app): State<App>,
    signed_in: SignedIn,
    frame: Frame,
    CheckedForm(form): CheckedForm<SettingForm>,
) -> Response {
    let is_known = SETTINGS
        .iter()
        .any(|(name, values)| *name == form.name && values.contains(&form.value.as_str()));
    if !is_known {
        return frame.bad_input("There is no such setting.").into_response();
    }
    match app
        .broker
        .set_setting(signed_in.identity(), &form.name, &form.value)
        .await
    {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}
