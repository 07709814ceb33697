//! Edits that wait for a second person.

use async_trait::async_trait;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    SqlStore,
    audit::{self, Entry},
    column::{from_json, instant, json, milliseconds, unreadable},
    dialect::Connection,
    writer::{Write, Written},
};
use crate::{
    audit::{Actor, AuditEvent},
    store::{Change, PendingEdit, PendingEdits, PendingState, Settles, StoreError},
};

/// A change of what waits.
#[derive(Debug)]
pub(super) enum Step {
    Propose {
        edit: Box<PendingEdit>,
        entry: Box<Entry>,
    },
    Settle {
        id: String,
        decision: Decision,
        entry: Box<Entry>,
    },
}

/// What was decided on an edit that waits.
#[derive(Debug)]
pub(super) struct Decision {
    state: PendingState,
    by: Actor,
    at: OffsetDateTime,
    note: Option<String>,
}

#[async_trait]
impl PendingEdits for SqlStore {
    async fn propose(&self, edit: &PendingEdit, event: &AuditEvent) -> Result<(), StoreError> {
        if edit.state != PendingState::Waiting || edit.decided_by.is_some() {
            let message = "an edit that is proposed waits, and nobody has decided on it".to_owned();
            return Err(StoreError::Conflict(message));
        }
        let step = Step::Propose {
            edit: Box::new(edit.clone()),
            entry: Box::new(Entry::of(event)?),
        };
        self.writer.submit(Write::Pending(step)).await.map(|_| ())
    }

    async fn pending_edit(&self, id: &str) -> Result<Option<PendingEdit>, StoreError> {
        sqlx::query_as::<_, PendingRow>("SELECT * FROM pending_edit WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(PendingRow::edit)
            .transpose()
    }

    async fn pending_edits(
        &self,
        state: Option<PendingState>,
        limit: u32,
    ) -> Result<Vec<PendingEdit>, StoreError> {
        let all = "SELECT * FROM pending_edit ORDER BY created_ms DESC, id DESC LIMIT $1";
        let of_state = "SELECT * FROM pending_edit WHERE state = $2
             ORDER BY created_ms DESC, id DESC LIMIT $1";
        let query = match state {
            None => sqlx::query_as(all).bind(i64::from(limit)),
            Some(state) => sqlx::query_as(of_state)
                .bind(i64::from(limit))
                .bind(state.as_str()),
        };
        let rows: Vec<PendingRow> = query.fetch_all(&mut *self.reader().await?).await?;
        rows.into_iter().map(PendingRow::edit).collect()
    }

    async fn count_waiting(&self, now: OffsetDateTime) -> Result<usize, StoreError> {
        let sql = "SELECT COUNT(*) FROM pending_edit WHERE state = $1 AND expires_ms > $2";
        let count: i64 = sqlx::query_scalar(sql)
            .bind(PendingState::Waiting.as_str())
            .bind(milliseconds(now))
            .fetch_one(&mut *self.reader().await?)
            .await?;
        usize::try_from(count).map_err(StoreError::unavailable)
    }

    async fn settle(
        &self,
        id: &str,
        state: PendingState,
        note: Option<&str>,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        if matches!(state, PendingState::Approved | PendingState::Waiting) {
            let message = "an edit is declined, withdrawn or expired here; approving carries it \
                 out, and so goes with its changes";
            return Err(StoreError::Conflict(message.to_owned()));
        }
        let step = Step::Settle {
            id: id.to_owned(),
            decision: Decision {
                state,
                by: event.actor.clone(),
                at: event.at,
                note: note.map(str::to_owned),
            },
            entry: Box::new(Entry::of(event)?),
        };
        self.writer.submit(Write::Pending(step)).await.map(|_| ())
    }
}

/// Each checks first: what is refused has changed nothing.
pub(super) async fn perform(
    connection: &mut Connection,
    step: &Step,
) -> Result<Written, StoreError> {
    let entry = match step {
        Step::Propose { edit, entry } => {
            insert(connection, edit).await?;
            entry
        }
        Step::Settle {
            id,
            decision,
            entry,
        } => {
            settle(connection, id, decision).await?;
            entry
        }
    };
    audit::append(connection, entry).await.map(Written::at)
}

async fn insert(connection: &mut Connection, edit: &PendingEdit) -> Result<(), StoreError> {
    let sql = "INSERT INTO pending_edit (id, state, author, author_name, created_ms, expires_ms,
             reason, why, undoes, seen, change_list)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(&edit.id)
        .bind(PendingState::Waiting.as_str())
        .bind(json(&edit.author)?)
        .bind(&edit.author_name)
        .bind(milliseconds(edit.created_at))
        .bind(milliseconds(edit.expires_at))
        .bind(&edit.reason)
        .bind(json(&edit.why)?)
        .bind(&edit.undoes)
        .bind(json(&edit.seen)?)
        .bind(json(&edit.changes)?)
        .execute(connection)
        .await?;
    if done.rows_affected() == 0 {
        let message = format!("the pending edit {} is there already", edit.id);
        return Err(StoreError::Conflict(message));
    }
    Ok(())
}

/// Notes that an edit which waits, is not past its end, and consists of just these changes, is
/// approved.
pub(super) async fn approve(
    connection: &mut Connection,
    settles: &Settles,
    changes: &[Change],
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let waiting: Option<(i64, String)> = sqlx::query_as(
        "SELECT expires_ms, change_list FROM pending_edit WHERE id = $1 AND state = $2",
    )
    .bind(&settles.pending)
    .bind(PendingState::Waiting.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some((expires_ms, proposed)) = waiting {
        if expires_ms <= milliseconds(at) {
            let message = "the pending edit has expired: propose it again";
            return Err(StoreError::Conflict(message.to_owned()));
        }
        // Nobody approved anything else.
        if from_json::<Vec<Change>>(&proposed)? != changes {
            let message = "these changes are not those of the pending edit";
            return Err(StoreError::Conflict(message.to_owned()));
        }
    }
    let decision = Decision {
        state: PendingState::Approved,
        by: settles.by.clone(),
        at,
        note: None,
    };
    settle(connection, &settles.pending, &decision).await
}

async fn settle(
    connection: &mut Connection,
    id: &str,
    decision: &Decision,
) -> Result<(), StoreError> {
    let sql = "UPDATE pending_edit SET state = $2, decided_by = $3, decided_ms = $4, note = $5
         WHERE id = $1 AND state = $6";
    let done = sqlx::query(sql)
        .bind(id)
        .bind(decision.state.as_str())
        .bind(json(&decision.by)?)
        .bind(milliseconds(decision.at))
        .bind(&decision.note)
        .bind(PendingState::Waiting.as_str())
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() > 0 {
        return Ok(());
    }
    let state: Option<String> = sqlx::query_scalar("SELECT state FROM pending_edit WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Err(match state {
        Some(state) => StoreError::Conflict(format!("the pending edit is {state} already")),
        None => StoreError::NotFound(format!("pending edit {id}")),
    })
}

impl PendingState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Waiting,
            Self::Approved,
            Self::Declined,
            Self::Withdrawn,
            Self::Expired,
        ];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

#[derive(FromRow)]
struct PendingRow {
    id: String,
    state: String,
    author: String,
    author_name: String,
    created_ms: i64,
    expires_ms: i64,
    reason: Option<String>,
    why: String,
    undoes: Option<String>,
    decided_by: Option<String>,
    decided_ms: Option<i64>,
    note: Option<String>,
    seen: String,
    change_list: String,
}

impl PendingRow {
    fn edit(self) -> Result<PendingEdit, StoreError> {
        let state = PendingState::named(&self.state);
        Ok(PendingEdit {
            id: self.id,
            author: from_json(&self.author)?,
            author_name: self.author_name,
            created_at: instant(self.created_ms)?,
            expires_at: instant(self.expires_ms)?,
            reason: self.reason,
            changes: from_json(&self.change_list)?,
            seen: from_json(&self.seen)?,
            why: from_json(&self.why)?,
            undoes: self.undoes,
            state: state.ok_or_else(|| unreadable("a state", self.state))?,
            decided_by: self.decided_by.as_deref().map(from_json).transpose()?,
            decided_at: self.decided_ms.map(instant).transpose()?,
            note: self.note,
        })
    }
}
