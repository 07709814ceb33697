//! The audit log: rows behind a locked head row.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{FromRow, QueryBuilder};
use time::OffsetDateTime;

use super::{
    SqlStore, audit_walk,
    column::{from_json, json, milliseconds, unreadable},
    dialect::{self, Connection, Database},
    person, revocation,
    writer::Write,
};
use crate::{
    audit::{
        Action, Actor, AuditEvent, Outcome,
        chain::{ChainHash, Link, Salt},
    },
    store::{
        AuditFilter, AuditLine, AuditLog, AuditRow, ChainHead, ChainReport, Progress, Retired,
        Retirement, RoleSession, StoreError,
    },
};

/// The reason in rows that close an intent without an end.
const NO_END: &str = "no_end_was_written";

#[async_trait]
impl AuditLog for SqlStore {
    async fn append(&self, event: &AuditEvent) -> Result<i64, StoreError> {
        let write = Write::Append(Box::new(Entry::of(event)?));
        self.writer
            .submit(write)
            .await
            .map(|written| written.number)
    }

    async fn announce(
        &self,
        event: &AuditEvent,
        policy_version: i64,
    ) -> Result<ChainHead, StoreError> {
        self.announce_within(event, policy_version, None).await
    }

    async fn announce_for(
        &self,
        event: &AuditEvent,
        policy_version: i64,
        session: &str,
    ) -> Result<ChainHead, StoreError> {
        self.announce_within(event, policy_version, Some(session))
            .await
    }

    async fn conclude(
        &self,
        event: &AuditEvent,
        role_session: Option<&RoleSession>,
    ) -> Result<i64, StoreError> {
        if event.outcome == Outcome::Intent || event.intent.is_none() {
            let message = "an end is no intent, and has the intent's id".to_owned();
            return Err(StoreError::Conflict(message));
        }
        let write = Write::Conclude {
            entry: Box::new(Entry::of(event)?),
            role_session: role_session.cloned().map(Box::new),
        };
        self.writer
            .submit(write)
            .await
            .map(|written| written.number)
    }

    async fn close_orphans(&self, at: OffsetDateTime) -> Result<u64, StoreError> {
        let write = Write::CloseOrphans(at);
        self.writer.submit(write).await.map(|written| written.rows)
    }

    async fn audit_rows(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        let rows: Vec<ChainRow> = listing(filter)
            .build_query_as()
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(ChainRow::audit_row).collect()
    }

    async fn chain_head(&self) -> Result<ChainHead, StoreError> {
        let (seq, hash) = sqlx::query_as::<_, (i64, String)>(HEAD)
            .fetch_one(&mut *self.reader().await?)
            .await?;
        Ok(ChainHead { seq, hash })
    }

    async fn walk_chain(&self, progress: Progress<'_>) -> Result<ChainReport, StoreError> {
        audit_walk::walk(dialect::walker(&self.readers).await?, progress).await
    }

    async fn chain_hash(&self, seq: i64) -> Result<Option<String>, StoreError> {
        let hash = "SELECT hash FROM audit_event WHERE seq = $1
             UNION SELECT hash FROM audit_base WHERE seq = $1";
        Ok(sqlx::query_scalar(hash)
            .bind(seq)
            .fetch_optional(&mut *self.reader().await?)
            .await?)
    }

    async fn audit_lines(&self, after: i64, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
        let lines = "SELECT seq, payload, hash FROM audit_event WHERE seq > $1
             ORDER BY seq LIMIT $2";
        let lines: Vec<(i64, Option<String>, String)> = sqlx::query_as(lines)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        let line = |(seq, payload, hash)| AuditLine { seq, payload, hash };
        Ok(lines.into_iter().map(line).collect())
    }

    async fn stream_cursor(&self, stream: &str) -> Result<i64, StoreError> {
        let seq = sqlx::query_scalar("SELECT seq FROM audit_cursor WHERE stream = $1")
            .bind(stream)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        Ok(seq.unwrap_or_default())
    }

    async fn move_stream_cursor(&self, stream: &str, seq: i64) -> Result<(), StoreError> {
        let stream = stream.to_owned();
        self.writer
            .submit(Write::MoveCursor { stream, seq })
            .await?;
        Ok(())
    }

    async fn retire(
        &self,
        retirement: &Retirement,
        event: &AuditEvent,
    ) -> Result<Option<Retired>, StoreError> {
        let write = Write::Retire {
            retirement: retirement.clone(),
            event: Box::new(event.clone()),
        };
        let written = self.writer.submit(write).await?;
        // In steps, between which others write; what an end of the program leaves is done by the
        // next retirement.
        let mut after = Some(0);
        while let Some(seq) = after {
            let step = self.writer.submit(Write::RetireMore { after: seq }).await?;
            after = (step.rows > 0).then_some(step.number);
        }
        Ok((written.rows > 0).then(|| Retired {
            through: written.text.parse().unwrap_or_default(),
            recorded_at: written.number,
        }))
    }
}

impl SqlStore {
    async fn announce_within(
        &self,
        event: &AuditEvent,
        policy_version: i64,
        session: Option<&str>,
    ) -> Result<ChainHead, StoreError> {
        if event.outcome != Outcome::Intent || event.intent.is_none() {
            let message = "an announcement is an intent, and has the intent's id".to_owned();
            return Err(StoreError::Conflict(message));
        }
        let write = Write::Announce {
            entry: Box::new(Entry::of(event)?),
            policy_version,
            session: session.map(str::to_owned),
        };
        self.writer.submit(write).await.map(|written| ChainHead {
            seq: written.number,
            hash: written.text,
        })
    }
}

pub(super) const HEAD: &str = "SELECT seq, hash FROM audit_head WHERE id = 1";

fn listing(filter: &AuditFilter) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new("SELECT * FROM audit_event WHERE payload IS NOT NULL");
    if let Some(person) = &filter.person {
        query.push(" AND (username = ").push_bind(person.clone());
        query.push(" OR subject = ").push_bind(person.clone());
        query.push(")");
    }
    let texts = [
        (" AND account = ", filter.account.clone()),
        (" AND role = ", filter.role.clone()),
        (" AND row_id = ", filter.row.clone()),
        (" AND edit = ", filter.edit.clone()),
        (
            " AND outcome = ",
            filter.outcome.map(|o| o.as_str().to_owned()),
        ),
    ];
    let numbers = [
        (" AND at_ms >= ", filter.since.map(milliseconds)),
        (" AND at_ms < ", filter.until.map(milliseconds)),
        (" AND seq < ", filter.before),
        (" AND seq > ", filter.after),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    for (condition, value) in numbers {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if !filter.actions.is_empty() {
        query.push(" AND action IN (");
        let mut actions = query.separated(", ");
        for action in &filter.actions {
            actions.push_bind(action.as_str());
        }
        query.push(")");
    }
    query.push(match filter.after {
        Some(_) => " ORDER BY seq LIMIT ",
        None => " ORDER BY seq DESC LIMIT ",
    });
    query.push_bind(i64::from(filter.limit));
    query
}

/// An event ready to be written: everything but its place in the chain.
#[derive(Debug)]
pub(super) struct Entry {
    columns: Columns,
    payload: String,
    salt: Salt,
}

impl Entry {
    /// Prepares an event, so that the writing task has nothing left that can fail.
    pub(super) fn of(event: &AuditEvent) -> Result<Self, StoreError> {
        Ok(Self {
            columns: Columns::of(event),
            payload: json(event)?,
            salt: Salt::random()
                .ok_or_else(|| StoreError::unavailable("the machine gives no randomness"))?,
        })
    }
}

/// What stands beside the payload, for searching.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct Columns {
    at_ms: i64,
    action: String,
    pub(super) outcome: String,
    pub(super) connector: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) username: Option<String>,
    pub(super) role: Option<String>,
    account: Option<String>,
    pub(super) intent: Option<String>,
    row_id: Option<String>,
    edit: Option<String>,
}

impl Columns {
    pub(super) fn of(event: &AuditEvent) -> Self {
        let (connector, subject, username) = match &event.actor {
            Actor::Person {
                connector,
                subject,
                username,
            } => (Some(connector.clone()), subject.clone(), username.clone()),
            Actor::Host { uid } => (None, Some(format!("host:{uid}")), None),
            Actor::File { hash } => (None, Some(format!("file:{hash}")), None),
            Actor::System => (None, Some("system".to_owned()), None),
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let detail = |name: &str| event.details.get(name);
        // Rows from before `row` was written have an `id`, where they are about a mapping or rule.
        let row_id = detail("row")
            .and_then(|row| row.get("id"))
            .and_then(text)
            .or_else(|| detail("id").and_then(text));
        Self {
            at_ms: milliseconds(event.at),
            action: event.action.as_str().to_owned(),
            outcome: event.outcome.as_str().to_owned(),
            connector,
            subject,
            username,
            role: event.role.clone(),
            account: event.account.clone(),
            intent: event.intent.clone(),
            row_id,
            edit: detail("edit").and_then(text),
        }
    }

    /// The name of the first column that is not as in `other`.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let differences = [
            ("at_ms", self.at_ms != other.at_ms),
            ("action", self.action != other.action),
            ("outcome", self.outcome != other.outcome),
            ("connector", self.connector != other.connector),
            ("subject", self.subject != other.subject),
            ("username", self.username != other.username),
            ("role", self.role != other.role),
            ("account", self.account != other.account),
            ("intent", self.intent != other.intent),
            ("row_id", self.row_id != other.row_id),
            ("edit", self.edit != other.edit),
        ];
        let found = differences.into_iter().find(|(_, differs)| *differs);
        found.map(|(name, _)| name)
    }
}

/// Appends a row behind the head, which stays locked until the transaction ends.
pub(super) async fn append(
    connection: &mut Connection,
    entry: &Entry,
) -> Result<ChainHead, StoreError> {
    let lock = "UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash";
    let (seq, previous): (i64, String) = sqlx::query_as(lock).fetch_one(&mut *connection).await?;
    let previous: ChainHash = previous
        .parse()
        .map_err(|error| unreadable("the head's hash", error))?;
    let link = Link::forge(seq, previous, entry.salt, &entry.payload);
    insert(connection, &entry.columns, &link).await?;
    sqlx::query("UPDATE audit_head SET hash = $1 WHERE id = 1")
        .bind(link.hash.to_string())
        .execute(&mut *connection)
        .await?;
    note_intent(connection, &entry.columns, seq).await?;
    Ok(ChainHead {
        seq,
        hash: link.hash.to_string(),
    })
}

async fn insert(
    connection: &mut Connection,
    columns: &Columns,
    link: &Link<'_>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit_event (seq, at_ms, action, outcome, connector, subject, username,
             role, account, intent, payload, salt, payload_hash, previous_hash, hash, row_id, edit)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    sqlx::query(sql)
        .bind(link.seq)
        .bind(columns.at_ms)
        .bind(&columns.action)
        .bind(&columns.outcome)
        .bind(&columns.connector)
        .bind(&columns.subject)
        .bind(&columns.username)
        .bind(&columns.role)
        .bind(&columns.account)
        .bind(&columns.intent)
        .bind(link.payload)
        .bind(link.salt.to_string())
        .bind(link.payload_hash.to_string())
        .bind(link.previous_hash.to_string())
        .bind(link.hash.to_string())
        .bind(&columns.row_id)
        .bind(&columns.edit)
        .execute(connection)
        .await?;
    Ok(())
}

/// Remembers an intent until its end is written.
async fn note_intent(
    connection: &mut Connection,
    columns: &Columns,
    seq: i64,
) -> Result<(), StoreError> {
    let Some(intent) = &columns.intent else {
        return Ok(());
    };
    if columns.outcome == Outcome::Intent.as_str() {
        let sql = "INSERT INTO open_intent (intent, seq, at_ms) VALUES ($1, $2, $3)
             ON CONFLICT (intent) DO NOTHING";
        sqlx::query(sql)
            .bind(intent)
            .bind(seq)
            .bind(columns.at_ms)
            .execute(connection)
            .await?;
    } else {
        sqlx::query("DELETE FROM open_intent WHERE intent = $1")
            .bind(intent)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Appends an intent, if the tables still are what the decision was made on.
pub(super) async fn announce(
    connection: &mut Connection,
    entry: &Entry,
    policy_version: i64,
    session: Option<&str>,
) -> Result<ChainHead, StoreError> {
    let version: i64 = sqlx::query_scalar(dialect::POLICY_VERSION_HELD)
        .fetch_one(&mut *connection)
        .await?;
    if version != policy_version {
        return Err(StoreError::PolicyChanged);
    }
    if let Some(session) = session {
        let kept = "SELECT COUNT(*) FROM sign_in_session WHERE id_hash = $1";
        let kept: i64 = sqlx::query_scalar(kept)
            .bind(session)
            .fetch_one(&mut *connection)
            .await?;
        if kept == 0 {
            return Err(StoreError::NotFound("the sign-in session".to_owned()));
        }
    }
    append(connection, entry).await
}

/// Appends an end, with the role session that was issued.
pub(super) async fn conclude(
    connection: &mut Connection,
    entry: &Entry,
    role_session: Option<&RoleSession>,
) -> Result<ChainHead, StoreError> {
    revocation::refuse_revoked(connection, &entry.columns).await?;
    let Some(role_session) = role_session else {
        return append(connection, entry).await;
    };
    let announced = "SELECT COUNT(*) FROM audit_event WHERE intent = $1 AND outcome = $2";
    let announced: i64 = sqlx::query_scalar(announced)
        .bind(&entry.columns.intent)
        .bind(Outcome::Intent.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if announced == 0 {
        // No credentials without an intent, whatever the caller believes.
        let intent = entry.columns.intent.clone().unwrap_or_default();
        return Err(StoreError::NotFound(format!("intent {intent}")));
    }
    // Before the row, so that a refusal leaves nothing behind.
    person::add_role_session(connection, role_session).await?;
    let head = append(connection, entry).await?;
    person::note_recent(connection, role_session, head.seq).await?;
    Ok(head)
}

/// Appends `unknown` behind every intent that was announced by `at` and has no end.
pub(super) async fn close_orphans(
    connection: &mut Connection,
    at: OffsetDateTime,
) -> Result<u64, StoreError> {
    let open = "SELECT e.* FROM open_intent o JOIN audit_event e ON e.seq = o.seq
         WHERE o.at_ms <= $1 ORDER BY o.seq";
    let rows: Vec<ChainRow> = sqlx::query_as(open)
        .bind(milliseconds(at))
        .fetch_all(&mut *connection)
        .await?;
    let mut closed = 0;
    for row in rows {
        append(connection, &Entry::of(&row.without_end(at))?).await?;
        closed += 1;
    }
    Ok(closed)
}

/// A row as it is stored.
#[derive(FromRow)]
pub(super) struct ChainRow {
    pub(super) seq: i64,
    #[sqlx(flatten)]
    pub(super) columns: Columns,
    pub(super) payload: Option<String>,
    pub(super) salt: Option<String>,
    pub(super) payload_hash: String,
    pub(super) previous_hash: String,
    pub(super) hash: String,
}

impl ChainRow {
    fn event(&self) -> Result<AuditEvent, StoreError> {
        from_json(self.payload.as_deref().unwrap_or_default()).map_err(|_| {
            StoreError::unavailable(format!(
                "audit row {} cannot be read; `rolegate audit verify` says more",
                self.seq
            ))
        })
    }

    fn audit_row(self) -> Result<AuditRow, StoreError> {
        Ok(AuditRow {
            seq: self.seq,
            event: self.event()?,
            hash: self.hash,
        })
    }

    /// The row that closes this intent. A payload that was tampered with must not keep the
    /// program from starting, so the columns serve where it cannot be read.
    fn without_end(&self, at: OffsetDateTime) -> AuditEvent {
        let mut event = self.event().unwrap_or_else(|_| {
            let named = |action: &Action| action.as_str() == self.columns.action;
            let action = Action::ALL.into_iter().find(named);
            let action = action.unwrap_or(Action::ConsoleOpen);
            let mut event = AuditEvent::new(at, action, Outcome::Unknown, Actor::System);
            event.role.clone_from(&self.columns.role);
            event.account.clone_from(&self.columns.account);
            event
        });
        event.at = at;
        event.outcome = Outcome::Unknown;
        event.intent.clone_from(&self.columns.intent);
        event.reason = Some(NO_END.to_owned());
        event
    }
}
