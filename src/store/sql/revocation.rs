//! Revocations, and how far they came.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{FromRow, QueryBuilder};
use time::OffsetDateTime;

use super::{
    SqlStore,
    audit::{self, Columns, Entry},
    column::{from_json, instant, json, milliseconds, unreadable},
    dialect::{Connection, Database},
    person::RoleSessionRow,
    writer::{Write, Written},
};
use crate::{
    access::{ConsoleWay, TargetArn},
    audit::{Action, AuditEvent, Outcome},
    store::{OpenedRole, Revocation, Revocations, Revoked, RevokedRole, RoleSession, StoreError},
};

/// How many rows one statement names; databases limit the parameters of one.
const CHUNK: usize = 500;

/// A change of the revocations.
#[derive(Debug)]
pub(super) enum Step {
    Revoke {
        revocation: Box<Revocation>,
        roles: Vec<RevokedRole>,
        entry: Box<Entry>,
    },
    Note {
        role: String,
        revocations: Vec<String>,
        result: Result<i64, String>,
    },
    Doubt {
        role: String,
        why: String,
        now_ms: i64,
    },
}

#[async_trait]
impl Revocations for SqlStore {
    async fn revoke(
        &self,
        revocation: &Revocation,
        roles: &[RevokedRole],
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let step = Step::Revoke {
            revocation: Box::new(revocation.clone()),
            roles: roles.to_vec(),
            entry: Box::new(Entry::of(event)?),
        };
        let written = self.writer.submit(Write::Revocation(step)).await;
        written.map(|_| ())
    }

    async fn revocations_of(
        &self,
        role: &TargetArn,
        now: OffsetDateTime,
    ) -> Result<Vec<Revocation>, StoreError> {
        let sql = "SELECT r.* FROM revoked_role p JOIN revocation r ON r.id = p.revocation
             WHERE p.role = $1 AND p.is_final = 0 AND r.expires_ms > $2
             ORDER BY r.created_ms, r.id";
        let rows: Vec<RevocationRow> = sqlx::query_as(sql)
            .bind(role.as_str())
            .bind(milliseconds(now))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(RevocationRow::revocation).collect()
    }

    async fn revocations(
        &self,
        limit: u32,
    ) -> Result<Vec<(Revocation, Vec<RevokedRole>)>, StoreError> {
        let sql = "SELECT * FROM revocation ORDER BY created_ms DESC, id DESC LIMIT $1";
        let mut reader = self.reader().await?;
        let rows: Vec<RevocationRow> = sqlx::query_as(sql)
            .bind(i64::from(limit))
            .fetch_all(&mut *reader)
            .await?;
        let sql = "SELECT p.* FROM revoked_role p JOIN (
                 SELECT id FROM revocation ORDER BY created_ms DESC, id DESC LIMIT $1) AS newest
             ON newest.id = p.revocation ORDER BY p.role";
        let places: Vec<RevokedRow> = sqlx::query_as(sql)
            .bind(i64::from(limit))
            .fetch_all(&mut *reader)
            .await?;
        let mut roles: BTreeMap<String, Vec<RevokedRole>> = BTreeMap::new();
        for place in places {
            let place = place.revoked_role()?;
            roles
                .entry(place.revocation.clone())
                .or_default()
                .push(place);
        }
        rows.into_iter()
            .map(|row| {
                let revocation = row.revocation()?;
                let roles = roles.remove(&revocation.id).unwrap_or_default();
                Ok((revocation, roles))
            })
            .collect()
    }

    async fn note_revoked(
        &self,
        role: &TargetArn,
        revocations: &[String],
        result: Result<OffsetDateTime, String>,
    ) -> Result<(), StoreError> {
        let step = Step::Note {
            role: role.to_string(),
            revocations: revocations.to_vec(),
            result: result.map(milliseconds),
        };
        let written = self.writer.submit(Write::Revocation(step)).await;
        written.map(|_| ())
    }

    async fn doubt_revoked(
        &self,
        role: &TargetArn,
        why: &str,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let step = Step::Doubt {
            role: role.to_string(),
            why: why.to_owned(),
            now_ms: milliseconds(now),
        };
        let written = self.writer.submit(Write::Revocation(step)).await;
        written.map(|_| ())
    }

    async fn roles_to_settle(&self, now: OffsetDateTime) -> Result<Vec<TargetArn>, StoreError> {
        let sql = "SELECT DISTINCT p.role FROM revoked_role p
             JOIN revocation r ON r.id = p.revocation
             WHERE p.is_cleared = 0 AND p.is_final = 0
                 AND ((p.applied_ms IS NULL AND r.expires_ms > $1)
                     OR (p.applied_ms IS NOT NULL AND r.expires_ms <= $1))
             ORDER BY p.role";
        let roles: Vec<String> = sqlx::query_scalar(sql)
            .bind(milliseconds(now))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        roles.iter().map(|role| target(role)).collect()
    }

    async fn roles_with_sessions(
        &self,
        connector: &str,
        subject: &str,
        since: OffsetDateTime,
    ) -> Result<Vec<OpenedRole>, StoreError> {
        let mut opened = BTreeMap::new();
        let sql = "SELECT role, session_name, started_ms FROM role_session
             WHERE connector = $1 AND subject = $2 AND started_ms >= $3";
        let mut reader = self.reader().await?;
        let rows: Vec<(String, String, i64)> = sqlx::query_as(sql)
            .bind(connector)
            .bind(subject)
            .bind(milliseconds(since))
            .fetch_all(&mut *reader)
            .await?;
        for (role, session_name, started_ms) in rows {
            note_opened(
                &mut opened,
                &role,
                instant(started_ms)?,
                [Some(session_name), None],
            );
        }
        // What was announced may have been issued, whatever became of it here; and what a provider
        // opens itself has no role session.
        let sql = "SELECT role, at_ms, payload FROM audit_event
             WHERE subject = $2 AND connector = $1 AND at_ms >= $3 AND role IS NOT NULL
                 AND action IN ($4, $5) AND outcome IN ($6, $7, $8)";
        let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(sql)
            .bind(connector)
            .bind(subject)
            .bind(milliseconds(since))
            .bind(Action::ConsoleOpen.as_str())
            .bind(Action::CredentialsIssue.as_str())
            .bind(Outcome::Intent.as_str())
            .bind(Outcome::Ok.as_str())
            .bind(Outcome::Unknown.as_str())
            .fetch_all(&mut *reader)
            .await?;
        for (role, at_ms, payload) in rows {
            let event = payload.and_then(|text| serde_json::from_str::<AuditEvent>(&text).ok());
            let detail = |key: &str| {
                let value = event.as_ref()?.details.get(key)?.as_str()?;
                Some(value.to_owned())
            };
            note_opened(
                &mut opened,
                &role,
                instant(at_ms)?,
                [detail("session_name"), detail("source_identity")],
            );
        }
        Ok(opened.into_values().flatten().collect())
    }

    async fn last_posted(
        &self,
        whose: &Revoked,
        since: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let (person, role) = columns(whose);
        let sql = "SELECT at_ms, payload FROM audit_event
             WHERE at_ms >= $1 AND action = $2 AND outcome = $3
                 AND ($4 IS NULL OR (connector = $4 AND subject = $5))
                 AND ($6 IS NULL OR role = $6)";
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(sql)
            .bind(milliseconds(since))
            .bind(Action::ConsoleOpen.as_str())
            .bind(Outcome::Intent.as_str())
            .bind(person.map(|(connector, _)| connector))
            .bind(person.map(|(_, subject)| subject))
            .bind(role)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        let is_posted = |payload: Option<&str>| {
            let event = payload.and_then(|text| serde_json::from_str::<AuditEvent>(text).ok());
            event.is_none_or(|event| {
                let way = event.details.get("console");
                way.and_then(serde_json::Value::as_str) == Some(ConsoleWay::SamlPost.as_str())
            })
        };
        let posted = rows
            .iter()
            .filter(|(_, payload)| is_posted(payload.as_deref()));
        posted
            .map(|(at_ms, _)| *at_ms)
            .max()
            .map(instant)
            .transpose()
    }

    async fn role_session(&self, id: &str) -> Result<Option<RoleSession>, StoreError> {
        sqlx::query_as::<_, RoleSessionRow>("SELECT * FROM role_session WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(RoleSessionRow::role_session)
            .transpose()
    }
}

/// Adds one opening; a role whose ARN cannot be read is nothing that AWS has issued a session of.
fn note_opened(
    opened: &mut BTreeMap<String, Option<OpenedRole>>,
    role: &str,
    at: OffsetDateTime,
    [session_name, source_identity]: [Option<String>; 2],
) {
    let place = opened.entry(role.to_owned()).or_insert_with(|| {
        Some(OpenedRole {
            role: role.parse().ok()?,
            session_names: Vec::new(),
            source_identities: Vec::new(),
            latest: at,
        })
    });
    let Some(place) = place else { return };
    place.latest = place.latest.max(at);
    let add = |names: &mut Vec<String>, name: Option<String>| {
        let name = name.filter(|name| !name.is_empty() && !names.contains(name));
        names.extend(name);
    };
    add(&mut place.session_names, session_name);
    add(&mut place.source_identities, source_identity);
}

/// Each checks first: what is refused has changed nothing.
pub(super) async fn perform(
    connection: &mut Connection,
    step: &Step,
) -> Result<Written, StoreError> {
    match step {
        Step::Revoke {
            revocation,
            roles,
            entry,
        } => {
            refuse_known(connection, &revocation.id).await?;
            let head = audit::append(connection, entry).await?;
            insert(connection, revocation, head.seq).await?;
            insert_roles(connection, revocation, roles).await?;
            Ok(Written::at(head))
        }
        Step::Note {
            role,
            revocations,
            result: Ok(at_ms),
        } => {
            note_applied(connection, role, revocations, *at_ms).await?;
            clear_expired(connection, role, *at_ms).await
        }
        Step::Note {
            role,
            revocations,
            result: Err(failure),
        } => {
            for chunk in revocations.chunks(CHUNK) {
                let mut update =
                    QueryBuilder::<Database>::new("UPDATE revoked_role SET failure = ");
                update.push_bind(failure).push(" WHERE role = ");
                update.push_bind(role);
                update.push(" AND applied_ms IS NULL");
                among(&mut update, chunk);
                update.build().execute(&mut *connection).await?;
            }
            Ok(Written::default())
        }
        Step::Doubt { role, why, now_ms } => {
            let sql = "UPDATE revoked_role SET applied_ms = NULL, failure = $2
                 WHERE role = $1 AND is_final = 0
                     AND revocation IN (SELECT id FROM revocation WHERE expires_ms > $3)";
            let done = sqlx::query(sql)
                .bind(role)
                .bind(why)
                .bind(now_ms)
                .execute(connection)
                .await?;
            Ok(Written::rows(done.rows_affected()))
        }
    }
}

async fn refuse_known(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM revocation WHERE id = $1")
        .bind(id)
        .fetch_one(connection)
        .await?;
    if known > 0 {
        let message = format!("the revocation {id} is there already");
        return Err(StoreError::Conflict(message));
    }
    Ok(())
}

/// Refuses the good end of a grant that was announced before its person or its role was revoked:
/// what AWS issued after the revocation's moment would be left out of it.
pub(super) async fn refuse_revoked(
    connection: &mut Connection,
    end: &Columns,
) -> Result<(), StoreError> {
    if end.outcome != Outcome::Ok.as_str() {
        return Ok(());
    }
    let sql = "SELECT COUNT(*) FROM revocation WHERE
             seq > (SELECT MAX(seq) FROM audit_event WHERE intent = $1 AND outcome = $2)
             AND (subject IS NULL OR (connector = $3 AND subject = $4))
             AND (role IS NULL OR role = $5)";
    let revoked: i64 = sqlx::query_scalar(sql)
        .bind(&end.intent)
        .bind(Outcome::Intent.as_str())
        .bind(&end.connector)
        .bind(&end.subject)
        .bind(&end.role)
        .fetch_one(connection)
        .await?;
    if revoked > 0 {
        let message = "the sessions were revoked while this one was being opened".to_owned();
        return Err(StoreError::Conflict(message));
    }
    Ok(())
}

/// Whose, as the tables have it: connector and subject, and the role.
fn columns(whose: &Revoked) -> (Option<(&String, &String)>, Option<&String>) {
    match whose {
        Revoked::Person { connector, subject } => (Some((connector, subject)), None),
        Revoked::RoleSession {
            connector,
            subject,
            role,
        } => (Some((connector, subject)), Some(role)),
        Revoked::Role { role } => (None, Some(role)),
    }
}

async fn insert(
    connection: &mut Connection,
    revocation: &Revocation,
    seq: i64,
) -> Result<(), StoreError> {
    let (person, role) = columns(&revocation.whose);
    let sql = "INSERT INTO revocation (id, connector, subject, role, session_names,
             source_identities, issued_before_ms, created_ms, expires_ms, revoked_by, reason, seq)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    sqlx::query(sql)
        .bind(&revocation.id)
        .bind(person.map(|(connector, _)| connector))
        .bind(person.map(|(_, subject)| subject))
        .bind(role)
        .bind(json(&revocation.session_names)?)
        .bind(json(&revocation.source_identities)?)
        .bind(milliseconds(revocation.issued_before))
        .bind(milliseconds(revocation.created_at))
        .bind(milliseconds(revocation.expires_at))
        .bind(&revocation.by)
        .bind(&revocation.reason)
        .bind(seq)
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_roles(
    connection: &mut Connection,
    revocation: &Revocation,
    roles: &[RevokedRole],
) -> Result<(), StoreError> {
    for chunk in roles.chunks(CHUNK) {
        let mut insert = QueryBuilder::<Database>::new(
            "INSERT INTO revoked_role (revocation, role, applied_ms, failure, is_final, \
             is_cleared) ",
        );
        insert.push_values(chunk, |mut row, place| {
            row.push_bind(&revocation.id)
                .push_bind(&place.role)
                .push_bind(place.applied_at.map(milliseconds))
                .push_bind(&place.failure)
                .push_bind(i64::from(place.is_final))
                .push_bind(0_i64);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn note_applied(
    connection: &mut Connection,
    role: &str,
    revocations: &[String],
    at_ms: i64,
) -> Result<(), StoreError> {
    for chunk in revocations.chunks(CHUNK) {
        // The first time stays: it tells when the sessions were ended.
        let mut update = QueryBuilder::<Database>::new(
            "UPDATE revoked_role SET applied_ms = COALESCE(applied_ms, ",
        );
        update.push_bind(at_ms);
        update.push("), failure = NULL WHERE role = ");
        update.push_bind(role);
        among(&mut update, chunk);
        update.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn clear_expired(
    connection: &mut Connection,
    role: &str,
    at_ms: i64,
) -> Result<Written, StoreError> {
    let sql = "UPDATE revoked_role SET is_cleared = 1
         WHERE role = $1 AND applied_ms IS NOT NULL AND is_cleared = 0
             AND revocation IN (SELECT id FROM revocation WHERE expires_ms <= $2)";
    let done = sqlx::query(sql)
        .bind(role)
        .bind(at_ms)
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

fn among(query: &mut QueryBuilder<Database>, revocations: &[String]) {
    query.push(" AND revocation IN (");
    let mut list = query.separated(", ");
    for id in revocations {
        list.push_bind(id.clone());
    }
    query.push(")");
}

fn target(role: &str) -> Result<TargetArn, StoreError> {
    role.parse().map_err(|error| unreadable("a role", error))
}

#[derive(FromRow)]
struct RevocationRow {
    id: String,
    connector: Option<String>,
    subject: Option<String>,
    role: Option<String>,
    session_names: String,
    source_identities: String,
    issued_before_ms: i64,
    created_ms: i64,
    expires_ms: i64,
    revoked_by: String,
    reason: Option<String>,
}

impl RevocationRow {
    fn revocation(self) -> Result<Revocation, StoreError> {
        let whose = match (self.connector.zip(self.subject), self.role) {
            (Some((connector, subject)), None) => Revoked::Person { connector, subject },
            (Some((connector, subject)), Some(role)) => Revoked::RoleSession {
                connector,
                subject,
                role,
            },
            (None, Some(role)) => Revoked::Role { role },
            (None, None) => return Err(unreadable("a revocation", "it is about nobody")),
        };
        Ok(Revocation {
            id: self.id,
            whose,
            session_names: from_json(&self.session_names)?,
            source_identities: from_json(&self.source_identities)?,
            issued_before: instant(self.issued_before_ms)?,
            created_at: instant(self.created_ms)?,
            expires_at: instant(self.expires_ms)?,
            by: self.revoked_by,
            reason: self.reason,
        })
    }
}

#[derive(FromRow)]
struct RevokedRow {
    revocation: String,
    role: String,
    applied_ms: Option<i64>,
    failure: Option<String>,
    is_final: i64,
}

impl RevokedRow {
    fn revoked_role(self) -> Result<RevokedRole, StoreError> {
        Ok(RevokedRole {
            revocation: self.revocation,
            role: self.role,
            applied_at: self.applied_ms.map(instant).transpose()?,
            failure: self.failure,
            is_final: self.is_final != 0,
        })
    }
}
