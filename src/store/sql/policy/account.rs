//! Accounts.

use sqlx::FromRow;

use super::Edit;
use crate::{
    access::{Account, AccountId, RowName},
    audit::Action,
    store::{
        StoreError,
        sql::{
            column::{from_json, json, unreadable},
            dialect::Connection,
        },
    },
};

pub(super) async fn all(connection: &mut Connection) -> Result<Vec<Account>, StoreError> {
    let rows: Vec<AccountRow> = sqlx::query_as("SELECT * FROM account ORDER BY id")
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(AccountRow::account).collect()
}

async fn one(connection: &mut Connection, id: &AccountId) -> Result<Option<Account>, StoreError> {
    sqlx::query_as::<_, AccountRow>("SELECT * FROM account WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?
        .map(AccountRow::account)
        .transpose()
}

pub(super) async fn put(
    connection: &mut Connection,
    account: &Account,
) -> Result<Option<Edit>, StoreError> {
    let before = one(connection, &account.id).await?;
    let Some(edit) = Edit::between(Action::AccountChange, before.as_ref(), Some(account))? else {
        return Ok(None);
    };
    let sql = "INSERT INTO account (id, name, alias, environment, description, protected,
             role_defaults, colour, owner)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, alias = excluded.alias,
             environment = excluded.environment, description = excluded.description,
             protected = excluded.protected, role_defaults = excluded.role_defaults,
             colour = excluded.colour, owner = excluded.owner";
    sqlx::query(sql)
        .bind(account.id.as_str())
        .bind(&account.name)
        .bind(&account.alias)
        .bind(&account.environment)
        .bind(&account.description)
        .bind(i64::from(account.protected))
        .bind(json(&account.role_defaults)?)
        .bind(&account.colour)
        .bind(&account.owner)
        .execute(connection)
        .await?;
    let edit = edit.of_row(RowName::Account(account.id.clone()));
    Ok(Some(edit.of_account(&account.id)))
}

pub(super) async fn remove(
    connection: &mut Connection,
    id: &AccountId,
) -> Result<Edit, StoreError> {
    let before = one(connection, id)
        .await?
        .ok_or_else(|| StoreError::NotFound(format!("account {id}")))?;
    let roles: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM role WHERE account = $1")
        .bind(id.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if roles > 0 {
        let count = if roles == 1 {
            "1 role".to_owned()
        } else {
            format!("{roles} roles")
        };
        let message = format!("account {id} still has {count}: remove them first");
        return Err(StoreError::Conflict(message));
    }
    sqlx::query("DELETE FROM account WHERE id = $1")
        .bind(id.as_str())
        .execute(connection)
        .await?;
    let edit = Edit::removal(Action::AccountChange, &before)?;
    Ok(edit.of_row(RowName::Account(before.id)).of_account(id))
}

#[derive(FromRow)]
struct AccountRow {
    id: String,
    name: String,
    alias: Option<String>,
    environment: Option<String>,
    colour: Option<String>,
    description: Option<String>,
    owner: Option<String>,
    protected: i64,
    role_defaults: String,
}

impl AccountRow {
    fn account(self) -> Result<Account, StoreError> {
        Ok(Account {
            id: (self.id.parse()).map_err(|error| unreadable("an account's id", error))?,
            name: self.name,
            alias: self.alias,
            environment: self.environment,
            colour: self.colour,
            description: self.description,
            owner: self.owner,
            protected: self.protected != 0,
            role_defaults: from_json(&self.role_defaults)?,
        })
    }
}
