//! What conversations with redirecting providers leave behind, and what providers published.

use async_trait::async_trait;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    SqlStore,
    column::{instant, milliseconds},
    dialect::Connection,
    session::{SessionRow, is_hash},
    writer::{Write, Written},
};
use crate::store::{
    Conversations, PendingSignIn, ProviderDocuments, SignInSession, StoreError, Taken,
};

/// A change of what is kept of conversations.
#[derive(Debug)]
pub(super) enum Step {
    Begin(Box<PendingSignIn>),
    Take {
        connector: String,
        id: String,
    },
    Use {
        connector: String,
        answer_id: String,
        keep_until: OffsetDateTime,
    },
    Hold {
        id_hash: String,
        sealed: String,
        expires_at: OffsetDateTime,
    },
    EndSessions {
        connector: String,
        name_id: Option<String>,
        session_indexes: Vec<String>,
    },
    Sweep(OffsetDateTime),
    KeepDocument {
        connector: String,
        document: String,
        fetched_at: OffsetDateTime,
    },
}

#[async_trait]
impl Conversations for SqlStore {
    async fn begin_sign_in(&self, pending: &PendingSignIn) -> Result<(), StoreError> {
        if !is_hash(&pending.browser_hash) {
            // Whatever came instead may be the secret itself: it is neither stored nor told.
            let message = "a pending sign-in has the SHA-256 of its browser's secret".to_owned();
            return Err(StoreError::Conflict(message));
        }
        let written = self.step(Step::Begin(Box::new(pending.clone()))).await?;
        if written.rows == 0 {
            let message = "a sign-in with this id is going on already".to_owned();
            return Err(StoreError::Conflict(message));
        }
        Ok(())
    }

    /// A row never changes, so it may be read first: it is the caller's who then removes it.
    async fn take_sign_in(
        &self,
        connector: &str,
        id: &str,
        browser_hash: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Taken, StoreError> {
        let sql = "SELECT * FROM pending_sign_in WHERE connector = $1 AND id = $2";
        let row: Option<PendingRow> = sqlx::query_as(sql)
            .bind(connector)
            .bind(id)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        let Some(row) = row else {
            return Ok(Taken::Unknown);
        };
        let pending = row.pending()?;
        let is_expired = pending.expires_at <= now;
        if !is_expired && browser_hash != Some(pending.browser_hash.as_str()) {
            return Ok(Taken::OtherBrowser);
        }
        let (connector, id) = (connector.to_owned(), id.to_owned());
        let taken = self.step(Step::Take { connector, id }).await?;
        Ok(match (taken.rows, is_expired) {
            (0, _) => Taken::Unknown,
            (_, true) => Taken::Expired,
            (_, false) => Taken::Pending(Box::new(pending)),
        })
    }

    async fn use_answer(
        &self,
        connector: &str,
        answer_id: &str,
        keep_until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let step = Step::Use {
            connector: connector.to_owned(),
            answer_id: answer_id.to_owned(),
            keep_until,
        };
        self.step(step).await.map(|written| written.rows == 1)
    }

    async fn hold_proof(
        &self,
        id_hash: &str,
        sealed: &str,
        expires_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let step = Step::Hold {
            id_hash: id_hash.to_owned(),
            sealed: sealed.to_owned(),
            expires_at,
        };
        match self.step(step).await?.rows {
            0 => Err(StoreError::NotFound("the sign-in session".to_owned())),
            _ => Ok(()),
        }
    }

    async fn held_proof(
        &self,
        id_hash: &str,
        now: OffsetDateTime,
    ) -> Result<Option<(String, OffsetDateTime)>, StoreError> {
        let sql = "SELECT sealed, expires_ms FROM held_proof
             WHERE id_hash = $1 AND expires_ms > $2";
        let row: Option<(String, i64)> = sqlx::query_as(sql)
            .bind(id_hash)
            .bind(milliseconds(now))
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.map(|(sealed, expires_ms)| Ok((sealed, instant(expires_ms)?)))
            .transpose()
    }

    /// A session of that person whose index is not known ends too: it may be the one that is meant.
    async fn end_provider_sessions(
        &self,
        connector: &str,
        name_id: Option<&str>,
        session_indexes: &[String],
    ) -> Result<Vec<SignInSession>, StoreError> {
        let step = Step::EndSessions {
            connector: connector.to_owned(),
            name_id: name_id.map(str::to_owned),
            session_indexes: session_indexes.to_vec(),
        };
        self.step(step).await.map(|written| written.sessions)
    }

    async fn sweep_conversations(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        self.step(Step::Sweep(now))
            .await
            .map(|written| written.rows)
    }
}

#[async_trait]
impl ProviderDocuments for SqlStore {
    async fn keep_document(
        &self,
        connector: &str,
        document: &str,
        fetched_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let step = Step::KeepDocument {
            connector: connector.to_owned(),
            document: document.to_owned(),
            fetched_at,
        };
        self.step(step).await.map(|_| ())
    }

    async fn document(
        &self,
        connector: &str,
    ) -> Result<Option<(String, OffsetDateTime)>, StoreError> {
        let sql = "SELECT document, fetched_ms FROM provider_document WHERE connector = $1";
        let row: Option<(String, i64)> = sqlx::query_as(sql)
            .bind(connector)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.map(|(document, fetched_ms)| Ok((document, instant(fetched_ms)?)))
            .transpose()
    }
}

impl SqlStore {
    async fn step(&self, step: Step) -> Result<Written, StoreError> {
        self.writer.submit(Write::Conversation(step)).await
    }
}

pub(super) async fn perform(
    connection: &mut Connection,
    step: &Step,
) -> Result<Written, StoreError> {
    match step {
        Step::Begin(pending) => begin(connection, pending).await,
        Step::Take { connector, id } => take(connection, connector, id).await,
        Step::Use {
            connector,
            answer_id,
            keep_until,
        } => use_up(connection, connector, answer_id, *keep_until).await,
        Step::Hold {
            id_hash,
            sealed,
            expires_at,
        } => hold(connection, id_hash, sealed, *expires_at).await,
        Step::EndSessions {
            connector,
            name_id,
            session_indexes,
        } => end_sessions(connection, connector, name_id.as_deref(), session_indexes).await,
        Step::Sweep(now) => sweep(connection, *now).await,
        Step::KeepDocument {
            connector,
            document,
            fetched_at,
        } => keep_document(connection, connector, document, *fetched_at).await,
    }
}

async fn begin(
    connection: &mut Connection,
    pending: &PendingSignIn,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO pending_sign_in (connector, id, browser_hash, relay_state, next,
             subject, created_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (connector, id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(&pending.connector)
        .bind(&pending.id)
        .bind(&pending.browser_hash)
        .bind(&pending.relay_state)
        .bind(&pending.next)
        .bind(&pending.subject)
        .bind(milliseconds(pending.created_at))
        .bind(milliseconds(pending.expires_at))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

async fn take(
    connection: &mut Connection,
    connector: &str,
    id: &str,
) -> Result<Written, StoreError> {
    let done = sqlx::query("DELETE FROM pending_sign_in WHERE connector = $1 AND id = $2")
        .bind(connector)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

async fn use_up(
    connection: &mut Connection,
    connector: &str,
    answer_id: &str,
    keep_until: OffsetDateTime,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO used_answer (connector, answer_id, keep_until_ms) VALUES ($1, $2, $3)
         ON CONFLICT (connector, answer_id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(connector)
        .bind(answer_id)
        .bind(milliseconds(keep_until))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

/// Writes nothing where there is no such session: it may have been ended meanwhile.
async fn hold(
    connection: &mut Connection,
    id_hash: &str,
    sealed: &str,
    expires_at: OffsetDateTime,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO held_proof (id_hash, sealed, expires_ms)
         SELECT id_hash, $2, $3 FROM sign_in_session WHERE id_hash = $1
         ON CONFLICT (id_hash) DO UPDATE SET sealed = excluded.sealed,
             expires_ms = excluded.expires_ms";
    let done = sqlx::query(sql)
        .bind(id_hash)
        .bind(sealed)
        .bind(milliseconds(expires_at))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

async fn end_sessions(
    connection: &mut Connection,
    connector: &str,
    name_id: Option<&str>,
    session_indexes: &[String],
) -> Result<Written, StoreError> {
    let mut sessions = Vec::new();
    if session_indexes.is_empty() {
        let sql = "DELETE FROM sign_in_session WHERE connector = $1 AND provider_name_id = $2
             RETURNING *";
        let rows: Vec<SessionRow> = sqlx::query_as(sql)
            .bind(connector)
            .bind(name_id)
            .fetch_all(&mut *connection)
            .await?;
        sessions.extend(rows);
    }
    for session_index in session_indexes {
        let sql = "DELETE FROM sign_in_session WHERE connector = $1
                 AND (provider_name_id = $2 AND provider_session_index IS NULL
                     OR (provider_name_id = $2 OR $2 IS NULL) AND provider_session_index = $3)
             RETURNING *";
        let rows: Vec<SessionRow> = sqlx::query_as(sql)
            .bind(connector)
            .bind(name_id)
            .bind(session_index)
            .fetch_all(&mut *connection)
            .await?;
        sessions.extend(rows);
    }
    let sessions: Result<Vec<_>, _> = sessions.into_iter().map(SessionRow::session).collect();
    Ok(Written::sessions(sessions?))
}

async fn sweep(connection: &mut Connection, now: OffsetDateTime) -> Result<Written, StoreError> {
    let ended = [
        "DELETE FROM pending_sign_in WHERE expires_ms <= $1",
        "DELETE FROM held_proof WHERE expires_ms <= $1",
        // Not at the very moment: until then a second use would still pass.
        "DELETE FROM used_answer WHERE keep_until_ms < $1",
    ];
    let mut rows = 0;
    for sql in ended {
        let done = sqlx::query(sql)
            .bind(milliseconds(now))
            .execute(&mut *connection)
            .await?;
        rows += done.rows_affected();
    }
    Ok(Written::rows(rows))
}

async fn keep_document(
    connection: &mut Connection,
    connector: &str,
    document: &str,
    fetched_at: OffsetDateTime,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO provider_document (connector, document, fetched_ms) VALUES ($1, $2, $3)
         ON CONFLICT (connector) DO UPDATE SET document = excluded.document,
             fetched_ms = excluded.fetched_ms";
    let done = sqlx::query(sql)
        .bind(connector)
        .bind(document)
        .bind(milliseconds(fetched_at))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

#[derive(FromRow)]
struct PendingRow {
    connector: String,
    id: String,
    browser_hash: String,
    relay_state: String,
    next: String,
    subject: Option<String>,
    created_ms: i64,
    expires_ms: i64,
}

impl PendingRow {
    fn pending(self) -> Result<PendingSignIn, StoreError> {
        Ok(PendingSignIn {
            id: self.id,
            connector: self.connector,
            browser_hash: self.browser_hash,
            relay_state: self.relay_state,
            next: self.next,
            subject: self.subject,
            created_at: instant(self.created_ms)?,
            expires_at: instant(self.expires_ms)?,
        })
    }
}
