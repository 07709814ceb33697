//! The walk along the audit log that verifies it.
//!
//! Three threads work on it: SQLite's reads, the caller's decodes, and one of its own hashes and
//! compares. Never here: writing. Entry point: [`walk`].

use sqlx::Connection as _;
use tokio::sync::mpsc;

use super::{
    audit::{ChainRow, Columns, HEAD},
    dialect::Connection,
};
use crate::{
    audit::{
        Action, AuditEvent, Outcome,
        chain::{BrokenLink, ChainHash, Link, Walk},
    },
    store::{ChainReport, ChainStatus, Progress, StoreError},
};

/// How many rows are read at once, and how many such pages may wait for the verifying thread.
const PAGE: i64 = 2_000;
const AHEAD: usize = 4;

/// Where the chain begins.
struct Base {
    seq: i64,
    hash: Option<ChainHash>,
    checkpoint: Option<String>,
}

/// Walks from the base to the head, as one reading.
pub(super) async fn walk(
    mut connection: Connection,
    progress: Progress<'_>,
) -> Result<ChainReport, StoreError> {
    // One transaction: a row appended meanwhile must not look like one beyond the head.
    let mut transaction = connection.begin().await?;
    let base: Option<(i64, String, Option<String>)> =
        sqlx::query_as("SELECT seq, hash, checkpoint FROM audit_base WHERE id = 1")
            .fetch_optional(&mut *transaction)
            .await?;
    let base = base.map_or_else(Base::missing, Base::of);
    let head = sqlx::query_as::<_, (i64, String)>(HEAD)
        .fetch_optional(&mut *transaction)
        .await?;
    let all = head.as_ref().map_or(0, |(seq, _)| *seq) - base.seq;
    let Some(start) = base.hash else {
        let problem = "the row that says where the log begins is missing or unreadable";
        let status = broken(base.seq, problem);
        return Ok(base.report(status, 0));
    };
    let (pages, waiting) = mpsc::channel(AHEAD);
    let verifier = Verifier::behind(base.seq, start);
    let verifying = tokio::task::spawn_blocking(move || verifier.run(waiting));
    let page = "SELECT * FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2";
    // Whatever stands at a place before the first one was dropped, or is impossible.
    let mut from = if base.seq == 0 { i64::MIN } else { base.seq };
    let mut done = 0;
    loop {
        let rows: Vec<ChainRow> = sqlx::query_as(page)
            .bind(from)
            .bind(PAGE)
            .fetch_all(&mut *transaction)
            .await?;
        let Some(last) = rows.last() else { break };
        from = last.seq;
        done += i64::try_from(rows.len()).unwrap_or_default();
        progress(done, all);
        // Nobody takes more once a row is broken.
        if pages.send(rows).await.is_err() {
            break;
        }
    }
    drop(pages);
    let verifier = verifying.await.map_err(StoreError::unavailable)?;
    let erased = verifier.erased;
    let status = verifier.finish(base.seq, head);
    Ok(base.report(status, erased))
}

fn broken(seq: i64, problem: impl Into<String>) -> ChainStatus {
    ChainStatus::Broken {
        seq,
        problem: problem.into(),
    }
}

impl Base {
    fn missing() -> Self {
        Self {
            seq: 0,
            hash: None,
            checkpoint: None,
        }
    }

    fn of((seq, hash, checkpoint): (i64, String, Option<String>)) -> Self {
        Self {
            seq,
            hash: hash.parse().ok(),
            checkpoint,
        }
    }

    fn report(self, status: ChainStatus, erased: i64) -> ChainReport {
        ChainReport {
            status,
            dropped_through: self.seq,
            dropped_behind: self.checkpoint,
            erased,
        }
    }
}

/// What has been seen of the chain.
struct Verifier {
    walk: Walk,
    broken: Option<ChainStatus>,
    erased: i64,
    /// The first and the last of each run of erased rows.
    erased_runs: Vec<(i64, i64)>,
    /// Up to where rows of the log say that payloads were erased, and rows dropped.
    erased_through: i64,
    dropped_through: i64,
}

impl Verifier {
    fn behind(seq: i64, hash: ChainHash) -> Self {
        Self {
            walk: Walk::behind(seq, hash),
            broken: None,
            erased: 0,
            erased_runs: Vec::new(),
            erased_through: 0,
            dropped_through: 0,
        }
    }

    fn run(mut self, mut pages: mpsc::Receiver<Vec<ChainRow>>) -> Self {
        while let Some(page) = pages.blocking_recv() {
            for row in page {
                if let Err(broken) = self.pass(&row) {
                    self.broken = Some(broken);
                    return self;
                }
            }
        }
        self
    }

    /// Passes a row, or says what is wrong with it.
    fn pass(&mut self, row: &ChainRow) -> Result<(), ChainStatus> {
        let broken = |problem: String| broken(row.seq, problem);
        self.walk.expect(row.seq)?;
        let hash = |name: &str, text: &str| {
            let edited = |_| broken(format!("the column {name} was edited: it holds no hash"));
            text.parse::<ChainHash>().map_err(edited)
        };
        let payload_hash = hash("payload_hash", &row.payload_hash)?;
        let previous_hash = hash("previous_hash", &row.previous_hash)?;
        let own_hash = hash("hash", &row.hash)?;
        let (Some(payload), Some(salt)) = (&row.payload, &row.salt) else {
            self.walk
                .step_erased(row.seq, payload_hash, previous_hash, own_hash)?;
            return self.note_erased(row);
        };
        let not_salt = |_| broken("the column salt was edited: it holds no salt".to_owned());
        self.walk.step(&Link {
            seq: row.seq,
            payload,
            salt: salt.parse().map_err(not_salt)?,
            payload_hash,
            previous_hash,
            hash: own_hash,
        })?;
        let event: AuditEvent = serde_json::from_str(payload)
            .map_err(|_| broken("the payload is no audit event".to_owned()))?;
        if let Some(column) = row.columns.difference(&Columns::of(&event)) {
            let problem = format!("the column {column} was edited: it differs from the payload");
            return Err(broken(problem));
        }
        self.note_record(row.seq, &event);
        Ok(())
    }

    fn note_erased(&mut self, row: &ChainRow) -> Result<(), ChainStatus> {
        let columns = &row.columns;
        let names = [&columns.connector, &columns.subject, &columns.username];
        let is_whole = row.payload.is_none() && row.salt.is_none();
        if !is_whole || names.iter().any(|name| name.is_some()) {
            let problem = "a part of the row was erased, and another part was not";
            return Err(broken(row.seq, problem));
        }
        self.erased += 1;
        match self.erased_runs.last_mut() {
            Some((_, last)) if *last == row.seq - 1 => *last = row.seq,
            _ => self.erased_runs.push((row.seq, row.seq)),
        }
        Ok(())
    }

    /// Remembers what a row says about erased and dropped rows, which are always before it.
    fn note_record(&mut self, seq: i64, event: &AuditEvent) {
        if event.action != Action::AuditErase || event.outcome != Outcome::Ok {
            return;
        }
        let said = |key: &str| {
            let said = event.details.get(key).and_then(serde_json::Value::as_i64);
            said.filter(|through| *through < seq).unwrap_or_default()
        };
        self.erased_through = self.erased_through.max(said("erased_through"));
        self.dropped_through = self.dropped_through.max(said("dropped_through"));
    }

    /// Compares the end of the walk with the head row, and what is missing with what the log says.
    fn finish(self, base: i64, head: Option<(i64, String)>) -> ChainStatus {
        if let Some(broken) = self.broken {
            return broken;
        }
        if base > self.dropped_through {
            let problem = "the rows before were dropped, and no row of the log says so";
            return broken(base + 1, problem);
        }
        let recorded = self.erased_through;
        let mut runs = self.erased_runs.iter();
        if let Some((first, _)) = runs.find(|(_, last)| *last > recorded) {
            let problem = "the payload was erased, and no row of the log says so";
            return broken((recorded + 1).max(*first), problem);
        }
        let rows = self.walk.rows();
        let head =
            head.and_then(|(seq, hash)| hash.parse::<ChainHash>().ok().map(|hash| (seq, hash)));
        let Some((seq, hash)) = head else {
            let problem = "the head row is missing or unreadable";
            return broken(self.walk.seq(), problem);
        };
        match self.walk.finish(seq, hash) {
            Ok(head) => ChainStatus::Holds {
                rows,
                head: head.to_string(),
            },
            Err(broken) => broken.into(),
        }
    }
}

impl From<BrokenLink> for ChainStatus {
    fn from(broken: BrokenLink) -> Self {
        Self::Broken {
            seq: broken.seq,
            problem: broken.problem.to_string(),
        }
    }
}
