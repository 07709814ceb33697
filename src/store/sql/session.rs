//! Sign-in sessions.

use async_trait::async_trait;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    SqlStore,
    column::{from_json, instant, json, milliseconds, unreadable},
    dialect::Connection,
    known_people,
    writer::{Write, Written},
};
use crate::{
    access::{AuthenticationMethod, Identity},
    store::{SignInSession, SignInSessions, StoreError},
};

/// Pages list browsers by this name; longer ones are cut.
const LONGEST_USER_AGENT: usize = 200;

#[async_trait]
impl SignInSessions for SqlStore {
    async fn save_session(&self, session: &SignInSession) -> Result<(), StoreError> {
        if !is_hash(&session.id_hash) {
            // Whatever came instead may be the secret itself: it is neither stored nor told.
            let message = "a sign-in session is stored under the SHA-256 of its id".to_owned();
            return Err(StoreError::Conflict(message));
        }
        let write = Write::SaveSession(Box::new(session.clone()));
        self.writer.submit(write).await.map(|_| ())
    }

    async fn session(&self, id_hash: &str) -> Result<Option<SignInSession>, StoreError> {
        sqlx::query_as::<_, SessionRow>("SELECT * FROM sign_in_session WHERE id_hash = $1")
            .bind(id_hash)
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(SessionRow::session)
            .transpose()
    }

    async fn renew_session(&self, id_hash: &str, identity: &Identity) -> Result<bool, StoreError> {
        let write = Write::RenewSession {
            id_hash: id_hash.to_owned(),
            identity: Box::new(identity.clone()),
        };
        self.writer
            .submit(write)
            .await
            .map(|written| written.rows > 0)
    }

    async fn touch_session(&self, id_hash: &str, at: OffsetDateTime) -> Result<(), StoreError> {
        let id_hash = id_hash.to_owned();
        let write = Write::TouchSession { id_hash, at };
        self.writer.submit(write).await.map(|_| ())
    }

    async fn end_session(&self, id_hash: &str) -> Result<(), StoreError> {
        let id_hash = id_hash.to_owned();
        let write = Write::EndSession { id_hash };
        self.writer.submit(write).await.map(|_| ())
    }

    async fn sessions_of(
        &self,
        connector: &str,
        subject: &str,
    ) -> Result<Vec<SignInSession>, StoreError> {
        let sql = "SELECT * FROM sign_in_session WHERE connector = $1 AND subject = $2
             ORDER BY created_ms DESC, id_hash";
        let rows: Vec<SessionRow> = sqlx::query_as(sql)
            .bind(connector)
            .bind(subject)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(SessionRow::session).collect()
    }

    async fn end_sessions_of(&self, connector: &str, subject: &str) -> Result<u64, StoreError> {
        let (connector, subject) = (connector.to_owned(), subject.to_owned());
        let write = Write::EndSessionsOf { connector, subject };
        self.writer.submit(write).await.map(|written| written.rows)
    }

    async fn sweep_sessions(
        &self,
        now: OffsetDateTime,
        idle_since: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let write = Write::SweepSessions { now, idle_since };
        self.writer.submit(write).await.map(|written| written.rows)
    }
}

/// Whether a text is a SHA-256 in lower-case hexadecimal.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

pub(super) async fn save(
    connection: &mut Connection,
    session: &SignInSession,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO sign_in_session (id_hash, connector, subject, username, display_name,
             email, entry_dn, group_list, groups_read_ms, authenticated_ms, method,
             client_address, user_agent, created_ms, last_seen_ms, expires_ms,
             authentication_context, asserted_roles, provider_session, provider_name_id,
             provider_session_index, device)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
             $19, $20, $21, $22)
         ON CONFLICT (id_hash) DO UPDATE SET connector = excluded.connector,
             subject = excluded.subject, username = excluded.username,
             display_name = excluded.display_name, email = excluded.email,
             entry_dn = excluded.entry_dn, group_list = excluded.group_list,
             groups_read_ms = excluded.groups_read_ms,
             authenticated_ms = excluded.authenticated_ms, method = excluded.method,
             client_address = excluded.client_address, user_agent = excluded.user_agent,
             created_ms = excluded.created_ms, last_seen_ms = excluded.last_seen_ms,
             expires_ms = excluded.expires_ms,
             authentication_context = excluded.authentication_context,
             asserted_roles = excluded.asserted_roles,
             provider_session = excluded.provider_session,
             provider_name_id = excluded.provider_name_id,
             provider_session_index = excluded.provider_session_index, device = excluded.device";
    let identity = &session.identity;
    let group_list = json(&identity.groups)?;
    let provider = session.provider_session.as_ref();
    let user_agent: String = session
        .user_agent
        .chars()
        .take(LONGEST_USER_AGENT)
        .collect();
    let done = sqlx::query(sql)
        .bind(&session.id_hash)
        .bind(identity.connector.as_str())
        .bind(&identity.subject)
        .bind(&identity.username)
        .bind(&identity.display_name)
        .bind(&identity.email)
        .bind(&identity.entry_dn)
        .bind(&group_list)
        .bind(milliseconds(identity.groups_read_at))
        .bind(milliseconds(identity.authenticated_at))
        .bind(json(&identity.method)?)
        .bind(&session.client_address)
        .bind(user_agent)
        .bind(milliseconds(session.created_at))
        .bind(milliseconds(session.last_seen_at))
        .bind(milliseconds(session.expires_at))
        .bind(&identity.authentication_context)
        .bind(json(&identity.asserted_roles)?)
        .bind(provider.map(json).transpose()?)
        .bind(provider.map(|provider| provider.name_id.as_str()))
        .bind(provider.and_then(|provider| provider.session_index.as_deref()))
        .bind(session.device.as_ref().map(json).transpose()?)
        .execute(&mut *connection)
        .await?;
    known_people::note(connection, identity, &group_list).await?;
    Ok(Written::rows(done.rows_affected()))
}

pub(super) async fn renew(
    connection: &mut Connection,
    id_hash: &str,
    identity: &Identity,
) -> Result<Written, StoreError> {
    let sql = "UPDATE sign_in_session SET username = $4, display_name = $5, email = $6,
             entry_dn = $7, group_list = $8, groups_read_ms = $9
         WHERE id_hash = $1 AND connector = $2 AND subject = $3";
    let group_list = json(&identity.groups)?;
    let done = sqlx::query(sql)
        .bind(id_hash)
        .bind(identity.connector.as_str())
        .bind(&identity.subject)
        .bind(&identity.username)
        .bind(&identity.display_name)
        .bind(&identity.email)
        .bind(&identity.entry_dn)
        .bind(&group_list)
        .bind(milliseconds(identity.groups_read_at))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() > 0 {
        known_people::note(connection, identity, &group_list).await?;
    }
    Ok(Written::rows(done.rows_affected()))
}

pub(super) async fn touch(
    connection: &mut Connection,
    id_hash: &str,
    at: OffsetDateTime,
) -> Result<Written, StoreError> {
    let sql = "UPDATE sign_in_session SET last_seen_ms = $2
         WHERE id_hash = $1 AND last_seen_ms < $2";
    let done = sqlx::query(sql)
        .bind(id_hash)
        .bind(milliseconds(at))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

pub(super) async fn end(connection: &mut Connection, id_hash: &str) -> Result<Written, StoreError> {
    let done = sqlx::query("DELETE FROM sign_in_session WHERE id_hash = $1")
        .bind(id_hash)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

pub(super) async fn end_all_of(
    connection: &mut Connection,
    connector: &str,
    subject: &str,
) -> Result<Written, StoreError> {
    let done = sqlx::query("DELETE FROM sign_in_session WHERE connector = $1 AND subject = $2")
        .bind(connector)
        .bind(subject)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

pub(super) async fn sweep(
    connection: &mut Connection,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Written, StoreError> {
    // Devices may rest for as long as their tokens last.
    let sql = "DELETE FROM sign_in_session
         WHERE expires_ms <= $1 OR device IS NULL AND last_seen_ms < $2";
    let done = sqlx::query(sql)
        .bind(milliseconds(now))
        .bind(milliseconds(idle_since))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

#[derive(FromRow)]
pub(super) struct SessionRow {
    id_hash: String,
    connector: String,
    subject: String,
    username: String,
    display_name: Option<String>,
    email: Option<String>,
    entry_dn: Option<String>,
    group_list: String,
    groups_read_ms: i64,
    authenticated_ms: i64,
    method: String,
    client_address: String,
    user_agent: String,
    created_ms: i64,
    last_seen_ms: i64,
    expires_ms: i64,
    authentication_context: Option<String>,
    asserted_roles: String,
    provider_session: Option<String>,
    device: Option<String>,
}

impl SessionRow {
    pub(super) fn session(self) -> Result<SignInSession, StoreError> {
        Ok(SignInSession {
            id_hash: self.id_hash,
            identity: Identity {
                connector: (self.connector.parse())
                    .map_err(|error| unreadable("a connector's id", error))?,
                subject: self.subject,
                username: self.username,
                display_name: self.display_name,
                email: self.email,
                entry_dn: self.entry_dn,
                groups: from_json(&self.group_list)?,
                groups_read_at: instant(self.groups_read_ms)?,
                authenticated_at: instant(self.authenticated_ms)?,
                method: from_json::<AuthenticationMethod>(&self.method)?,
                authentication_context: self.authentication_context,
                asserted_roles: from_json(&self.asserted_roles)?,
            },
            client_address: self.client_address,
            user_agent: self.user_agent,
            created_at: instant(self.created_ms)?,
            last_seen_at: instant(self.last_seen_ms)?,
            expires_at: instant(self.expires_ms)?,
            provider_session: (self.provider_session.as_deref())
                .map(from_json)
                .transpose()?,
            device: self.device.as_deref().map(from_json).transpose()?,
        })
    }
}
