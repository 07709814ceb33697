//! SQLite files that are missing, locked, damaged, read-only, gone or from the future.

use std::{error::Error as _, fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use rolegate::{
    audit::Outcome,
    store::{
        AuditFilter, AuditLog as _, PolicyStore as _, StoreError, StoreHealth as _, sql::SqlStore,
    },
};
use sqlx::Connection as _;

use super::{
    Backend as _, context, event, intent, put_role, read_only_arn, sqlite_file::SqliteFile,
};

async fn refusal(url: &str) -> String {
    let error = SqlStore::open(url)
        .await
        .expect_err("the store does not open");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    error.source().expect("an error with a cause").to_string()
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    let backend = SqliteFile::empty().await;
    let store = backend.open().await;
    store.append(&event(Outcome::Ok)).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", backend.path().display());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let refused = refusal("sqlite:///no/such/folder/rolegate.db").await;
    assert!(
        refused.contains("there is no folder /no/such/folder"),
        "{refused}"
    );
    let refused = refusal("sqlite::memory:").await;
    assert!(refused.contains("needs a file"), "{refused}");
    let refused = refusal("postgres://rolegate:planted-password@db/rolegate").await;
    assert!(refused.contains("sqlite:"), "{refused}");
    assert!(!refused.contains("planted-password"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let backend = SqliteFile::empty().await;
    let content = "not a database ".repeat(1_000);
    fs::write(backend.path(), &content).unwrap();
    let refused = refusal(&backend.url()).await;
    assert!(refused.contains("not a database"), "{refused}");
    assert_eq!(fs::read_to_string(backend.path()).unwrap(), content);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let backend = SqliteFile::empty().await;
    backend.open().await.close().await;
    backend
        .tamper("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1")
        .await;
    let refused = refusal(&backend.url()).await;
    assert!(refused.contains("newer version"), "{refused}");
}

#[tokio::test]
async fn a_read_only_database_is_refused() {
    let backend = SqliteFile::empty().await;
    backend.open().await.close().await;
    let refused = refusal(&format!("{}?mode=ro", backend.url())).await;
    assert!(refused.contains("readonly"), "{refused}");
}

#[tokio::test]
async fn two_programs_that_start_at_once_migrate_once() {
    let backend = SqliteFile::empty().await;
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let url = backend.url();
            tokio::spawn(async move { SqlStore::open(&url).await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn two_programs_share_one_chain() {
    let backend = SqliteFile::empty().await;
    let stores = [
        Arc::new(backend.open().await),
        Arc::new(backend.open().await),
    ];
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { store.append(&event(Outcome::Ok)).await })
        })
        .collect();
    let mut places = Vec::new();
    for writer in writers {
        places.push(writer.await.unwrap().unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=20).collect::<Vec<_>>());
    let version = stores[0].policy_version().await.unwrap();
    let change = vec![put_role(read_only_arn())];
    stores[1].apply(change, &context()).await.unwrap();
    let error = stores[0]
        .announce(&intent("i-1"), version)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PolicyChanged), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_file_is_locked_every_write_fails_and_reads_go_on() {
    let backend = SqliteFile::empty().await;
    let store = Arc::new(backend.open().await);
    store.append(&event(Outcome::Ok)).await.unwrap();
    let mut other = backend.connect().await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let writers: Vec<_> = (0..2_000)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.append(&event(Outcome::Ok)).await })
        })
        .collect();
    let probe = store.ping().await.unwrap_err();
    assert!(matches!(probe, StoreError::Unavailable(_)), "{probe}");
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    assert_eq!(store.audit_rows(&filter).await.unwrap().len(), 1);
    for writer in writers {
        let error = writer.await.unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.append(&event(Outcome::Ok)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_written_and_comes_back() {
    let backend = SqliteFile::empty().await;
    let store = backend.open().await;
    store.append(&event(Outcome::Ok)).await.unwrap();
    let names = ["", "-wal", "-shm"].map(|suffix| format!("{}{suffix}", backend.path().display()));
    for name in &names {
        fs::rename(name, format!("{name}.away")).unwrap();
    }
    for _ in 0..2 {
        let error = store.append(&event(Outcome::Ok)).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    assert!(!backend.path().exists(), "an empty database took its place");
    for name in &names {
        fs::rename(format!("{name}.away"), name).unwrap();
    }
    assert_eq!(store.append(&event(Outcome::Ok)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_damaged_table_fails_reads_and_writes() {
    let backend = SqliteFile::empty().await;
    let store = backend.open().await;
    backend
        .tamper("DROP TABLE audit_head; DROP TABLE policy_head;")
        .await;
    let write = store.append(&event(Outcome::Ok)).await.unwrap_err();
    assert!(matches!(write, StoreError::Unavailable(_)), "{write}");
    let read = store.policy_version().await.unwrap_err();
    assert!(matches!(read, StoreError::Unavailable(_)), "{read}");
}

#[tokio::test]
async fn closing_writes_what_waits_and_later_calls_fail() {
    let backend = SqliteFile::empty().await;
    let store = Arc::new(backend.open().await);
    let (done, closed) = tokio::join!(store.ping(), store.close());
    assert_eq!((done.is_ok(), closed), (true, ()));
    let error = store.append(&event(Outcome::Ok)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let wal = format!("{}-wal", backend.path().display());
    assert!(!fs::exists(wal).unwrap(), "the log is folded into the file");
    backend.connect().await.close().await.unwrap();
}

/// Transactions in the write-ahead log: frames that name the size of the database after them
/// (SQLite file format, section 4.1).
fn commits(backend: &SqliteFile) -> usize {
    let log = fs::read(format!("{}-wal", backend.path().display())).unwrap();
    let page = u32::from_be_bytes(log[8..12].try_into().unwrap());
    let salt = &log[16..24];
    log[32..]
        .chunks_exact(24 + usize::try_from(page).unwrap())
        .take_while(|frame| &frame[8..16] == salt)
        .filter(|frame| frame[4..8] != [0; 4])
        .count()
}

#[tokio::test]
async fn callers_that_wait_together_share_one_commit() {
    let backend = SqliteFile::empty().await;
    let store = Arc::new(backend.open().await);
    store.ping().await.unwrap();
    let before = commits(&backend);
    // On one thread, every caller has its turn before the writing task.
    let callers: Vec<_> = (0..40)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.append(&event(Outcome::Ok)).await })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(commits(&backend) - before, 1);
}
