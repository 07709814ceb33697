//! Accounts, roles, mappings and rules; each edit with its audit row, in one transaction.

mod account;
mod conditions;
mod mapping;
mod role;
mod rule;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use sqlx::Connection as _;
use uuid::Uuid;

use super::{
    SqlStore,
    audit::{self, Entry},
    column::json_value,
    dialect::Connection,
    writer::{Write, Written},
};
use crate::{
    access::{AccountId, MappingId, PolicyTables, TargetArn},
    audit::{Action, AuditEvent, Outcome},
    store::{Applied, Change, EditContext, PolicyStore, StoreError},
};

const VERSION: &str = "SELECT version FROM policy_head WHERE id = 1";

#[async_trait]
impl PolicyStore for SqlStore {
    async fn tables(&self) -> Result<PolicyTables, StoreError> {
        let mut reader = self.reader().await?;
        let mut transaction = reader.begin().await?;
        Ok(PolicyTables {
            version: sqlx::query_scalar(VERSION)
                .fetch_one(&mut *transaction)
                .await?,
            accounts: account::all(&mut transaction).await?,
            roles: role::all(&mut transaction).await?,
            mappings: mapping::all(&mut transaction).await?,
            rules: rule::all(&mut transaction).await?,
            group_ids: mapping::group_ids(&mut transaction).await?,
        })
    }

    async fn policy_version(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(VERSION)
            .fetch_one(&mut *self.reader().await?)
            .await?)
    }

    async fn apply(
        &self,
        changes: Vec<Change>,
        context: &EditContext,
    ) -> Result<Applied, StoreError> {
        let context = Box::new(context.clone());
        let written = self
            .writer
            .submit(Write::Apply { changes, context })
            .await?;
        Ok(Applied {
            edit: written.text,
            version: written.number,
            changed: usize::try_from(written.rows).unwrap_or(usize::MAX),
        })
    }

    async fn note_file(&self, _: &AuditEvent) -> Result<i64, StoreError> {
        Err(StoreError::unavailable("not yet"))
    }
}

pub(in crate::store::sql) async fn apply(
    connection: &mut Connection,
    changes: &[Change],
    context: &EditContext,
) -> Result<Written, StoreError> {
    let mut edits = 0;
    for change in changes {
        if let Some(edit) = make(connection, change).await? {
            audit::append(connection, &Entry::of(&edit.event(context))?).await?;
            edits += 1;
        }
    }
    let sql = if edits == 0 {
        VERSION
    } else {
        "UPDATE policy_head SET version = version + 1 WHERE id = 1 RETURNING version"
    };
    Ok(Written {
        number: sqlx::query_scalar(sql).fetch_one(connection).await?,
        rows: edits,
        ..Written::default()
    })
}

/// Makes one change; nothing when the row is so already.
async fn make(connection: &mut Connection, change: &Change) -> Result<Option<Edit>, StoreError> {
    match change {
        Change::PutAccount(account) => account::put(connection, account).await,
        Change::RemoveAccount(id) => account::remove(connection, id).await.map(Some),
        Change::PutRole(role) => role::put(connection, role).await,
        Change::RemoveRole(arn) => role::remove(connection, arn).await.map(Some),
        Change::PutMapping(mapping) => mapping::put(connection, mapping).await,
        Change::BindGroup { group, group_id } => mapping::bind(connection, group, group_id).await,
        Change::EndMapping(id) => mapping::end(connection, id).await.map(Some),
        Change::PutRule(rule) => rule::put(connection, rule).await,
        Change::EndRule(id) => rule::end(connection, id).await.map(Some),
    }
}

/// What an edit did, for its audit row.
struct Edit {
    action: Action,
    account: Option<String>,
    role: Option<String>,
    id: Option<String>,
    ticket: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
}

impl Edit {
    /// The edit that made `after` of `before`; nothing when they are the same.
    fn between<T: Serialize + PartialEq>(
        action: Action,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<Option<Self>, StoreError> {
        if before == after {
            return Ok(None);
        }
        Ok(Some(Self {
            action,
            account: None,
            role: None,
            id: None,
            ticket: None,
            before: before.map(json_value).transpose()?,
            after: after.map(json_value).transpose()?,
        }))
    }

    /// The edit that removed `before`.
    fn removal<T: Serialize>(action: Action, before: &T) -> Result<Self, StoreError> {
        Ok(Self {
            action,
            account: None,
            role: None,
            id: None,
            ticket: None,
            before: Some(json_value(before)?),
            after: None,
        })
    }

    fn of_account(mut self, id: &AccountId) -> Self {
        self.account = Some(id.to_string());
        self
    }

    fn of_role(mut self, arn: &TargetArn) -> Self {
        self.role = Some(arn.to_string());
        self.of_account(&arn.account())
    }

    fn of_row(mut self, id: &MappingId, ticket: Option<&String>) -> Self {
        self.id = Some(id.0.clone());
        self.ticket = ticket.cloned();
        self
    }

    fn event(self, context: &EditContext) -> AuditEvent {
        let actor = context.actor.clone();
        let mut event = AuditEvent::new(context.at, self.action, Outcome::Ok, actor);
        event.request_id.clone_from(&context.request_id);
        event.account = self.account;
        event.role = self.role;
        let texts = [
            ("id", self.id),
            ("ticket", self.ticket),
            ("reason", context.reason.clone()),
        ];
        let texts = texts.map(|(key, text)| (key, text.map(Value::from)));
        let rows = [("before", self.before), ("after", self.after)];
        for (key, value) in texts.into_iter().chain(rows) {
            if let Some(value) = value {
                event = event.with(key, value);
            }
        }
        event
    }
}

/// The id itself where it is a UUID, else a new one: what comes from a file has its line for id.
fn stored_id(id: &MappingId) -> MappingId {
    match Uuid::parse_str(&id.0) {
        Ok(uuid) => MappingId(uuid.to_string()),
        Err(_) => MappingId(Uuid::now_v7().to_string()),
    }
}
