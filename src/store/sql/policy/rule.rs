//! Pattern rules; a connector, a pattern and a role come together once.

use sqlx::FromRow;

use super::{
    Edit,
    conditions::{self, ConditionColumns},
    stored_id,
};
use crate::{
    access::{MappingId, MappingRule, Origin, RowName},
    audit::Action,
    store::{
        StoreError,
        sql::{column::unreadable, dialect::Connection},
    },
};

pub(super) async fn all(connection: &mut Connection) -> Result<Vec<MappingRule>, StoreError> {
    let rows: Vec<RuleRow> = sqlx::query_as("SELECT * FROM mapping_rule ORDER BY id")
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(RuleRow::rule).collect()
}

async fn by_id(
    connection: &mut Connection,
    id: &MappingId,
) -> Result<Option<MappingRule>, StoreError> {
    sqlx::query_as::<_, RuleRow>("SELECT * FROM mapping_rule WHERE id = $1")
        .bind(&id.0)
        .fetch_optional(connection)
        .await?
        .map(RuleRow::rule)
        .transpose()
}

async fn by_content(
    connection: &mut Connection,
    rule: &MappingRule,
) -> Result<Option<MappingRule>, StoreError> {
    let sql = "SELECT * FROM mapping_rule
         WHERE connector = $1 AND group_pattern = $2 AND role = $3";
    sqlx::query_as::<_, RuleRow>(sql)
        .bind(rule.connector.as_str())
        .bind(&rule.group_pattern)
        .bind(&rule.role)
        .fetch_optional(connection)
        .await?
        .map(RuleRow::rule)
        .transpose()
}

pub(super) async fn put(
    connection: &mut Connection,
    rule: &MappingRule,
) -> Result<Option<Edit>, StoreError> {
    rule.check()
        .map_err(|error| StoreError::Conflict(error.to_string()))?;
    let same_id = by_id(connection, &stored_id(&rule.id)).await?;
    let same_content = by_content(connection, rule).await?;
    let before = match (same_content, same_id) {
        (Some(twin), Some(row)) if twin.id != row.id => {
            return Err(StoreError::Conflict(format!(
                "rule {} already has this connector, pattern and role: end one of the two",
                twin.id
            )));
        }
        (Some(twin), _) => Some(twin),
        (None, row) => row,
    };
    let rule = MappingRule {
        id: before
            .as_ref()
            .map_or_else(|| stored_id(&rule.id), |row| row.id.clone()),
        conditions: conditions::as_stored(&rule.conditions)?,
        origin: Origin::Store,
        ..rule.clone()
    };
    let Some(edit) = Edit::between(Action::RuleChange, before.as_ref(), Some(&rule))? else {
        return Ok(None);
    };
    write(connection, &rule).await?;
    let edit = edit.of_row(RowName::Rule(rule.id.clone()));
    Ok(Some(edit.with_ticket(rule.ticket.as_ref())))
}

async fn write(connection: &mut Connection, rule: &MappingRule) -> Result<(), StoreError> {
    let sql = "INSERT INTO mapping_rule (id, connector, group_pattern, role, expires_ms,
             max_duration_seconds, read_only, require_mfa, require_reason, require_approval_by,
             allow_protected, ticket)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (id) DO UPDATE SET connector = excluded.connector,
             group_pattern = excluded.group_pattern, role = excluded.role,
             expires_ms = excluded.expires_ms,
             max_duration_seconds = excluded.max_duration_seconds,
             read_only = excluded.read_only, require_mfa = excluded.require_mfa,
             require_reason = excluded.require_reason,
             require_approval_by = excluded.require_approval_by,
             allow_protected = excluded.allow_protected, ticket = excluded.ticket";
    let conditions = ConditionColumns::of(&rule.conditions);
    sqlx::query(sql)
        .bind(&rule.id.0)
        .bind(rule.connector.as_str())
        .bind(&rule.group_pattern)
        .bind(&rule.role)
        .bind(conditions.expires_ms)
        .bind(conditions.max_duration_seconds)
        .bind(conditions.read_only)
        .bind(conditions.require_mfa)
        .bind(conditions.require_reason)
        .bind(conditions.require_approval_by)
        .bind(i64::from(rule.allow_protected))
        .bind(&rule.ticket)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn end(connection: &mut Connection, id: &MappingId) -> Result<Edit, StoreError> {
    let before = by_id(connection, id)
        .await?
        .ok_or_else(|| StoreError::NotFound(format!("rule {id}")))?;
    sqlx::query("DELETE FROM mapping_rule WHERE id = $1")
        .bind(&id.0)
        .execute(connection)
        .await?;
    let edit = Edit::removal(Action::RuleChange, &before)?;
    let edit = edit.of_row(RowName::Rule(before.id));
    Ok(edit.with_ticket(before.ticket.as_ref()))
}

#[derive(FromRow)]
struct RuleRow {
    id: String,
    connector: String,
    group_pattern: String,
    role: String,
    #[sqlx(flatten)]
    conditions: ConditionColumns,
    allow_protected: i64,
    ticket: Option<String>,
}

impl RuleRow {
    fn rule(self) -> Result<MappingRule, StoreError> {
        Ok(MappingRule {
            id: MappingId(self.id),
            connector: (self.connector.parse())
                .map_err(|error| unreadable("a connector's id", error))?,
            group_pattern: self.group_pattern,
            role: self.role,
            conditions: self.conditions.conditions()?,
            allow_protected: self.allow_protected != 0,
            ticket: self.ticket,
            origin: Origin::Store,
        })
    }
}
