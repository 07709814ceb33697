//! Roles.

use sqlx::FromRow;

use super::Edit;
use crate::{
    access::{Role, RowName, TargetArn},
    audit::Action,
    store::{
        StoreError,
        sql::{
            column::{from_json, json, unreadable},
            dialect::Connection,
        },
    },
};

pub(super) async fn all(connection: &mut Connection) -> Result<Vec<Role>, StoreError> {
    let rows: Vec<RoleRow> = sqlx::query_as("SELECT * FROM role ORDER BY arn")
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(RoleRow::role).collect()
}

async fn one(connection: &mut Connection, arn: &TargetArn) -> Result<Option<Role>, StoreError> {
    sqlx::query_as::<_, RoleRow>("SELECT * FROM role WHERE arn = $1")
        .bind(arn.as_str())
        .fetch_optional(connection)
        .await?
        .map(RoleRow::role)
        .transpose()
}

pub(super) async fn exists(
    connection: &mut Connection,
    arn: &TargetArn,
) -> Result<bool, StoreError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM role WHERE arn = $1")
        .bind(arn.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

pub(super) async fn put(
    connection: &mut Connection,
    role: &Role,
) -> Result<Option<Edit>, StoreError> {
    let before = one(connection, &role.arn).await?;
    let Some(edit) = Edit::between(Action::RoleChange, before.as_ref(), Some(role))? else {
        return Ok(None);
    };
    if before.is_none() {
        refuse_taken_name(connection, &role.arn).await?;
    }
    let sql = "INSERT INTO role (arn, account, name, description, own, session_policy,
             policy_arns, session_tags, protected, disabled, owner)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (arn) DO UPDATE SET description = excluded.description, own = excluded.own,
             session_policy = excluded.session_policy, policy_arns = excluded.policy_arns,
             session_tags = excluded.session_tags, protected = excluded.protected,
             disabled = excluded.disabled, owner = excluded.owner";
    sqlx::query(sql)
        .bind(role.arn.as_str())
        .bind(role.arn.account().as_str())
        .bind(folded_name(&role.arn))
        .bind(&role.description)
        .bind(json(&role.own)?)
        .bind(&role.session_policy)
        .bind(json(&role.policy_arns)?)
        .bind(json(&role.session_tags)?)
        .bind(i64::from(role.protected))
        .bind(i64::from(role.disabled))
        .bind(&role.owner)
        .execute(connection)
        .await?;
    let edit = edit.of_row(RowName::Role(role.arn.clone()));
    Ok(Some(edit.of_role(&role.arn)))
}

/// Deep links and `account/role` name a role by the last part of its path.
async fn refuse_taken_name(connection: &mut Connection, arn: &TargetArn) -> Result<(), StoreError> {
    let taken = "SELECT arn FROM role WHERE account = $1 AND name = $2";
    let taken: Option<String> = sqlx::query_scalar(taken)
        .bind(arn.account().as_str())
        .bind(folded_name(arn))
        .fetch_optional(connection)
        .await?;
    taken.map_or(Ok(()), |other| {
        Err(StoreError::Conflict(format!(
            "{arn} has the same name as {other}: names are unique within an account, ignoring case"
        )))
    })
}

fn folded_name(arn: &TargetArn) -> String {
    arn.name().to_lowercase()
}

pub(super) async fn remove(
    connection: &mut Connection,
    arn: &TargetArn,
) -> Result<Edit, StoreError> {
    let before = one(connection, arn)
        .await?
        .ok_or_else(|| StoreError::NotFound(format!("role {arn}")))?;
    let mappings: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mapping WHERE role = $1")
        .bind(arn.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if mappings > 0 {
        let count = if mappings == 1 {
            "1 mapping gives".to_owned()
        } else {
            format!("{mappings} mappings give")
        };
        let message = format!("{count} role {arn}: end them first");
        return Err(StoreError::Conflict(message));
    }
    sqlx::query("DELETE FROM role WHERE arn = $1")
        .bind(arn.as_str())
        .execute(connection)
        .await?;
    let edit = Edit::removal(Action::RoleChange, &before)?;
    Ok(edit.of_row(RowName::Role(before.arn)).of_role(arn))
}

#[derive(FromRow)]
struct RoleRow {
    arn: String,
    description: Option<String>,
    owner: Option<String>,
    own: String,
    session_policy: Option<String>,
    policy_arns: String,
    session_tags: String,
    protected: i64,
    disabled: i64,
}

impl RoleRow {
    fn role(self) -> Result<Role, StoreError> {
        Ok(Role {
            arn: (self.arn.parse()).map_err(|error| unreadable("a role's ARN", error))?,
            description: self.description,
            owner: self.owner,
            own: from_json(&self.own)?,
            session_policy: self.session_policy,
            policy_arns: from_json(&self.policy_arns)?,
            session_tags: from_json(&self.session_tags)?,
            protected: self.protected != 0,
            disabled: self.disabled != 0,
        })
    }
}
