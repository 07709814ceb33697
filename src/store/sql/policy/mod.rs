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
    dialect::{self, Connection},
    pending,
    writer::{Write, Written},
};
use crate::{
    access::{AccountId, MappingId, PolicyTables, RowName, TargetArn},
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

    async fn note_file(&self, event: &AuditEvent) -> Result<i64, StoreError> {
        let write = Write::NoteFile(Box::new(Entry::of(event)?));
        self.writer
            .submit(write)
            .await
            .map(|written| written.number)
    }
}

const RAISE: &str = "UPDATE policy_head SET version = version + 1 WHERE id = 1 RETURNING version";

pub(in crate::store::sql) async fn note_file(
    connection: &mut Connection,
    entry: &Entry,
) -> Result<Written, StoreError> {
    audit::append(connection, entry).await?;
    Ok(Written {
        number: sqlx::query_scalar(RAISE).fetch_one(connection).await?,
        rows: 1,
        ..Written::default()
    })
}

pub(in crate::store::sql) async fn apply(
    connection: &mut Connection,
    changes: &[Change],
    context: &EditContext,
) -> Result<Written, StoreError> {
    let version: i64 = sqlx::query_scalar(dialect::POLICY_VERSION_HELD)
        .fetch_one(&mut *connection)
        .await?;
    if context.at_version.is_some_and(|seen| seen != version) {
        return Err(StoreError::PolicyChanged);
    }
    if let Some(settles) = &context.settles {
        pending::approve(connection, settles, changes, context.at).await?;
    }
    let edit_id = Uuid::now_v7().to_string();
    for event in &context.announced_by {
        let event = stamp(event.clone(), &edit_id, context)?;
        audit::append(connection, &Entry::of(&event)?).await?;
    }
    let mut edits = 0;
    for change in changes {
        if let Some(edit) = make(connection, change).await? {
            let event = stamp(edit.event(context)?, &edit_id, context)?;
            audit::append(connection, &Entry::of(&event)?).await?;
            edits += 1;
        }
    }
    let number = match edits {
        0 => version,
        _ => sqlx::query_scalar(RAISE).fetch_one(connection).await?,
    };
    Ok(Written {
        number,
        text: edit_id,
        rows: edits,
        ..Written::default()
    })
}

/// What every audit row of an edit says; what the row says itself stays.
fn stamp(
    mut event: AuditEvent,
    edit_id: &str,
    context: &EditContext,
) -> Result<AuditEvent, StoreError> {
    let approved_by = context.approved_by.as_ref().map(json_value).transpose()?;
    let details = [
        ("undoes", context.undoes.clone().map(Value::from)),
        ("approved_by", approved_by),
    ];
    for (key, value) in details {
        if let Some(value) = value {
            event.details.entry(key.to_owned()).or_insert(value);
        }
    }
    Ok(event.with("edit", edit_id))
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
    row: Option<RowName>,
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
            row: None,
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
            row: None,
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

    fn of_row(mut self, row: RowName) -> Self {
        self.row = Some(row);
        self
    }

    fn with_ticket(mut self, ticket: Option<&String>) -> Self {
        self.ticket = ticket.cloned();
        self
    }

    fn event(self, context: &EditContext) -> Result<AuditEvent, StoreError> {
        let actor = context.actor.clone();
        let mut event = AuditEvent::new(context.at, self.action, Outcome::Ok, actor);
        event.request_id.clone_from(&context.request_id);
        event.account = self.account;
        event.role = self.role;
        let id = match &self.row {
            Some(RowName::Mapping(id) | RowName::Rule(id)) => Some(Value::from(id.0.clone())),
            _ => None,
        };
        let details = [
            ("row", self.row.as_ref().map(json_value).transpose()?),
            ("id", id),
            ("ticket", self.ticket.map(Value::from)),
            ("reason", context.reason.clone().map(Value::from)),
            ("before", self.before),
            ("after", self.after),
        ];
        for (key, value) in details {
            if let Some(value) = value {
                event = event.with(key, value);
            }
        }
        Ok(event)
    }
}

/// The id itself where it is a UUID, else a new one: what comes from a file has its line for id.
///
/// Another spelling of a UUID is no id of a row: `PolicyTables::after`, which previews go by, does
/// not take it for one either.
fn stored_id(id: &MappingId) -> MappingId {
    if id.is_stored_form() {
        id.clone()
    } else {
        MappingId(Uuid::now_v7().to_string())
    }
}
