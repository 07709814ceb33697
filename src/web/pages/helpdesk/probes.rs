//! Whether a role can be opened, looked at now; and which roles of an account are not in the table.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        super::{
            App,
            csrf::CheckedForm,
            error::Frame,
            staff::Staff,
            views::{
                Moment,
                helpdesk::{
                    Section, links,
                    people::NobodyView,
                    probes::{DiscoverView, DiscoveredRow, ProbePart},
                },
                query_string, words,
            },
        },
        Arrival, layout, render, see_other,
    },
    desk,
};
use crate::{
    access::{AccountId, SessionDuration, TargetArn},
    broker::{
        DiscoveredRole, NotDiscovered, ProbeState, StoreError, Trust, TrustToAdd, acting_person,
    },
};

#[derive(Debug, Deserialize)]
pub(in crate::web) struct ProbeForm {
    role: String,
}

/// `POST /helpdesk/roles/probe`: looks at one role now.
pub(in crate::web) async fn look(
    State(app): State<App>,
    staff: Staff,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<ProbeForm>,
) -> Response {
    let looked = async {
        let policy = app.broker.policy().await?;
        let role = form.role.parse::<TargetArn>().ok();
        let Some(role) = role.filter(|arn| policy.role(arn).is_some()) else {
            return Ok(None);
        };
        let account = policy.account(&role.account());
        if !staff.authority.may_probe(&role, account) {
            return Ok(Some(Err(role)));
        }
        let client = arrival.client(&app);
        let identity = staff.signed_in.identity();
        app.broker.probe_now(identity, &role, &client).await?;
        Ok::<_, StoreError>(Some(Ok(role)))
    };
    match looked.await {
        Ok(Some(Ok(role))) => see_other(&format!("{}#probe", links::role(&role))),
        Ok(Some(Err(role))) => arrival.frame.not_prober(links::role(&role)).into_response(),
        Ok(None) => {
            let frame = Frame(layout(&arrival.frame, &staff.signed_in));
            let refused = frame.bad_input("That is not a role of the table.");
            refused.into_response()
        }
        Err(error) => arrival.frame.store_unavailable(&error).into_response(),
    }
}

/// What the page of a role says of its last probe.
pub(super) async fn part(app: &App, role: &TargetArn) -> Result<ProbePart, StoreError> {
    let Some(probe) = app.broker.known_probe(role).await? else {
        return Ok(ProbePart::default());
    };
    let now = app.broker.now();
    let add = if probe.is_about_trust() {
        app.broker.trust_to_add(role).await?
    } else {
        None
    };
    let longest = probe.max_duration_seconds;
    let longest = longest.and_then(|seconds| SessionDuration::from_seconds(seconds.into()).ok());
    let add = add.unwrap_or_else(|| TrustToAdd {
        statement: String::new(),
        own_statement: None,
        hint: None,
    });
    Ok(ProbePart {
        is_broken: probe.state == ProbeState::Broken,
        may_look: false,
        state: match probe.state {
            ProbeState::Works => "AWS opened it",
            ProbeState::Broken => "AWS did not open it",
            ProbeState::Inconclusive => "Not known: the last look proved nothing",
            ProbeState::NotProbed => "Not looked at: it needs a person",
        },
        checked: Some(Moment::relative(probe.checked_at, now)),
        since: (probe.since < probe.checked_at).then(|| Moment::relative(probe.since, now)),
        message: probe.message.unwrap_or_default(),
        longest: longest
            .map(|longest| longest.to_string())
            .unwrap_or_default(),
        description: probe.description.unwrap_or_default(),
        statement: add.statement,
        own_statement: add.own_statement.unwrap_or_default(),
        hint: add.hint.unwrap_or_default(),
    })
}

/// `GET /helpdesk/accounts/{id}/discover`
pub(in crate::web) async fn discover(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    frame: Frame,
) -> Response {
    if !staff.authority.is_admin {
        return frame.not_admin().into_response();
    }
    let frame = Frame(layout(&frame, &staff.signed_in));
    match discovered(&app, &staff, &id, &frame).await {
        Ok(page) => page,
        Err(error) => frame.store_unavailable(&error).into_response(),
    }
}

async fn discovered(
    app: &App,
    staff: &Staff,
    id: &str,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let desk = desk(app, staff, Section::Roles).await?;
    let Ok(account) = id.parse::<AccountId>() else {
        let view = NobodyView {
            layout: frame.0.clone(),
            desk,
            title: "There is no such account".to_owned(),
            missing: Vec::new(),
            back: ("/helpdesk/roles", "Show accounts and roles"),
        };
        return Ok((StatusCode::NOT_FOUND, render(&view, frame)).into_response());
    };
    let policy = app.broker.policy().await?;
    let by = acting_person(staff.signed_in.identity());
    let (roles, trouble) = match app.broker.discover_roles(&account, by).await {
        Ok(found) => (found.iter().map(row).collect(), String::new()),
        Err(NotDiscovered::Store(error)) => return Err(error),
        Err(NotDiscovered::NotRead(error)) => (Vec::new(), error.for_operator()),
    };
    let known = policy.account(&account);
    let view = DiscoverView {
        layout: frame.0.clone(),
        desk,
        account: known.map_or_else(|| account.to_string(), |known| known.name.clone()),
        account_href: links::account(&account),
        id: account.to_string(),
        count: words::counted(roles.len(), "role", "roles"),
        roles,
        trouble,
    };
    Ok(render(&view, frame))
}

fn row(role: &DiscoveredRole) -> DiscoveredRow {
    let longest = role.longest.seconds().to_string();
    let description = role.description.clone().unwrap_or_default();
    DiscoveredRow {
        arn: role.arn.to_string(),
        name: role.arn.name().to_owned(),
        add: query_string(
            "/helpdesk/roles/new",
            &[
                ("arn", role.arn.as_str()),
                ("description", description.as_str()),
                ("max_duration", longest.as_str()),
            ],
        ),
        description,
        longest: role.longest.to_string(),
        trust: match role.trust {
            Trust::Named => "names Rolegate",
            Trust::Perhaps => "names its account or anybody",
        },
    }
}
