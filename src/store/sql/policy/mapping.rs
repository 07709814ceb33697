//! Explicit mappings; a group and a role come together once.

use std::collections::{BTreeMap, HashMap};

use sqlx::FromRow;

use super::{
    Edit,
    conditions::{self, ConditionColumns},
    role, stored_id,
};
use crate::{
    access::{GroupKey, Mapping, MappingId, Origin, RowName},
    audit::Action,
    store::{
        StoreError,
        sql::{column::unreadable, dialect::Connection},
    },
};

pub(super) async fn all(connection: &mut Connection) -> Result<Vec<Mapping>, StoreError> {
    let rows: Vec<MappingRow> = sqlx::query_as("SELECT * FROM mapping ORDER BY id")
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(MappingRow::mapping).collect()
}

/// Which group each mapping means, where that is known.
pub(super) async fn group_ids(
    connection: &mut Connection,
) -> Result<HashMap<MappingId, String>, StoreError> {
    let sql = "SELECT id, group_id FROM mapping WHERE group_id IS NOT NULL";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|(id, group)| (MappingId(id), group))
        .collect())
}

/// Notes which group the mappings of `group` mean, where they do not know yet.
pub(super) async fn bind(
    connection: &mut Connection,
    group: &GroupKey,
    group_id: &str,
) -> Result<Option<Edit>, StoreError> {
    let sql = "UPDATE mapping SET group_id = $2 WHERE group_key = $1 AND group_id IS NULL";
    let done = sqlx::query(sql)
        .bind(group.as_str())
        .bind(group_id)
        .execute(connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let after = BTreeMap::from([("group", group.as_str()), ("group_id", group_id)]);
    Edit::between(Action::MappingChange, None, Some(&after))
}

async fn by_id(connection: &mut Connection, id: &MappingId) -> Result<Option<Mapping>, StoreError> {
    sqlx::query_as::<_, MappingRow>("SELECT * FROM mapping WHERE id = $1")
        .bind(&id.0)
        .fetch_optional(connection)
        .await?
        .map(MappingRow::mapping)
        .transpose()
}

async fn by_pair(
    connection: &mut Connection,
    mapping: &Mapping,
) -> Result<Option<Mapping>, StoreError> {
    sqlx::query_as::<_, MappingRow>("SELECT * FROM mapping WHERE group_key = $1 AND role = $2")
        .bind(mapping.group.as_str())
        .bind(mapping.role.as_str())
        .fetch_optional(connection)
        .await?
        .map(MappingRow::mapping)
        .transpose()
}

pub(super) async fn put(
    connection: &mut Connection,
    mapping: &Mapping,
) -> Result<Option<Edit>, StoreError> {
    if !role::exists(connection, &mapping.role).await? {
        return Err(StoreError::NotFound(format!("role {}", mapping.role)));
    }
    let same_id = by_id(connection, &stored_id(&mapping.id)).await?;
    let same_pair = by_pair(connection, mapping).await?;
    let before = match (same_pair, same_id) {
        (Some(pair), Some(row)) if pair.id != row.id => {
            return Err(StoreError::Conflict(format!(
                "mapping {} already gives {} to {}: end one of the two",
                pair.id, pair.role, pair.group
            )));
        }
        (Some(pair), _) => Some(pair),
        (None, row) => row,
    };
    let mapping = Mapping {
        id: before
            .as_ref()
            .map_or_else(|| stored_id(&mapping.id), |row| row.id.clone()),
        conditions: conditions::as_stored(&mapping.conditions)?,
        origin: Origin::Store,
        ..mapping.clone()
    };
    let Some(edit) = Edit::between(Action::MappingChange, before.as_ref(), Some(&mapping))? else {
        return Ok(None);
    };
    write(connection, &mapping).await?;
    let edit = edit.of_row(RowName::Mapping(mapping.id.clone()));
    let edit = edit.with_ticket(mapping.ticket.as_ref());
    Ok(Some(edit.of_role(&mapping.role)))
}

async fn write(connection: &mut Connection, mapping: &Mapping) -> Result<(), StoreError> {
    let sql = "INSERT INTO mapping (id, group_key, role, expires_ms, max_duration_seconds,
             read_only, require_mfa, require_reason, require_approval_by, ticket)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET group_key = excluded.group_key, role = excluded.role,
             expires_ms = excluded.expires_ms,
             max_duration_seconds = excluded.max_duration_seconds,
             read_only = excluded.read_only, require_mfa = excluded.require_mfa,
             require_reason = excluded.require_reason,
             require_approval_by = excluded.require_approval_by, ticket = excluded.ticket,
             group_id = CASE WHEN mapping.group_key = excluded.group_key
                 THEN mapping.group_id ELSE NULL END";
    let conditions = ConditionColumns::of(&mapping.conditions);
    sqlx::query(sql)
        .bind(&mapping.id.0)
        .bind(mapping.group.as_str())
        .bind(mapping.role.as_str())
        .bind(conditions.expires_ms)
        .bind(conditions.max_duration_seconds)
        .bind(conditions.read_only)
        .bind(conditions.require_mfa)
        .bind(conditions.require_reason)
        .bind(conditions.require_approval_by)
        .bind(&mapping.ticket)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn end(connection: &mut Connection, id: &MappingId) -> Result<Edit, StoreError> {
    let before = by_id(connection, id)
        .await?
        .ok_or_else(|| StoreError::NotFound(format!("mapping {id}")))?;
    sqlx::query("DELETE FROM mapping WHERE id = $1")
        .bind(&id.0)
        .execute(connection)
        .await?;
    let edit = Edit::removal(Action::MappingChange, &before)?;
    let edit = edit.of_row(RowName::Mapping(before.id));
    let edit = edit.with_ticket(before.ticket.as_ref());
    Ok(edit.of_role(&before.role))
}

#[derive(FromRow)]
struct MappingRow {
    id: String,
    group_key: String,
    role: String,
    #[sqlx(flatten)]
    conditions: ConditionColumns,
    ticket: Option<String>,
}

impl MappingRow {
    fn mapping(self) -> Result<Mapping, StoreError> {
        Ok(Mapping {
            id: MappingId(self.id),
            group: GroupKey::from_stored(self.group_key),
            role: (self.role.parse()).map_err(|error| unreadable("a role's ARN", error))?,
            conditions: self.conditions.conditions()?,
            ticket: self.ticket,
            origin: Origin::Store,
        })
    }
}
