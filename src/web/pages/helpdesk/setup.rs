//! `/helpdesk/accounts/{id}/setup`: what has to be made at AWS, to copy or to download.

use axum::{
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    super::{
        super::{
            App,
            error::Frame,
            staff::Staff,
            views::helpdesk::{
                Section, links,
                people::NobodyView,
                setup::{Paste, SetupView},
            },
        },
        layout, render,
    },
    desk,
};
use crate::{
    access::AccountId,
    broker::{SetUp, SetUpOrder, SetUpRefused, StoreError, setup_text},
};

/// `GET /helpdesk/accounts/{id}/setup`
pub(in crate::web) async fn show(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    frame: Frame,
) -> Response {
    let page = async {
        let Some(set_up) = set_up(&app, &id).await? else {
            return unknown(&app, &staff, &frame).await;
        };
        let policy = app.broker.policy().await?;
        let account = policy.account(&set_up.account.account);
        let roles = set_up.account.roles.iter().enumerate();
        let mut pastes: Vec<Paste> = roles
            .map(|(place, role)| Paste {
                id: format!("trust-{place}"),
                arn: role.arn.to_string(),
                href: policy.role(&role.arn).map(|_| links::role(&role.arn)),
                name: role.name().to_owned(),
                text: setup_text(&role.trust_policy()),
                permissions: role.permissions.as_ref().map(setup_text),
            })
            .collect();
        pastes.sort_by(|one, other| one.name.cmp(&other.name));
        let view = SetupView {
            layout: layout(&frame, &staff.signed_in),
            desk: desk(&app, &staff, Section::Roles).await?,
            id: set_up.account.account.to_string(),
            name: account.map_or_else(String::new, |account| account.name.clone()),
            saml_provider: (set_up.account.saml_provider.as_ref())
                .map(|provider| provider.name.clone()),
            oidc_provider: (set_up.account.oidc_provider.as_ref())
                .map(|provider| (provider.url.clone(), provider.audience.clone())),
            roles: pastes,
            broker_policies: set_up.broker_policies,
            hint: set_up.hint,
            left_out: (set_up.left_out.into_iter())
                .map(|(role, why)| (role.name().to_owned(), why))
                .collect(),
        };
        Ok(render(&view, &frame))
    };
    page.await
        .unwrap_or_else(|error: StoreError| frame.clone().store_unavailable(&error).into_response())
}

/// `GET /helpdesk/accounts/{id}/setup/cloudformation.json`
pub(in crate::web) async fn cloudformation(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    frame: Frame,
) -> Response {
    let name = format!("rolegate-{id}.json");
    let write = |set_up: &SetUp| set_up.account.cloudformation();
    file(
        &app,
        (&staff, &frame),
        &id,
        ("application/json", &name),
        write,
    )
    .await
}

/// `GET /helpdesk/accounts/{id}/setup/terraform.tf`
pub(in crate::web) async fn terraform(
    State(app): State<App>,
    staff: Staff,
    Path(id): Path<String>,
    frame: Frame,
) -> Response {
    let name = format!("rolegate-{id}.tf");
    let write = |set_up: &SetUp| set_up.account.terraform();
    file(
        &app,
        (&staff, &frame),
        &id,
        ("text/plain; charset=utf-8", &name),
        write,
    )
    .await
}

async fn file(
    app: &App,
    (staff, frame): (&Staff, &Frame),
    id: &str,
    (content_type, name): (&'static str, &str),
    write: impl Fn(&SetUp) -> String,
) -> Response {
    let answer = match set_up(app, id).await {
        Ok(Some(set_up)) => Ok(write(&set_up)),
        Ok(None) => match unknown(app, staff, frame).await {
            Ok(page) => return page,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match answer {
        Ok(text) => {
            let attachment = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
            let mut response = ([(header::CONTENT_TYPE, content_type)], text).into_response();
            if let Ok(attachment) = attachment {
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_DISPOSITION, attachment);
            }
            response
        }
        Err(error) => frame.clone().store_unavailable(&error).into_response(),
    }
}

/// None where there is no such account.
async fn set_up(app: &App, id: &str) -> Result<Option<SetUp>, StoreError> {
    let Ok(account) = id.parse::<AccountId>() else {
        return Ok(None);
    };
    let order = SetUpOrder {
        account: &account,
        only: &[],
        principal: None,
    };
    match app.broker.account_setup(order).await {
        Ok(set_up) => Ok(Some(set_up)),
        Err(SetUpRefused::UnknownAccount(_)) => Ok(None),
        Err(SetUpRefused::Store(error)) => Err(error),
    }
}

async fn unknown(app: &App, staff: &Staff, frame: &Frame) -> Result<Response, StoreError> {
    let view = NobodyView {
        layout: layout(frame, &staff.signed_in),
        desk: desk(app, staff, Section::Roles).await?,
        title: "There is no such account".to_owned(),
        missing: Vec::new(),
        back: ("/helpdesk/roles", "Show accounts and roles"),
    };
    Ok((StatusCode::NOT_FOUND, render(&view, frame)).into_response())
}
