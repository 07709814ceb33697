//! `GET /role?arn=…`: the options of one role.

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{
        App,
        error::{Frame, Repeat},
        session::SignedIn,
        views::{
            error::AskedRole,
            role::{RoleInput, RoleView},
        },
    },
    connector_label,
    console::own_reason,
    layout, render,
};
use crate::{
    access::{Identity, NotEntitled, TargetArn},
    broker::{OpenOrder, OpenRefused, StoreError},
};

/// The services that are offered as destinations; any other can be typed.
const SERVICES: [&str; 14] = [
    "cloudformation",
    "cloudtrail",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "ecs",
    "eks",
    "iam",
    "lambda",
    "rds",
    "s3",
    "secretsmanager",
    "sqs",
    "systems-manager",
];

#[derive(Debug, Deserialize)]
pub(in crate::web) struct RoleQuery {
    arn: String,
    #[serde(default)]
    destination: String,
    #[serde(default)]
    region: String,
    /// Set where the person comes back from signing in again for this role.
    back: Option<String>,
}

/// The page, which the picker's script also shows in a dialog.
pub(in crate::web) async fn show(
    State(app): State<App>,
    signed_in: SignedIn,
    Query(query): Query<RoleQuery>,
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
    query: &RoleQuery,
    frame: &Frame,
) -> Result<Response, StoreError> {
    let identity = signed_in.identity();
    let policy = app.broker.policy().await?;
    let preferences = app.broker.preferences(identity).await?;
    let now = app.broker.now();
    let entitlements = policy.entitlements(identity, now);
    let held = query.arn.parse::<TargetArn>().ok();
    let held = held.and_then(|arn| entitlements.iter().find(|held| held.role.arn == arn));
    let frame = Frame(layout(frame, signed_in));
    let Some(entitlement) = held else {
        return Ok(not_held(app, frame, &query.arn, identity).await);
    };
    let arn = &entitlement.role.arn;
    let links = app.broker.links(
        arn,
        entitlement.account.map(|account| account.name.as_str()),
    );
    let warning = super::picker::warnings(app, std::slice::from_ref(entitlement)).await?;
    let warning = warning.into_iter().next().map(|(_, words)| {
        format!("This role {words}. Whoever runs Rolegate sees what has to be mended.")
    });
    let services: Vec<String> = SERVICES.iter().map(|name| (*name).to_owned()).collect();
    let view = RoleView::new(RoleInput {
        layout: frame.0.clone(),
        entitlement,
        is_favourite: preferences
            .favourites
            .iter()
            .any(|role| role == arn.as_str()),
        destination: &query.destination,
        region: &query.region,
        services: &services,
        regions: &links.regions,
        deep_link: links.deep_link.into(),
        switch_role_link: links.switch_role.map(String::from),
        multi_session_link: links.multi_session.map(String::from),
        warning,
        provider: connector_label(app, &identity.connector),
        is_back: query.back.is_some(),
        now,
    });
    Ok(render(&view, &frame))
}

async fn not_held(app: &App, frame: Frame, role: &str, identity: &Identity) -> Response {
    let (account, name) = role.parse::<TargetArn>().map_or_else(
        |_| ("an account".to_owned(), "a role".to_owned()),
        |arn| (arn.account().to_string(), arn.name().to_owned()),
    );
    let refused = OpenRefused::NotEntitled {
        reason: NotEntitled::NoMapping,
        role: None,
        groups: identity.groups.len(),
    };
    let asked = AskedRole {
        account,
        role: name,
    };
    let order = OpenOrder::default();
    let why = own_reason(app, identity, role).await;
    frame
        .open_refused(
            &refused,
            &asked,
            Repeat {
                action: "/console",
                order: &order,
            },
            app.broker.now(),
        )
        .explained(why)
        .into_response()
}
