//! What becomes of old rows of the audit log, and where its streams are.
//!
//! The record of it goes into the log in the same transaction that moves the mark up to which rows
//! are erased or dropped; the rows themselves follow in steps, so that nobody waits for a million
//! of them. Entry points: [`retire`], [`retire_more`].

use super::{
    audit::{self, Entry},
    column::milliseconds,
    dialect::{self, Connection},
    writer::Written,
};
use crate::{
    audit::AuditEvent,
    store::{Retirement, StoreError},
};

/// How many rows are erased or dropped in one transaction.
const STEP: i64 = 2_000;

/// Up to where rows are dropped and erased.
async fn marks(connection: &mut Connection) -> Result<(i64, i64), StoreError> {
    let marks = "SELECT seq, erased_through FROM audit_base WHERE id = 1";
    Ok(sqlx::query_as(marks).fetch_one(connection).await?)
}

/// Moves a mark and records it; `text` of the answer is the mark.
pub(super) async fn retire(
    connection: &mut Connection,
    retirement: &Retirement,
    event: &AuditEvent,
) -> Result<Written, StoreError> {
    let (mut dropped_through, mut erased_through) = marks(connection).await?;
    let (through, before) = match retirement {
        Retirement::Erase(before) => {
            let kept = "SELECT COALESCE(
                     (SELECT MIN(seq) FROM audit_event WHERE at_ms >= $1),
                     (SELECT seq + 1 FROM audit_head WHERE id = 1)) - 1";
            let through: i64 = sqlx::query_scalar(kept)
                .bind(milliseconds(*before))
                .fetch_one(&mut *connection)
                .await?;
            (through, erased_through.max(dropped_through))
        }
        Retirement::Drop { at, .. } => (at.seq, dropped_through),
    };
    if through <= before {
        return Ok(Written::default());
    }
    match retirement {
        Retirement::Erase(_) => {
            erased_through = through;
            sqlx::query("UPDATE audit_base SET erased_through = $1 WHERE id = 1")
                .bind(through)
                .execute(&mut *connection)
                .await?;
        }
        Retirement::Drop { at, checkpoint } => {
            dropped_through = through;
            move_base(connection, (at.seq, &at.hash), checkpoint).await?;
        }
    }
    let event = event
        .clone()
        .with("erased_through", erased_through)
        .with("dropped_through", dropped_through);
    let head = audit::append(connection, &Entry::of(&event)?).await?;
    Ok(Written {
        text: through.to_string(),
        ..Written::at(head)
    })
}

async fn move_base(
    connection: &mut Connection,
    (seq, hash): (i64, &str),
    checkpoint: &str,
) -> Result<(), StoreError> {
    let kept: Option<String> = sqlx::query_scalar("SELECT hash FROM audit_event WHERE seq = $1")
        .bind(seq)
        .fetch_optional(&mut *connection)
        .await?;
    if kept.as_deref() != Some(hash) {
        let message = format!("row {seq} of the audit log is not the one that was signed");
        return Err(StoreError::Conflict(message));
    }
    sqlx::query("UPDATE audit_base SET seq = $1, hash = $2, checkpoint = $3 WHERE id = 1")
        .bind(seq)
        .bind(hash)
        .bind(checkpoint)
        .execute(connection)
        .await?;
    Ok(())
}

/// Does a step of what the marks say, from the row behind `after` on; `number` of the answer is the
/// last place looked at, and `rows` is 0 at the end.
pub(super) async fn retire_more(
    connection: &mut Connection,
    after: i64,
) -> Result<Written, StoreError> {
    // What is erased shall not be found in the file's unused parts.
    dialect::overwrite_what_is_deleted(connection).await?;
    let (dropped_through, erased_through) = marks(connection).await?;
    let first: Option<i64> = sqlx::query_scalar("SELECT MIN(seq) FROM audit_event WHERE seq > $1")
        .bind(after)
        .fetch_one(&mut *connection)
        .await?;
    let Some(first) = first.filter(|seq| *seq <= dropped_through.max(erased_through)) else {
        return Ok(Written::default());
    };
    let last = first.saturating_add(STEP - 1);
    sqlx::query("DELETE FROM audit_event WHERE seq BETWEEN $1 AND $2")
        .bind(first)
        .bind(last.min(dropped_through))
        .execute(&mut *connection)
        .await?;
    let erase = "UPDATE audit_event SET payload = NULL, salt = NULL, connector = NULL,
             subject = NULL, username = NULL
         WHERE seq BETWEEN $1 AND $2 AND payload IS NOT NULL";
    sqlx::query(erase)
        .bind(first)
        .bind(last.min(erased_through))
        .execute(&mut *connection)
        .await?;
    Ok(Written {
        number: last,
        ..Written::rows(1)
    })
}

/// Notes the last row that a stream has.
pub(super) async fn move_cursor(
    connection: &mut Connection,
    stream: &str,
    seq: i64,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO audit_cursor (stream, seq) VALUES ($1, $2)
         ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq";
    let done = sqlx::query(sql)
        .bind(stream)
        .bind(seq)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}
