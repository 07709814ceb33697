//! What is known of roles by probing them.

use async_trait::async_trait;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    SqlStore,
    column::{instant, milliseconds, unreadable},
    dialect::Connection,
    writer::{Write, Written},
};
use crate::{
    access::TargetArn,
    store::{ProbeState, RoleProbe, RoleProbes, StoreError},
};

/// Something to write about probes.
#[derive(Debug)]
pub(super) enum Step {
    Note(Box<RoleProbe>),
    Claim {
        holder: String,
        now: OffsetDateTime,
        until: OffsetDateTime,
    },
}

#[async_trait]
impl RoleProbes for SqlStore {
    async fn note_probe(&self, probe: &RoleProbe) -> Result<(), StoreError> {
        let step = Step::Note(Box::new(probe.clone()));
        self.writer.submit(Write::RoleProbe(step)).await.map(|_| ())
    }

    async fn probe(&self, role: &TargetArn) -> Result<Option<RoleProbe>, StoreError> {
        sqlx::query_as::<_, ProbeRow>("SELECT * FROM role_probe WHERE role = $1")
            .bind(role.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(ProbeRow::probe)
            .transpose()
    }

    async fn probes(&self) -> Result<Vec<RoleProbe>, StoreError> {
        let rows: Vec<ProbeRow> = sqlx::query_as("SELECT * FROM role_probe ORDER BY role")
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(ProbeRow::probe).collect()
    }

    async fn claim_probing(
        &self,
        holder: &str,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let step = Step::Claim {
            holder: holder.to_owned(),
            now,
            until,
        };
        let written = self.writer.submit(Write::RoleProbe(step)).await?;
        Ok(written.rows > 0)
    }
}

pub(super) async fn perform(
    connection: &mut Connection,
    step: &Step,
) -> Result<Written, StoreError> {
    match step {
        Step::Note(probe) => note(connection, probe).await,
        Step::Claim { holder, now, until } => {
            let sql = "UPDATE probing SET holder = $1, until_ms = $2
                 WHERE id = 1 AND (holder = $1 OR until_ms <= $3)";
            let done = sqlx::query(sql)
                .bind(holder)
                .bind(milliseconds(*until))
                .bind(milliseconds(*now))
                .execute(connection)
                .await?;
            Ok(Written::rows(done.rows_affected()))
        }
    }
}

async fn note(connection: &mut Connection, probe: &RoleProbe) -> Result<Written, StoreError> {
    let sql = "INSERT INTO role_probe (role, state, code, message, max_duration_seconds,
             description, checked_ms, since_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (role) DO UPDATE SET
             since_ms = CASE WHEN role_probe.state = excluded.state
                 THEN role_probe.since_ms ELSE excluded.since_ms END,
             state = excluded.state, code = excluded.code, message = excluded.message,
             max_duration_seconds = excluded.max_duration_seconds,
             description = excluded.description, checked_ms = excluded.checked_ms";
    let done = sqlx::query(sql)
        .bind(&probe.role)
        .bind(probe.state.as_str())
        .bind(&probe.code)
        .bind(&probe.message)
        .bind(probe.max_duration_seconds.map(i64::from))
        .bind(&probe.description)
        .bind(milliseconds(probe.checked_at))
        .bind(milliseconds(probe.since))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

#[derive(Debug, FromRow)]
struct ProbeRow {
    role: String,
    state: String,
    code: Option<String>,
    message: Option<String>,
    max_duration_seconds: Option<i64>,
    description: Option<String>,
    checked_ms: i64,
    since_ms: i64,
}

impl ProbeRow {
    fn probe(self) -> Result<RoleProbe, StoreError> {
        let state = ProbeState::ALL
            .into_iter()
            .find(|state| state.as_str() == self.state)
            .ok_or_else(|| unreadable("a probe's state", &self.state))?;
        let seconds = self.max_duration_seconds.map(u32::try_from).transpose();
        Ok(RoleProbe {
            role: self.role,
            state,
            code: self.code,
            message: self.message,
            max_duration_seconds: seconds.map_err(|error| unreadable("seconds", error))?,
            description: self.description,
            checked_at: instant(self.checked_ms)?,
            since: instant(self.since_ms)?,
        })
    }
}
