//! `/sessions` and the small settings a person keeps.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
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
            helpdesk::revocations::summary,
            query_string,
            sessions::{DeviceSession, RoleSession, SessionsInput, SessionsView, SignInSession},
            signed_out::ProviderEnd,
        },
    },
    Arrival, Nothing, connector_label,
    helpdesk::revocations::not_done,
    in_own_task, layout, logout, render, see_other,
};
use crate::{
    access::{AuthenticationMethod, Delivery, Policy, TargetArn},
    broker::{self, RevokeOrder, RevokedBy, StoreError, TAKES_EFFECT, Whom},
};

/// The settings that `POST /settings` takes, with their values.
const SETTINGS: [(&str, &[&str]); 2] = [
    ("shortcuts", &["on", "off"]),
    ("sign_out_first", &["on", "off"]),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct ShownQuery {
    /// What was just ended: a revocation's id.
    ended: String,
}

/// `GET /sessions`.
pub(in crate::web) async fn show(
    State(app): State<App>,
    signed_in: SignedIn,
    Query(query): Query<ShownQuery>,
    frame: Frame,
) -> Response {
    match page(&app, &signed_in, &frame, &query.ended).await {
        Ok(response) => response,
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

async fn page(
    app: &App,
    signed_in: &SignedIn,
    frame: &Frame,
    ended: &str,
) -> Result<Response, StoreError> {
    let identity = signed_in.identity();
    let policy = app.broker.policy().await?;
    let role_sessions: Vec<RoleSession> = app
        .broker
        .role_sessions(identity)
        .await?
        .into_iter()
        .filter_map(|session| {
            let role: TargetArn = session.role.parse().ok()?;
            let account = policy.account(&role.account());
            Some(RoleSession {
                id: session.id,
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
    let (devices, browsers): (Vec<_>, Vec<_>) = app
        .broker
        .sign_in_sessions(identity)
        .await?
        .into_iter()
        .partition(|session| session.device.is_some());
    let sign_in_sessions: Vec<SignInSession> = (browsers.into_iter())
        .map(|session| sign_in_session(session, &signed_in.session.id_hash))
        .collect();
    let devices: Vec<DeviceSession> = (devices.into_iter())
        .filter_map(|session| device_session(session, &policy))
        .collect();
    let view = SessionsView::new(SessionsInput {
        layout: layout(frame, signed_in),
        role_sessions: &role_sessions,
        sign_in_sessions: &sign_in_sessions,
        devices: &devices,
        provider: (identity.method != AuthenticationMethod::Password)
            .then(|| connector_label(app, &identity.connector)),
        ended: just_ended(app, signed_in, ended).await?,
        now: app.broker.now(),
    });
    Ok(render(&view, frame))
}

/// How far what the person just ended came; nothing of others.
async fn just_ended(app: &App, signed_in: &SignedIn, id: &str) -> Result<Vec<String>, StoreError> {
    if id.is_empty() {
        return Ok(Vec::new());
    }
    let identity = signed_in.identity();
    let own = (identity.connector.to_string(), identity.subject.clone());
    let found = app.broker.revocation(id).await?;
    Ok(match found {
        Some((record, _)) if record.person.as_ref() == Some(&own) => {
            let mut sentences = vec![summary(&record)];
            if !record.roles.is_empty() {
                sentences.push(TAKES_EFFECT.to_owned());
                let rest = if record.issued_before > app.broker.now() {
                    "So are those that you open within the next five minutes: what a browser posts \
                     to AWS could be used for so long."
                } else {
                    "Sessions that you open from now on are not touched."
                };
                sentences.push(rest.to_owned());
            }
            sentences
        }
        _ => Vec::new(),
    })
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

fn device_session(session: broker::SignInSession, policy: &Policy) -> Option<DeviceSession> {
    let device = session.device?;
    let account = |role: &TargetArn| {
        let account = policy.account(&role.account());
        account.map_or_else(
            || role.account().to_string(),
            |account| account.name.clone(),
        )
    };
    Some(DeviceSession {
        handle: session.id_hash,
        name: device.name,
        scopes: device.scopes,
        role: device.role.map(|role| {
            let account = account(&role);
            (role, account)
        }),
        address: session.client_address,
        made_at: session.created_at,
        last_seen_at: session.last_seen_at,
        ends_at: session.expires_at,
    })
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

/// `POST /sessions/revoke`: ends one of the person's own role sessions at AWS, with those of the
/// same role.
pub(in crate::web) async fn revoke_one(
    State(app): State<App>,
    signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<SessionForm>,
) -> Response {
    revoke(&app, &signed_in, &arrival, Whom::RoleSession(form.session)).await
}

/// `POST /sessions/revoke-all`: ends all of the person's own role sessions at AWS, and their other
/// browsers' sign-ins here.
pub(in crate::web) async fn revoke_all(
    State(app): State<App>,
    signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(Nothing {}): CheckedForm<Nothing>,
) -> Response {
    let identity = signed_in.identity();
    let whom = Whom::Person {
        connector: identity.connector.clone(),
        subject: identity.subject.clone(),
    };
    revoke(&app, &signed_in, &arrival, whom).await
}

async fn revoke(app: &App, signed_in: &SignedIn, arrival: &Arrival, whom: Whom) -> Response {
    let frame = Frame(layout(&arrival.frame, signed_in));
    let client = arrival.client(app);
    let session = signed_in.session.clone();
    let broker = Arc::clone(&app.broker);
    let order = RevokeOrder { whom, reason: None };
    let revoked = in_own_task(async move {
        let by = RevokedBy::Themselves(&session);
        broker.revoke(&order, by, Some(&client)).await
    });
    match revoked.await {
        Some(Ok(answer)) => see_other(&query_string("/sessions", &[("ended", &answer.id)])),
        Some(Err(refused)) => not_done(frame, &refused),
        None => frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
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
