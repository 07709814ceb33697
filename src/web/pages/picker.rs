//! `/`: the picker.

use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
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
            Moment,
            helpdesk::explanation::{OwnMiss, own_words},
            picker::{OpenRoleSession, Pasted, PickerInput, PickerView, picker_json},
        },
    },
    Arrival, connector_label, console, layout, login, render, see_other,
};
use crate::{
    access::{ConnectorId, Entitlement, Identity, Policy, TargetArn},
    broker::{Connector, OpenRole, PastedText, PickerState, ProbeState, StoreError},
};

#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct PickerQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    from: Option<String>,
}

impl PickerQuery {
    /// What is looked for.
    pub(super) fn words(&self) -> &str {
        &self.q
    }

    /// The account to begin at.
    pub(super) fn place(&self) -> usize {
        let from = self.from.as_deref();
        from.and_then(|from| from.parse().ok()).unwrap_or(0)
    }
}

/// `GET /`
pub(in crate::web) async fn show(
    State(app): State<App>,
    signed_in: SignedIn,
    Query(query): Query<PickerQuery>,
    frame: Frame,
) -> Response {
    match page(&app, &signed_in, &query, &frame).await {
        Ok(response) => response,
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

async fn page(
    app: &App,
    signed_in: &SignedIn,
    query: &PickerQuery,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let identity = signed_in.identity();
    let state = app.broker.picker(identity).await?;
    let now = app.broker.now();
    let entitlements = state.policy.entitlements(identity, now);
    let open = open_sessions(&state);
    let misses = misses(app, identity, &state.policy, &entitlements).await?;
    let warnings = warnings(app, &entitlements).await?;
    let pasted = app
        .broker
        .read_pasted(&query.q)
        .map(|found| pasted(found, &entitlements));
    let view = PickerView::new(PickerInput {
        layout: layout(frame, signed_in),
        entitlements: &entitlements,
        favourites: &state.preferences.favourites,
        recents: &state.preferences.recents,
        open: &open,
        warnings: &warnings,
        groups: &identity.groups,
        groups_read_at: identity.groups_read_at,
        provider: connector_label(app, &identity.connector),
        now,
        query: &query.q,
        pasted,
        from: query.place(),
        misses: &misses,
        view_as: None,
    });
    Ok(render(&view, frame))
}

/// The consoles that are open.
pub(super) fn open_sessions(state: &PickerState) -> Vec<OpenRoleSession> {
    state
        .open
        .iter()
        .filter(|session| session.delivery == "console")
        .filter_map(|session| open_session(&state.policy, session))
        .collect()
}

/// The person's roles that AWS did not open when they were last looked at, with what to say of it.
pub(super) async fn warnings(
    app: &App,
    entitlements: &[Entitlement<'_>],
) -> Result<Vec<(TargetArn, String)>, StoreError> {
    let known = app.broker.known_probes().await?;
    let now = app.broker.now();
    let broken = entitlements.iter().filter_map(|held| {
        let arn = &held.role.arn;
        let probe = known.get(arn.as_str())?;
        let checked = Moment::relative(probe.checked_at, now).text();
        (probe.state == ProbeState::Broken).then(|| {
            let words = format!("could not be opened at the last check, {checked}");
            (arn.clone(), words)
        })
    });
    Ok(broken.collect())
}

/// What somebody without roles comes nearest to, in their own words.
pub(super) async fn misses(
    app: &App,
    identity: &Identity,
    policy: &Policy,
    entitlements: &[Entitlement<'_>],
) -> Result<Vec<OwnMiss>, StoreError> {
    if !entitlements.is_empty() {
        return Ok(Vec::new());
    }
    let misses = app.broker.misses(identity).await?;
    let own = misses
        .iter()
        .filter_map(|miss| own_words(miss, identity, policy));
    Ok(own.collect())
}

fn open_session(policy: &Policy, session: &OpenRole) -> Option<OpenRoleSession> {
    let role: TargetArn = session.role.parse().ok()?;
    let account = policy.account(&role.account());
    Some(OpenRoleSession {
        account: account.map_or_else(|| role.account().to_string(), |a| a.name.clone()),
        role,
        ends_at: session.ends_at,
    })
}

/// Ranks the person's roles for what was pasted: the very role, then the account's, by name.
fn pasted((found, about): (PastedText, String), entitlements: &[Entitlement<'_>]) -> Pasted {
    let fits = |held: &&Entitlement<'_>| match (&found.account, &found.alias) {
        (Some(account), _) => held.role.arn.account() == *account,
        (None, Some(alias)) => held
            .account
            .is_some_and(|a| a.alias.as_ref() == Some(alias)),
        (None, None) => held.role.arn.partition() == found.partition,
    };
    let mut roles: Vec<&TargetArn> = entitlements
        .iter()
        .filter(fits)
        .map(|held| &held.role.arn)
        .collect();
    roles.sort_by_key(|arn| found.role.as_ref() != Some(*arn));
    Pasted {
        about,
        account: found.account,
        destination: found.destination.map(String::from),
        region: found.region,
        roles: roles.into_iter().cloned().collect(),
    }
}

/// `GET /picker.json`: every role, compactly, for the filter in the browser.
pub(in crate::web) async fn json(
    State(app): State<App>,
    signed_in: SignedIn,
    frame: Frame,
) -> Response {
    let identity = signed_in.identity();
    let state = match app.broker.picker(identity).await {
        Ok(state) => state,
        Err(error) => return frame.store_unavailable(&error).into_response(),
    };
    let now = app.broker.now();
    let entitlements = state.policy.entitlements(identity, now);
    let warnings = match warnings(&app, &entitlements).await {
        Ok(warnings) => warnings,
        Err(error) => return frame.store_unavailable(&error).into_response(),
    };
    match picker_json(
        &entitlements,
        &state.preferences.favourites,
        &warnings,
        (
            &frame.0.environments,
            connector_label(&app, &identity.connector),
        ),
        now,
    ) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(_) => frame
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct RefreshForm {
    #[serde(default)]
    next: String,
}

/// `POST /refresh`: reads the person's groups again now.
pub(in crate::web) async fn refresh(
    State(app): State<App>,
    SignedIn { mut session, .. }: SignedIn,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<RefreshForm>,
) -> Response {
    let next = login::local_path(&app, &form.next);
    if is_told_by_provider(&app, &session.identity.connector) {
        return console::sign_in_again(&app, &arrival, &session, next).await;
    }
    let who = arrival.client(&app);
    match app.broker.refresh_groups(&mut session, &who).await {
        Ok(false) => see_other(&next),
        Ok(true) => arrival.frame.groups_not_read().into_response(),
        Err(refused) => arrival.frame.groups_refused(&refused).into_response(),
    }
}

/// Whether groups come with a sign-in at a provider and from nowhere else, so that only another
/// sign-in reads them again.
fn is_told_by_provider(app: &App, connector: &ConnectorId) -> bool {
    app.broker.connectors().iter().any(|found| match found {
        Connector::Redirect(provider) => {
            provider.id() == connector && provider.groups_from().is_none()
        }
        Connector::Password(_) => false,
    })
}

#[derive(Debug, Deserialize)]
pub(in crate::web) struct FavouriteForm {
    role: String,
    #[serde(default)]
    favourite: String,
    #[serde(default)]
    next: String,
}

/// `POST /favourites`: marks a role the person holds, or takes the mark away.
pub(in crate::web) async fn set_favourite(
    State(app): State<App>,
    signed_in: SignedIn,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<FavouriteForm>,
) -> Response {
    let Ok(role) = form.role.parse::<TargetArn>() else {
        return arrival
            .frame
            .bad_input("That is not a role.")
            .into_response();
    };
    let is_favourite = form.favourite == "1";
    let identity = signed_in.identity();
    if is_favourite {
        let policy = match app.broker.policy().await {
            Ok(policy) => policy,
            Err(error) => return arrival.frame.store_unavailable(&error).into_response(),
        };
        let held = policy.entitlements(identity, app.broker.now());
        // What is kept for a person is bounded by what they hold.
        if !held.iter().any(|entitlement| entitlement.role.arn == role) {
            let refused = arrival.frame.bad_input("That is not a role of yours.");
            return refused.into_response();
        }
    }
    match app
        .broker
        .set_favourite(identity, role.as_str(), is_favourite)
        .await
    {
        // A script asked and does not leave the page.
        Ok(()) if super::is_script(&arrival.headers) => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => see_other(&login::local_path(&app, &form.next)),
        Err(error) => arrival.frame.store_unavailable(&error).into_response(),
    }
}
