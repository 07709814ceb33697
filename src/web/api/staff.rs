//! `GET /api/v1/mappings`, `GET /api/v1/audit`: what the pages show helpdesk, auditors and admins.
//!
//! Whoever takes rows away by a program is noted as for the pages' exports.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{App, error::Frame, pages::audit::filter, views::audit::AuditQuery},
    caller::Calling,
    error::ApiError,
    input::{Asked, after, cursor, rows},
};
use crate::{
    access::{
        Authority, Conditions, Mapping, MappingRule, Origin, SessionDuration, TokenScope, in_utc,
    },
    broker::{AuditFilter, AuditRow, StoreError},
};

/// A row of the table.
#[derive(Serialize, ToSchema)]
pub(super) struct TableRow {
    /// Its id.
    id: String,
    /// A row that names a group, or a rule that matches groups' names.
    kind: RowKind,
    /// The group, as `connector:name`; for rules `connector:pattern`.
    group: String,
    /// The role's ARN; for rules with captures in it.
    role: String,
    /// From when on it gives nothing.
    #[serde(with = "time::serde::rfc3339::option")]
    expires: Option<OffsetDateTime>,
    /// The longest session it gives, in seconds.
    max_seconds: Option<u32>,
    /// Whether it gives reading alone.
    read_only: bool,
    /// Whether it asks for a reason.
    requires_reason: bool,
    /// What it asks for that cannot be checked, so that it gives nothing.
    unenforceable: Option<String>,
    /// The ticket or note that explains it.
    ticket: Option<String>,
    /// The line of the mapping file that it is from; null where it is kept in the store.
    file_line: Option<u64>,
}

/// What a row is.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowKind {
    /// A group gives a role.
    Mapping,
    /// A naming convention of groups gives roles.
    Rule,
}

/// A page of the table.
#[derive(Serialize, ToSchema)]
pub(super) struct TableRows {
    /// Mappings, then rules, each by id.
    mappings: Vec<TableRow>,
    /// The version of the table that they are of.
    version: i64,
    /// Brings the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TableQuery {
    /// How many at most, 1 to 1000; 200 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The table: which group gives which role
///
/// For helpdesk, auditors and admins. Needs the scope `mappings:read`.
#[utoipa::path(
    get, path = "/api/v1/mappings", operation_id = "mappings", tag = "Helpdesk and audit",
    params(TableQuery),
    security(("token" = ["mappings:read"])),
    responses((status = 200, description = "A page of the table.", body = TableRows))
)]
pub(super) async fn mappings(
    State(app): State<App>,
    calling: Calling,
    Asked(query): Asked<TableQuery>,
    frame: Frame,
) -> Result<Json<TableRows>, ApiError> {
    let calling = calling.allowed(TokenScope::Mappings)?;
    demand(&app, &calling, Authority::may_see_tables)?;
    let limit = rows(query.limit)?;
    let after: Option<(RowKind, String)> = after(query.cursor.as_deref())?;
    let failed = |error: StoreError| ApiError::store_unavailable(&frame, &error);
    let tables = app.broker.tables().await.map_err(failed)?;
    let mut found: Vec<TableRow> = (tables.mappings.iter().map(of_mapping))
        .chain(tables.rules.iter().map(of_rule))
        .collect();
    found.retain(|row| (after.as_ref()).is_none_or(|(kind, id)| (row.kind, &row.id) > (*kind, id)));
    found.sort_unstable_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
    let has_more = found.len() > limit;
    found.truncate(limit);
    note(
        &app,
        &calling,
        "api mappings",
        &format!("{} rows", found.len()),
    )
    .await
    .map_err(failed)?;
    let last = found.last().filter(|_| has_more);
    Ok(Json(TableRows {
        next_cursor: last.and_then(|row| cursor(&(row.kind, &row.id))),
        version: tables.version,
        mappings: found,
    }))
}

/// Refuses whoever the pages would refuse.
fn demand(app: &App, calling: &Calling, may: impl Fn(&Authority) -> bool) -> Result<(), ApiError> {
    // A token that is limited to one role is for that role alone.
    let is_limited = calling.caller.role.is_some();
    let authority = app.broker.authority(&calling.caller.session.identity);
    if may(&authority) && !is_limited {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "not_staff",
        "None of your groups lets you see this here.",
    ))
}

async fn note(
    app: &App,
    calling: &Calling,
    what: &str,
    narrowed_to: &str,
) -> Result<(), StoreError> {
    let identity = &calling.caller.session.identity;
    (app.broker)
        .note_export(identity, what, narrowed_to, &calling.client)
        .await
}

fn of_mapping(mapping: &Mapping) -> TableRow {
    TableRow {
        id: mapping.id.0.clone(),
        kind: RowKind::Mapping,
        group: mapping.group.to_string(),
        role: mapping.role.to_string(),
        ticket: mapping.ticket.clone(),
        file_line: line(&mapping.origin),
        ..of_conditions(&mapping.conditions)
    }
}

fn of_rule(rule: &MappingRule) -> TableRow {
    TableRow {
        id: rule.id.0.clone(),
        kind: RowKind::Rule,
        group: format!("{}:{}", rule.connector, rule.group_pattern),
        role: rule.role.clone(),
        ticket: rule.ticket.clone(),
        file_line: line(&rule.origin),
        ..of_conditions(&rule.conditions)
    }
}

fn of_conditions(conditions: &Conditions) -> TableRow {
    TableRow {
        id: String::new(),
        kind: RowKind::Mapping,
        group: String::new(),
        role: String::new(),
        expires: conditions.expires.map(in_utc),
        max_seconds: conditions.max_duration.map(SessionDuration::seconds),
        read_only: conditions.read_only,
        requires_reason: conditions.require_reason,
        unenforceable: (conditions.unenforceable()).map(|condition| condition.key().to_owned()),
        ticket: None,
        file_line: None,
    }
}

fn line(origin: &Origin) -> Option<u64> {
    match origin {
        Origin::Store => None,
        Origin::File { line } => u64::try_from(*line).ok(),
    }
}

/// A row of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct LogRow {
    /// Its place: 1, 2, 3… without a gap.
    seq: i64,
    /// What happened, in the form of docs/audit.md: `at`, `action`, `outcome`, `actor` and more.
    #[schema(value_type = Object)]
    event: serde_json::Value,
    /// The chain's hash at this row, in hexadecimal.
    hash: String,
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct LogRows {
    /// Newest first.
    rows: Vec<LogRow>,
    /// Brings the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Which rows of the audit log; everything that is given must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// The actor's user name or stable id.
    person: Option<String>,
    /// The account's id.
    account: Option<String>,
    /// The role's ARN.
    role: Option<String>,
    /// The action, such as `credentials.issue`.
    action: Option<String>,
    /// `intent`, `ok`, `refused`, `failed` or `unknown`.
    outcome: Option<String>,
    /// Not before: a day (UTC) or a time with its zone.
    since: Option<String>,
    /// Before: a day (UTC) or a time with its zone.
    until: Option<String>,
    /// How many at most, 1 to 1000; 200 where it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The audit log
///
/// For auditors and admins. Needs the scope `audit:read`.
#[utoipa::path(
    get, path = "/api/v1/audit", operation_id = "audit", tag = "Helpdesk and audit",
    params(LogQuery),
    security(("token" = ["audit:read"])),
    responses((status = 200, description = "A page of the log.", body = LogRows))
)]
pub(super) async fn audit(
    State(app): State<App>,
    calling: Calling,
    Asked(query): Asked<LogQuery>,
    frame: Frame,
) -> Result<Json<LogRows>, ApiError> {
    let calling = calling.allowed(TokenScope::Audit)?;
    demand(&app, &calling, Authority::may_read_audit)?;
    let limit = rows(query.limit)?;
    let before: Option<i64> = after(query.cursor.as_deref())?;
    let trimmed = |text: Option<String>| text.unwrap_or_default().trim().to_owned();
    let query = AuditQuery {
        person: trimmed(query.person),
        account: trimmed(query.account),
        role: trimmed(query.role),
        action: trimmed(query.action),
        outcome: trimmed(query.outcome),
        since: trimmed(query.since),
        until: trimmed(query.until),
    };
    let filter = AuditFilter {
        before,
        // One more says whether there is another page.
        limit: u32::try_from(limit + 1).map_err(|_| ApiError::internal())?,
        ..filter(&query).map_err(ApiError::invalid)?
    };
    let failed = |error: StoreError| ApiError::store_unavailable(&frame, &error);
    let mut found = app.broker.audit_rows(&filter).await.map_err(failed)?;
    note(&app, &calling, "api audit", &query.in_words())
        .await
        .map_err(failed)?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more);
    Ok(Json(LogRows {
        next_cursor: last.and_then(|row| cursor(&row.seq)),
        rows: found
            .into_iter()
            .map(log_row)
            .collect::<Result<_, _>>()
            .map_err(|_| ApiError::internal())?,
    }))
}

fn log_row(row: AuditRow) -> Result<LogRow, serde_json::Error> {
    Ok(LogRow {
        seq: row.seq,
        event: serde_json::to_value(&row.event)?,
        hash: row.hash,
    })
}
