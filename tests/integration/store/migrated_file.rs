//! A SQLite file as an earlier version left it, with a sign-in session in it.

use std::path::Path;

use rolegate::{
    access::AuthenticationMethod,
    audit::{
        Action, AuditEvent, Outcome,
        chain::{ChainHash, Link, Salt},
    },
    store::{
        AuditFilter, AuditLog as _, ChainStatus, Conversations as _, KnownPeople as _,
        SignInSessions as _, sql::SqlStore,
    },
};
use sqlx::{Connection as _, SqliteConnection, migrate::Migrator};
use time::{Duration, OffsetDateTime};

use super::{Backend, NOW, ada, edits::rows, sessions::session, sqlite_file::SqliteFile};

/// The hash of the session that was there before.
const EARLIER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

const SESSION: &str = "INSERT INTO sign_in_session (id_hash, connector, subject, username,
        group_list, groups_read_ms, authenticated_ms, method, client_address, user_agent,
        created_ms, last_seen_ms, expires_ms)
    VALUES ($1, 'corp', 'subject-of-eve', 'eve', '[]', $2, $2, '\"password\"', '192.0.2.9',
        'Browser/0', $2, $3, $3)";

pub(super) struct MigratedFile(SqliteFile);

impl MigratedFile {
    /// A file with the first migrations alone.
    async fn at(version: i64) -> Self {
        let file = SqliteFile::empty().await;
        std::fs::File::create(file.path()).expect("an empty file");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql/migrations");
        let mut migrator = Migrator::new(folder.as_path())
            .await
            .expect("the migrations are read");
        migrator
            .migrations
            .to_mut()
            .retain(|migration| migration.version <= version);
        let mut connection = file.connect().await;
        migrator
            .run_direct(None, &mut connection, false)
            .await
            .expect("the first migrations run");
        connection.close().await.expect("the connection closes");
        Self(file)
    }
}

fn milliseconds(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).expect("a moment of this age")
}

impl Backend for MigratedFile {
    type Store = SqlStore;

    async fn empty() -> Self {
        let backend = Self::at(1).await;
        let mut connection = backend.0.connect().await;
        sqlx::query(SESSION)
            .bind(EARLIER)
            .bind(milliseconds(NOW))
            // Long enough for no sweep of the other tests to count it.
            .bind(milliseconds(NOW + Duration::days(30)))
            .execute(&mut connection)
            .await
            .expect("the session is written");
        connection.close().await.expect("the connection closes");
        backend
    }

    async fn open(&self) -> SqlStore {
        self.0.open().await
    }

    async fn tamper(&self, sql: &'static str) {
        self.0.tamper(sql).await;
    }
}

#[tokio::test]
async fn a_session_of_the_version_before_goes_on() {
    let backend = MigratedFile::empty().await;
    let store = backend.open().await;
    let session = store.session(EARLIER).await.unwrap().unwrap();
    assert_eq!(session.identity.username, "eve");
    assert_eq!(session.identity.method, AuthenticationMethod::Password);
    assert_eq!(session.identity.authentication_context, None);
    assert_eq!(session.identity.asserted_roles, []);
    assert_eq!(session.provider_session, None);
    let renewed = store.renew_session(EARLIER, &session.identity).await;
    assert!(renewed.unwrap());
    let end = NOW + Duration::minutes(5);
    store.hold_proof(EARLIER, "sealed", end).await.unwrap();
    store.end_session(EARLIER).await.unwrap();
    assert_eq!(store.held_proof(EARLIER, NOW).await.unwrap(), None);
}

/// A session as the second version wrote it.
async fn write_session(connection: &mut SqliteConnection, letter: char, name: &str, at: i64) {
    let sql = "INSERT INTO sign_in_session (id_hash, connector, subject, username, display_name,
            group_list, groups_read_ms, authenticated_ms, method, client_address, user_agent,
            created_ms, last_seen_ms, expires_ms)
        VALUES ($1, 'corp', $2, $3, $3, $4, $5, $5, '\"password\"', '192.0.2.9', 'Browser/0', $5,
            $5, $5)";
    let mut groups = session('a').identity.groups;
    groups.truncate(usize::try_from(at).unwrap());
    sqlx::query(sql)
        .bind(letter.to_string().repeat(64))
        .bind(format!("subject-of-{}", name.to_lowercase()))
        .bind(name)
        .bind(serde_json::to_string(&groups).unwrap())
        .bind(milliseconds(NOW + Duration::minutes(at)))
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn people_of_the_version_before_are_known_at_once() {
    let backend = MigratedFile::at(2).await;
    let mut connection = backend.0.connect().await;
    write_session(&mut connection, 'b', "Ada", 2).await;
    write_session(&mut connection, 'a', "Ada", 1).await;
    write_session(&mut connection, 'c', "Ümit ÖZ", 1).await;
    connection.close().await.unwrap();

    let store = backend.open().await;
    assert_eq!(store.known_people().await.unwrap().len(), 2);
    let found = store.find_known_people("ümit ö", 10).await.unwrap();
    assert_eq!(found[0].identity.username, "Ümit ÖZ");
    let ada = store.known_person("corp", "subject-of-ada").await.unwrap();
    let ada = ada.unwrap();
    assert_eq!(ada.identity.groups, session('a').identity.groups);
    assert_eq!(ada.first_seen_at, NOW + Duration::minutes(1));
    assert_eq!(ada.seen_at, NOW + Duration::minutes(2));
    // The same groups again are no other set.
    let mut again = session('d');
    again.identity.groups_read_at = NOW + Duration::minutes(9);
    store.save_session(&again).await.unwrap();
    let seen = store
        .groups_seen_at("corp", "subject-of-ada", NOW + Duration::minutes(5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.from, NOW + Duration::minutes(2));
    assert_eq!(seen.until, NOW + Duration::minutes(9));
}

/// Rows as the second version wrote them.
async fn write_rows(connection: &mut SqliteConnection, events: &[AuditEvent]) {
    let mut previous = ChainHash::GENESIS;
    for (seq, event) in (1..).zip(events) {
        let payload = serde_json::to_string(event).unwrap();
        let link = Link::forge(seq, previous, Salt::random().unwrap(), &payload);
        previous = link.hash;
        let sql = "INSERT INTO audit_event (seq, at_ms, action, outcome, connector, subject,
                username, payload, salt, payload_hash, previous_hash, hash)
            VALUES ($1, $2, $3, 'ok', 'corp', 'subject-of-ada', 'ada', $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(seq)
            .bind(milliseconds(event.at))
            .bind(event.action.as_str())
            .bind(&payload)
            .bind(link.salt.to_string())
            .bind(link.payload_hash.to_string())
            .bind(link.previous_hash.to_string())
            .bind(link.hash.to_string())
            .execute(&mut *connection)
            .await
            .unwrap();
        sqlx::query("UPDATE audit_head SET seq = $1, hash = $2")
            .bind(seq)
            .bind(link.hash.to_string())
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

fn earlier_events() -> Vec<AuditEvent> {
    let event = |action| AuditEvent::new(NOW, action, Outcome::Ok, ada());
    vec![
        event(Action::MappingChange)
            .with("id", "m-1")
            .with("ticket", "HD-1"),
        event(Action::SignIn),
        event(Action::RoleChange).with("id", 7),
        event(Action::RuleChange)
            .with("id", "r-1")
            .with("row", "no object")
            .with("edit", serde_json::Value::Null),
        event(Action::RuleChange)
            .with("id", "r-0")
            .with("row", serde_json::json!({"kind": "rule", "id": "r-1"}))
            .with("edit", "e-1"),
    ]
}

#[tokio::test]
async fn the_log_of_the_version_before_holds_and_is_found_by_row_and_edit() {
    let backend = MigratedFile::at(2).await;
    let mut connection = backend.0.connect().await;
    write_rows(&mut connection, &earlier_events()).await;
    connection.close().await.unwrap();
    let store = backend.open().await;
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 5, .. }),
        "{status:?}"
    );
    for (row, expected) in [("m-1", vec![1]), ("7", vec![]), ("r-1", vec![5, 4])] {
        let filter = AuditFilter {
            row: Some(row.to_owned()),
            ..AuditFilter::default()
        };
        let places: Vec<i64> = (rows(&store, filter).await.iter())
            .map(|row| row.seq)
            .collect();
        assert_eq!(places, expected, "{row}");
    }
    let filter = AuditFilter {
        edit: Some("e-1".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(rows(&store, filter).await.len(), 1);
}

#[tokio::test]
async fn a_log_that_was_tampered_with_is_migrated_and_told_of() {
    let backend = MigratedFile::at(2).await;
    let mut connection = backend.0.connect().await;
    write_rows(&mut connection, &earlier_events()).await;
    connection.close().await.unwrap();
    backend
        .tamper("UPDATE audit_event SET payload = '{\"details\": {' WHERE seq = 2")
        .await;
    let status = backend.open().await.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Broken { seq: 2, .. }),
        "{status:?}"
    );
}
