//! The audit log: rows appended, and rows verified.

use std::{sync::Arc, time::Instant};

use rolegate::{
    audit::{
        Action, Actor, AuditEvent, Outcome,
        chain::{ChainHash, Link, Salt, Walk},
    },
    clock::{Clock as _, SystemClock},
    store::{AuditLog as _, ChainStatus, sql::SqlStore},
};
use sqlx::{Connection as _, SqliteConnection};

use crate::{
    report::{judged, milliseconds, percentiles, told},
    support,
};

const ROWS: i64 = 1_000_000;
const ALONE: usize = 2_000;
const WRITERS: usize = 64;
const EACH: usize = 500;

pub async fn measure() {
    let dir = support::temporary_dir("bench-audit");
    let file = dir.path().join("rolegate.db");
    let url = format!("sqlite://{}", file.display());
    let store = Arc::new(SqlStore::open(&url).await.unwrap());
    append_alone(&store).await;
    append_together(&store).await;
    store.close().await;
    let head = store_rows(&url).await;
    let store = SqlStore::open_copy(&file).await.unwrap();
    let started = Instant::now();
    let status = store.verify_chain().await.unwrap();
    let took = started.elapsed();
    let ChainStatus::Holds { rows, head: found } = status else {
        panic!("{status:?}");
    };
    assert_eq!((rows, found), (ROWS, head));
    let size = std::fs::metadata(&file).unwrap().len() / 1024 / 1024;
    judged(
        "Audit: a million rows verified",
        &format!(
            "{} rows/s, {:.1} s, {size} MiB",
            rate(ROWS, took),
            took.as_secs_f64()
        ),
        "100,000/s",
        took.as_secs_f64() < 10.0,
    );
    hash_alone();
}

async fn append_alone(store: &SqlStore) {
    let started = Instant::now();
    let mut times = Vec::with_capacity(ALONE);
    for _ in 0..ALONE {
        let began = Instant::now();
        store.append(&event()).await.unwrap();
        times.push(milliseconds(began.elapsed()));
    }
    let rate = rate(i64::try_from(ALONE).unwrap(), started.elapsed());
    told(
        "Audit: appended, one writer",
        &format!("{rate} rows/s, {}", percentiles(&times)),
    );
}

async fn append_together(store: &Arc<SqlStore>) {
    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(EACH);
                for _ in 0..EACH {
                    let began = Instant::now();
                    store.append(&event()).await.unwrap();
                    times.push(milliseconds(began.elapsed()));
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for writer in writers {
        times.extend(writer.await.unwrap());
    }
    let rate = rate(i64::try_from(WRITERS * EACH).unwrap(), started.elapsed());
    told(
        &format!("Audit: appended, {WRITERS} writers"),
        &format!("{rate} rows/s, {}", percentiles(&times)),
    );
}

/// Fills the log up in one transaction, with the chain's own code; returns the head's hash.
async fn store_rows(url: &str) -> String {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let (first, hash): (i64, String) = sqlx::query_as("SELECT seq, hash FROM audit_head")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    let mut previous: ChainHash = hash.parse().unwrap();
    let event = event();
    let payload = serde_json::to_string(&event).unwrap();
    // The columns are those of a row that the store wrote itself.
    let sql = "INSERT INTO audit_event (seq, at_ms, action, outcome, connector, subject, username,
             role, account, intent, payload, salt, payload_hash, previous_hash, hash)
         VALUES ($1, $2, 'console.open', 'ok', 'corp', 'c0ffee', 'ada', $3, '111122223333',
             NULL, $4, $5, $6, $7, $8)";
    let at = i64::try_from(event.at.unix_timestamp_nanos() / 1_000_000).unwrap();
    for seq in first + 1..=ROWS {
        let salt = Salt::random().unwrap();
        let link = Link::forge(seq, previous, salt, &payload);
        previous = link.hash;
        sqlx::query(sql)
            .bind(seq)
            .bind(at)
            .bind(&event.role)
            .bind(&payload)
            .bind(salt.to_string())
            .bind(link.payload_hash.to_string())
            .bind(link.previous_hash.to_string())
            .bind(link.hash.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    sqlx::query("UPDATE audit_head SET seq = $1, hash = $2")
        .bind(ROWS)
        .bind(previous.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    connection.close().await.unwrap();
    previous.to_string()
}

/// The two hashes of a row, and nothing else: what verifying cannot be faster than on one core.
fn hash_alone() {
    let payload = serde_json::to_string(&event()).unwrap();
    let salt = Salt::random().unwrap();
    let started = Instant::now();
    let mut previous = ChainHash::GENESIS;
    let mut walk = Walk::start();
    for seq in 1..=ROWS / 10 {
        let link = Link::forge(seq, previous, salt, &payload);
        previous = link.hash;
        walk.step(&link).unwrap();
    }
    // Forged and verified: twice the work of verifying.
    let rate = rate(ROWS / 10 * 2, started.elapsed());
    told(
        "Audit: the hashes of a row alone",
        &format!("{rate} rows/s"),
    );
}

/// A row as most are: somebody opened a console.
fn event() -> AuditEvent {
    let actor = Actor::Person {
        connector: "corp".to_owned(),
        subject: Some("c0ffee".to_owned()),
        username: Some("ada".to_owned()),
    };
    let mut event = AuditEvent::new(SystemClock.now(), Action::ConsoleOpen, Outcome::Ok, actor);
    event.role = Some("arn:aws:iam::111122223333:role/team/ReadOnly".to_owned());
    event.account = Some("111122223333".to_owned());
    event.client_address = Some([192, 0, 2, 7].into());
    event.request_id = Some("01a20d80fc1675e3b675aeeb66ba6e56".to_owned());
    event
        .with("session_name", "ada")
        .with("access_key_id", "ASIAEXAMPLEEXAMPLE00")
        .with(
            "assumed_role_arn",
            "arn:aws:sts::111122223333:assumed-role/ReadOnly/ada",
        )
        .with("assumed_role_id", "AROAEXAMPLEEXAMPLE00:ada")
        .with("aws_request_id", "9860eb4f-7c26-44e6-af07-14daf8db95e5")
        .with("sts_region", "eu-west-1")
        .with("duration_seconds", 3600)
        .with("expires_at", "2027-01-31T09:00:00Z")
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(rows: i64, took: std::time::Duration) -> String {
    format!("{:.0}", rows as f64 / took.as_secs_f64())
}
