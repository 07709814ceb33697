//! `GET /api/v1/roles`: what the caller may open.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{App, error::Frame, views::environment::Environment},
    caller::Calling,
    error::ApiError,
    input::{Asked, after, cursor, rows},
};
use crate::{
    access::{ConsoleWay, Entitlement, RoleRank, TokenScope},
    broker::Caller,
};

/// A role that the caller may open.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "what JSON says")]
pub(super) struct Role {
    /// Its ARN, which names it in every call.
    arn: String,
    /// Its name, without a path.
    name: String,
    /// Where it is.
    account: RoleAccount,
    /// A line for people.
    description: Option<String>,
    /// How credentials are obtained, such as `assume-role`.
    grant_method: String,
    /// The longest session, in seconds.
    longest_seconds: u32,
    /// Whether a reason must be given.
    requires_reason: bool,
    /// Whether a code of an MFA device must be given.
    requires_code: bool,
    /// Whether its sessions only ever read.
    read_only: bool,
    /// Whether it opens in the AWS console.
    opens_console: bool,
    /// Whether it gives credentials.
    opens_credentials: bool,
    /// The region it is used in, where one is set.
    region: Option<String>,
    /// Whether AWS opened it when it was last looked at: `works`, `broken`, `inconclusive`,
    /// `not_probed`.
    state: Option<String>,
    /// What applications are told of the role, such as a bucket and a prefix.
    public_values: BTreeMap<String, String>,
}

/// An AWS account.
#[derive(Serialize, ToSchema)]
pub(super) struct RoleAccount {
    /// The twelve digits.
    id: String,
    /// What people call it; its id where it has no name.
    name: String,
    /// Production, test, …
    environment: Option<String>,
}

/// A page of roles.
#[derive(Serialize, ToSchema)]
pub(super) struct Roles {
    /// By account name, then role name.
    roles: Vec<Role>,
    /// Brings the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Which roles.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RolesQuery {
    /// Words that all have to occur in the account's name or id, or the role's ARN or description;
    /// case does not count.
    filter: Option<String>,
    /// How many at most, 1 to 1000; 200 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The roles that you may open
///
/// By account name, then role name. With a token that is limited to one role, that one alone. Needs
/// the scope `roles`.
#[utoipa::path(
    get, path = "/api/v1/roles", operation_id = "roles", tag = "Roles",
    params(RolesQuery),
    security(("token" = ["roles"]), ("password" = [])),
    responses((status = 200, description = "A page of roles.", body = Roles))
)]
pub(super) async fn list(
    State(app): State<App>,
    calling: Calling,
    Asked(query): Asked<RolesQuery>,
    frame: Frame,
) -> Result<Json<Roles>, ApiError> {
    let Calling { caller, .. } = calling.allowed(TokenScope::Roles)?;
    let limit = rows(query.limit)?;
    let after: Option<RoleRank> = after(query.cursor.as_deref())?;
    let failed = |error| ApiError::store_unavailable(&frame, &error);
    let policy = app.broker.policy().await.map_err(failed)?;
    let known = app.broker.known_probes().await.map_err(failed)?;
    let held = policy.entitlements(&caller.session.identity, app.broker.now());
    let begin = after.map_or(0, |after| {
        held.partition_point(|held| policy.rank_of(&held.role.arn) <= after)
    });
    let words: Vec<String> = (query.filter.as_deref().unwrap_or_default())
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut found = held[begin..]
        .iter()
        .filter(|held| is_within(&caller, held) && is_meant(held, &words));
    let page: Vec<&Entitlement<'_>> = found.by_ref().take(limit).collect();
    let next = page.last().filter(|_| found.next().is_some());
    let state = |held: &Entitlement<'_>| {
        let probe = known.get(held.role.arn.as_str())?;
        Some(probe.state.as_str().to_owned())
    };
    Ok(Json(Roles {
        next_cursor: next.and_then(|held| cursor(&policy.rank_of(&held.role.arn))),
        roles: (page.iter())
            .map(|held| Role {
                state: state(held),
                public_values: policy.public_values(&caller.session.identity, &held.role.arn),
                ..role(&app, held)
            })
            .collect(),
    }))
}

/// Whether the caller's token may be used for a role.
pub(super) fn is_within(caller: &Caller, held: &Entitlement<'_>) -> bool {
    (caller.role.as_ref()).is_none_or(|limit| *limit == held.role.arn)
}

/// Whether a role gives credentials.
pub(super) fn opens_credentials(held: &Entitlement<'_>) -> bool {
    held.effective.console != ConsoleWay::IdpInitiated
}

fn is_meant(held: &Entitlement<'_>, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = format!(
        "{} {} {}",
        held.account_name(),
        held.role.arn,
        held.role.description.as_deref().unwrap_or_default()
    )
    .to_lowercase();
    words.iter().all(|word| text.contains(word))
}

fn role(app: &App, held: &Entitlement<'_>) -> Role {
    let environment = Environment::of(held.account, &app.settings.environments).word;
    Role {
        arn: held.role.arn.to_string(),
        name: held.role.arn.name().to_owned(),
        account: RoleAccount {
            id: held.role.arn.account().to_string(),
            name: held.account_name(),
            environment: (!environment.is_empty()).then_some(environment),
        },
        description: held.role.description.clone(),
        grant_method: held.effective.grant_method.as_str().to_owned(),
        longest_seconds: held.longest.longest.seconds(),
        requires_reason: held.requires_reason(),
        requires_code: held.effective.mfa_serial.is_some(),
        read_only: held.is_read_only(),
        opens_console: held.opens_console(),
        opens_credentials: opens_credentials(held),
        region: held.effective.region.clone(),
        state: None,
        public_values: BTreeMap::new(),
    }
}
