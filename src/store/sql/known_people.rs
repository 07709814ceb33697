//! Whoever has signed in, and the groups that they were seen with.
//!
//! A sign-in costs one statement more where the groups and names are as they were, else three; only a
//! change of the set leaves a row in `earlier_groups`.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest;
use sqlx::FromRow;
use time::OffsetDateTime;
use tokio::sync::OwnedMutexGuard;

use super::{
    SqlStore,
    column::{from_json, instant, json, milliseconds, unreadable},
    dialect::Connection,
    register::Register,
};
use crate::{
    access::{Group, GroupKey, Identity},
    store::{KnownPeople, KnownPerson, SeenGroups, StoreError},
};

/// No name, address or subject is longer; a longer text finds nobody.
const LONGEST_TEXT: usize = 1_000;
/// How many rows with their groups are in memory before they are made people of.
const ROWS_AT_ONCE: i64 = 4_096;

#[async_trait]
impl KnownPeople for SqlStore {
    async fn known_people(&self) -> Result<Vec<KnownPerson>, StoreError> {
        self.of_everybody(Register::everybody).await
    }

    async fn known_people_with(&self, group: &GroupKey) -> Result<Vec<KnownPerson>, StoreError> {
        let group = group.clone();
        self.of_everybody(move |register| register.with_group(&group))
            .await
    }

    async fn known_groups(&self) -> Result<Vec<Group>, StoreError> {
        self.of_everybody(Register::groups).await
    }

    async fn known_person(
        &self,
        connector: &str,
        subject: &str,
    ) -> Result<Option<KnownPerson>, StoreError> {
        let sql = "SELECT * FROM known_person WHERE connector = $1 AND subject = $2";
        sqlx::query_as::<_, PersonRow>(sql)
            .bind(connector)
            .bind(subject)
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(PersonRow::person)
            .transpose()
    }

    async fn find_known_people(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Vec<KnownPerson>, StoreError> {
        if text.len() > LONGEST_TEXT {
            return Ok(Vec::new());
        }
        // The inner query walks along an index; the rows with their groups are a hundred times that.
        let sql = r"SELECT p.* FROM known_person p JOIN (
                 SELECT connector, subject, search,
                     CASE WHEN search LIKE $3 ESCAPE '\' OR subject = $2 THEN 0 ELSE 1 END AS place
                 FROM known_person WHERE search LIKE $1 ESCAPE '\' OR subject = $2
                 ORDER BY place, search, connector, subject LIMIT $4) AS f
                 ON f.connector = p.connector AND f.subject = p.subject
             ORDER BY f.place, f.search, f.connector, f.subject";
        let pattern = escaped(&text.to_lowercase());
        let rows: Vec<PersonRow> = sqlx::query_as(sql)
            .bind(format!("%{pattern}%"))
            .bind(text)
            .bind(format!("{pattern}\n%"))
            .bind(i64::from(limit))
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(PersonRow::person).collect()
    }

    async fn groups_seen_at(
        &self,
        connector: &str,
        subject: &str,
        at: OffsetDateTime,
    ) -> Result<Option<SeenGroups>, StoreError> {
        let sql = "SELECT * FROM (
                 SELECT groups_from_ms AS from_ms, groups_read_ms AS until_ms, group_list
                 FROM known_person WHERE connector = $1 AND subject = $2
                 UNION ALL
                 SELECT from_ms, until_ms, group_list
                 FROM earlier_groups WHERE connector = $1 AND subject = $2) AS seen
             WHERE from_ms <= $3 ORDER BY from_ms DESC LIMIT 1";
        let row: Option<(i64, i64, String)> = sqlx::query_as(sql)
            .bind(connector)
            .bind(subject)
            .bind(milliseconds(at))
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        row.map(|(from_ms, until_ms, groups)| {
            Ok(SeenGroups {
                groups: from_json(&groups)?,
                from: instant(from_ms)?,
                until: instant(until_ms)?,
            })
        })
        .transpose()
    }
}

impl SqlStore {
    /// What `question` finds among everybody who is known at this moment.
    async fn of_everybody<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Register) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut register = Arc::clone(&self.register).lock_owned().await;
        loop {
            let rows = self.changed_since(register.through()).await?;
            if !rows.is_empty() {
                register = away(move || read(register, rows)).await??;
            } else if self.count_people().await? < register.count() {
                // Somebody deleted rows by hand.
                *register = Register::default();
            } else {
                break;
            }
        }
        away(move || question(&register)).await
    }

    async fn count_people(&self) -> Result<usize, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM known_person")
            .fetch_one(&mut *self.reader().await?)
            .await?;
        usize::try_from(count).map_err(StoreError::unavailable)
    }

    /// The rows that changed behind the change of this number, in the order of the changes.
    async fn changed_since(&self, change: i64) -> Result<Vec<PersonRow>, StoreError> {
        let sql = "SELECT * FROM known_person WHERE change_seq > $1 ORDER BY change_seq LIMIT $2";
        let rows = sqlx::query_as(sql)
            .bind(change)
            .bind(ROWS_AT_ONCE)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        Ok(rows)
    }
}

fn read(
    mut register: OwnedMutexGuard<Register>,
    rows: Vec<PersonRow>,
) -> Result<OwnedMutexGuard<Register>, StoreError> {
    for row in rows {
        let change = row.change_seq;
        register.add(row.person()?, change);
    }
    register.tidy();
    Ok(register)
}

/// Works away from what answers requests: fifty thousand people take a while.
async fn away<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(StoreError::unavailable)
}

/// What a person is found by: user name, display name and address, in lower case, a line each.
fn search(username: &str, display_name: Option<&str>, email: Option<&str>) -> String {
    let [display_name, email] = [display_name, email].map(Option::unwrap_or_default);
    [username, display_name, email]
        .map(|text| text.replace('\n', " ").to_lowercase())
        .join("\n")
}

/// A text that stands for itself in a `LIKE` with the escape character `\`.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// The SHA-256, in hexadecimal, of the keys and stable ids of some groups, whatever their order.
fn group_set(groups: &[Group]) -> Result<String, StoreError> {
    let mut set: Vec<_> = groups
        .iter()
        .map(|group| (group.key.as_str(), group.stable_id.as_deref()))
        .collect();
    set.sort_unstable();
    set.dedup();
    let digest = digest::digest(&digest::SHA256, json(&set)?.as_bytes());
    Ok(hex::encode(digest))
}

/// Notes that a person was seen with the groups of `identity`, which are `group_list` in JSON. What
/// was read before what is known already changes nothing.
pub(super) async fn note(
    connection: &mut Connection,
    identity: &Identity,
    group_list: &str,
) -> Result<(), StoreError> {
    let group_set = group_set(&identity.groups)?;
    if see_again(connection, identity, &group_set, group_list).await? {
        return Ok(());
    }
    // A set that another one replaces within its first millisecond was never in force.
    let replaced = "INSERT INTO earlier_groups (connector, subject, from_ms, until_ms, group_list)
         SELECT connector, subject, groups_from_ms, groups_read_ms, group_list FROM known_person
         WHERE connector = $1 AND subject = $2 AND group_set <> $3 AND groups_from_ms < $4
             AND groups_read_ms <= $4
         ON CONFLICT (connector, subject, from_ms) DO NOTHING";
    sqlx::query(replaced)
        .bind(identity.connector.as_str())
        .bind(&identity.subject)
        .bind(&group_set)
        .bind(milliseconds(identity.groups_read_at))
        .execute(&mut *connection)
        .await?;
    upsert(connection, identity, &group_set, group_list).await
}

/// What most sign-ins need: somebody who is known has the groups and the names that they had. Says
/// whether it was so.
async fn see_again(
    connection: &mut Connection,
    identity: &Identity,
    group_set: &str,
    group_list: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE known_person SET username = $5, display_name = $6, email = $7,
             entry_dn = $8, seen_ms = CASE WHEN $9 > seen_ms THEN $9 ELSE seen_ms END,
             groups_read_ms = $10, authenticated_ms = $11, method = $12,
             authentication_context = $13, asserted_roles = $14, group_list = $15,
             change_seq = (SELECT MAX(change_seq) + 1 FROM known_person)
         WHERE connector = $1 AND subject = $2 AND group_set = $3 AND search = $4
             AND groups_read_ms <= $10";
    let (display_name, email) = (identity.display_name.as_deref(), identity.email.as_deref());
    let read_ms = milliseconds(identity.groups_read_at);
    let authenticated_ms = milliseconds(identity.authenticated_at);
    let done = sqlx::query(sql)
        .bind(identity.connector.as_str())
        .bind(&identity.subject)
        .bind(group_set)
        .bind(search(&identity.username, display_name, email))
        .bind(&identity.username)
        .bind(display_name)
        .bind(email)
        .bind(&identity.entry_dn)
        .bind(authenticated_ms.max(read_ms))
        .bind(read_ms)
        .bind(authenticated_ms)
        .bind(json(&identity.method)?)
        .bind(&identity.authentication_context)
        .bind(json(&identity.asserted_roles)?)
        .bind(group_list)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn upsert(
    connection: &mut Connection,
    identity: &Identity,
    group_set: &str,
    group_list: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO known_person (connector, subject, search, username, display_name,
             email, entry_dn, first_seen_ms, seen_ms, groups_from_ms, groups_read_ms, group_set,
             authenticated_ms, method, authentication_context, asserted_roles, group_list,
             change_seq)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $8, $12, $13, $14, $15,
             (SELECT COALESCE(MAX(change_seq), 0) + 1 FROM known_person))
         ON CONFLICT (connector, subject) DO UPDATE SET search = excluded.search,
             username = excluded.username, display_name = excluded.display_name,
             email = excluded.email, entry_dn = excluded.entry_dn,
             seen_ms = CASE WHEN excluded.seen_ms > known_person.seen_ms
                 THEN excluded.seen_ms ELSE known_person.seen_ms END,
             groups_from_ms = CASE WHEN excluded.group_set = known_person.group_set
                 THEN known_person.groups_from_ms ELSE excluded.groups_from_ms END,
             groups_read_ms = excluded.groups_read_ms, group_set = excluded.group_set,
             authenticated_ms = excluded.authenticated_ms, method = excluded.method,
             authentication_context = excluded.authentication_context,
             asserted_roles = excluded.asserted_roles, group_list = excluded.group_list,
             change_seq = excluded.change_seq
         WHERE excluded.groups_read_ms >= known_person.groups_read_ms";
    let (display_name, email) = (identity.display_name.as_deref(), identity.email.as_deref());
    let read_ms = milliseconds(identity.groups_read_at);
    let authenticated_ms = milliseconds(identity.authenticated_at);
    sqlx::query(sql)
        .bind(identity.connector.as_str())
        .bind(&identity.subject)
        .bind(search(&identity.username, display_name, email))
        .bind(&identity.username)
        .bind(display_name)
        .bind(email)
        .bind(&identity.entry_dn)
        .bind(authenticated_ms)
        .bind(authenticated_ms.max(read_ms))
        .bind(read_ms)
        .bind(group_set)
        .bind(json(&identity.method)?)
        .bind(&identity.authentication_context)
        .bind(json(&identity.asserted_roles)?)
        .bind(group_list)
        .execute(connection)
        .await?;
    Ok(())
}

/// Works out what the migration could not: lower case beyond ASCII, and hashes.
pub(super) async fn finish_migration(connection: &mut Connection) -> Result<(), StoreError> {
    let rows: Vec<PersonRow> = sqlx::query_as("SELECT * FROM known_person WHERE group_set = ''")
        .fetch_all(&mut *connection)
        .await?;
    for row in rows {
        let search = search(
            &row.username,
            row.display_name.as_deref(),
            row.email.as_deref(),
        );
        let sql = "UPDATE known_person SET search = $3, group_set = $4
             WHERE connector = $1 AND subject = $2";
        sqlx::query(sql)
            .bind(&row.connector)
            .bind(&row.subject)
            .bind(search)
            .bind(group_set(&from_json::<Vec<Group>>(&row.group_list)?)?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct PersonRow {
    connector: String,
    subject: String,
    username: String,
    display_name: Option<String>,
    email: Option<String>,
    entry_dn: Option<String>,
    first_seen_ms: i64,
    seen_ms: i64,
    groups_read_ms: i64,
    authenticated_ms: i64,
    method: String,
    authentication_context: Option<String>,
    asserted_roles: String,
    group_list: String,
    change_seq: i64,
}

impl PersonRow {
    fn person(self) -> Result<KnownPerson, StoreError> {
        Ok(KnownPerson {
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
                method: from_json(&self.method)?,
                authentication_context: self.authentication_context,
                asserted_roles: from_json(&self.asserted_roles)?,
            },
            first_seen_at: instant(self.first_seen_ms)?,
            seen_at: instant(self.seen_ms)?,
        })
    }
}
