//! What belongs to one person: role sessions, favourites, recents, settings.

use async_trait::async_trait;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    SqlStore,
    column::{instant, milliseconds},
    dialect::Connection,
    writer::{Write, Written},
};
use crate::store::{OpenRole, PersonState, PersonStore, Preferences, RoleSession, StoreError};

/// How many recents are kept.
const RECENTS: i64 = 12;

/// A connector's id and a subject.
pub(super) type Person<'a> = (&'a str, &'a str);

#[async_trait]
impl PersonStore for SqlStore {
    async fn role_sessions(
        &self,
        connector: &str,
        subject: &str,
        limit: u32,
    ) -> Result<Vec<RoleSession>, StoreError> {
        let sql = "SELECT * FROM role_session WHERE connector = $1 AND subject = $2
             ORDER BY started_ms DESC, id DESC LIMIT $3";
        let rows: Vec<RoleSessionRow> = sqlx::query_as(sql)
            .bind(connector)
            .bind(subject)
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(RoleSessionRow::role_session).collect()
    }

    async fn preferences(&self, connector: &str, subject: &str) -> Result<Preferences, StoreError> {
        // No session is open for ever.
        let state = self.state((connector, subject), i64::MAX).await?;
        Ok(state.preferences)
    }

    async fn person_state(
        &self,
        connector: &str,
        subject: &str,
        at: OffsetDateTime,
    ) -> Result<PersonState, StoreError> {
        self.state((connector, subject), milliseconds(at)).await
    }

    async fn set_favourite(
        &self,
        connector: &str,
        subject: &str,
        role: &str,
        is_favourite: bool,
    ) -> Result<(), StoreError> {
        let write = Write::SetFavourite {
            connector: connector.to_owned(),
            subject: subject.to_owned(),
            role: role.to_owned(),
            is_favourite,
        };
        self.writer.submit(write).await.map(|_| ())
    }

    async fn set_setting(
        &self,
        connector: &str,
        subject: &str,
        name: &str,
        value: &str,
    ) -> Result<(), StoreError> {
        let write = Write::SetSetting {
            connector: connector.to_owned(),
            subject: subject.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        self.writer.submit(write).await.map(|_| ())
    }
}

/// One statement for all of it: every page asks, and each statement costs a walk to SQLite's thread
/// and back. Columns: kind, name, value, place in its list, number.
const STATE: &str = "SELECT 'favourite' AS kind, role AS name, NULL AS value, place, 0 AS number
         FROM favourite WHERE connector = $1 AND subject = $2
     UNION ALL
     SELECT 'recent', role, NULL, -opened_seq, 0
         FROM recent_role WHERE connector = $1 AND subject = $2
     UNION ALL
     SELECT 'setting', name, value, 0, 0
         FROM setting WHERE connector = $1 AND subject = $2
     UNION ALL
     SELECT * FROM (
         SELECT 'open' AS kind, role, delivery, -started_ms, expires_ms FROM role_session
         WHERE connector = $1 AND subject = $2 AND expires_ms > $3
         ORDER BY started_ms DESC, id DESC LIMIT 100) AS latest
     UNION ALL
     SELECT 'version', '', NULL, 0, version FROM policy_head WHERE id = 1
     ORDER BY 4";

type StateRow = (String, String, Option<String>, i64, i64);

impl SqlStore {
    async fn state(
        &self,
        (connector, subject): Person<'_>,
        open_after_ms: i64,
    ) -> Result<PersonState, StoreError> {
        let rows: Vec<StateRow> = sqlx::query_as(STATE)
            .bind(connector)
            .bind(subject)
            .bind(open_after_ms)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        let mut state = PersonState::default();
        let preferences = &mut state.preferences;
        for (kind, name, value, _, number) in rows {
            let value = value.unwrap_or_default();
            match kind.as_str() {
                "favourite" => preferences.favourites.push(name),
                "recent" => preferences.recents.push(name),
                "open" => state.open.push(OpenRole {
                    role: name,
                    delivery: value,
                    ends_at: instant(number)?,
                }),
                "version" => state.policy_version = number,
                _ => {
                    preferences.settings.insert(name, value);
                }
            }
        }
        Ok(state)
    }
}

pub(super) async fn set_favourite(
    connection: &mut Connection,
    (connector, subject): Person<'_>,
    role: &str,
    is_favourite: bool,
) -> Result<Written, StoreError> {
    let sql = if is_favourite {
        "INSERT INTO favourite (connector, subject, role, place)
         SELECT $1, $2, $3, COALESCE(MAX(place), 0) + 1 FROM favourite
         WHERE connector = $1 AND subject = $2
         ON CONFLICT (connector, subject, role) DO NOTHING"
    } else {
        "DELETE FROM favourite WHERE connector = $1 AND subject = $2 AND role = $3"
    };
    let done = sqlx::query(sql)
        .bind(connector)
        .bind(subject)
        .bind(role)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

pub(super) async fn set_setting(
    connection: &mut Connection,
    (connector, subject): Person<'_>,
    name: &str,
    value: &str,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO setting (connector, subject, name, value) VALUES ($1, $2, $3, $4)
         ON CONFLICT (connector, subject, name) DO UPDATE SET value = excluded.value";
    let done = sqlx::query(sql)
        .bind(connector)
        .bind(subject)
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

/// Writes a role session, once.
pub(super) async fn add_role_session(
    connection: &mut Connection,
    session: &RoleSession,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO role_session (id, connector, subject, role, delivery, session_name,
             access_key_id, aws_request_id, read_only, started_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(&session.id)
        .bind(&session.connector)
        .bind(&session.subject)
        .bind(&session.role)
        .bind(&session.delivery)
        .bind(&session.session_name)
        .bind(&session.access_key_id)
        .bind(&session.aws_request_id)
        .bind(i64::from(session.read_only))
        .bind(milliseconds(session.started_at))
        .bind(milliseconds(session.expires_at))
        .execute(connection)
        .await?;
    if done.rows_affected() == 0 {
        let message = format!("role session {} is written already", session.id);
        return Err(StoreError::Conflict(message));
    }
    Ok(())
}

/// Puts a role in front of a person's recents and forgets the oldest.
pub(super) async fn note_recent(
    connection: &mut Connection,
    session: &RoleSession,
    opened_seq: i64,
) -> Result<(), StoreError> {
    let put = "INSERT INTO recent_role (connector, subject, role, opened_seq)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (connector, subject, role) DO UPDATE SET opened_seq = excluded.opened_seq";
    sqlx::query(put)
        .bind(&session.connector)
        .bind(&session.subject)
        .bind(&session.role)
        .bind(opened_seq)
        .execute(&mut *connection)
        .await?;
    let forget = "DELETE FROM recent_role WHERE connector = $1 AND subject = $2
         AND role NOT IN (SELECT role FROM recent_role WHERE connector = $1 AND subject = $2
             ORDER BY opened_seq DESC LIMIT $3)";
    sqlx::query(forget)
        .bind(&session.connector)
        .bind(&session.subject)
        .bind(RECENTS)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(FromRow)]
pub(super) struct RoleSessionRow {
    id: String,
    connector: String,
    subject: String,
    role: String,
    delivery: String,
    session_name: String,
    access_key_id: String,
    aws_request_id: Option<String>,
    read_only: i64,
    started_ms: i64,
    expires_ms: i64,
}

impl RoleSessionRow {
    pub(super) fn role_session(self) -> Result<RoleSession, StoreError> {
        Ok(RoleSession {
            id: self.id,
            connector: self.connector,
            subject: self.subject,
            role: self.role,
            delivery: self.delivery,
            session_name: self.session_name,
            access_key_id: self.access_key_id,
            aws_request_id: self.aws_request_id,
            read_only: self.read_only != 0,
            started_at: instant(self.started_ms)?,
            expires_at: instant(self.expires_ms)?,
        })
    }
}
