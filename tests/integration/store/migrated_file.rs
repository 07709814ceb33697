//! A SQLite file as an earlier version left it, with a sign-in session in it.

use std::path::Path;

use rolegate::{
    access::AuthenticationMethod,
    store::{Conversations as _, SignInSessions as _, sql::SqlStore},
};
use sqlx::{Connection as _, migrate::Migrator};
use time::Duration;

use super::{Backend, NOW, sqlite_file::SqliteFile};

/// The hash of the session that was there before.
const EARLIER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

const SESSION: &str = "INSERT INTO sign_in_session (id_hash, connector, subject, username,
        group_list, groups_read_ms, authenticated_ms, method, client_address, user_agent,
        created_ms, last_seen_ms, expires_ms)
    VALUES ($1, 'corp', 'subject-of-eve', 'eve', '[]', $2, $2, '\"password\"', '192.0.2.9',
        'Browser/0', $2, $3, $3)";

pub(super) struct MigratedFile(SqliteFile);

impl Backend for MigratedFile {
    type Store = SqlStore;

    async fn empty() -> Self {
        let file = SqliteFile::empty().await;
        std::fs::File::create(file.path()).expect("an empty file");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql/migrations");
        let mut migrator = Migrator::new(folder.as_path())
            .await
            .expect("the migrations are read");
        migrator
            .migrations
            .to_mut()
            .retain(|migration| migration.version == 1);
        let mut connection = file.connect().await;
        migrator
            .run_direct(None, &mut connection, false)
            .await
            .expect("the first migration runs");
        let milliseconds = |at: time::OffsetDateTime| {
            i64::try_from(at.unix_timestamp_nanos() / 1_000_000).expect("a moment of this age")
        };
        sqlx::query(SESSION)
            .bind(EARLIER)
            .bind(milliseconds(NOW))
            // Long enough for no sweep of the other tests to count it.
            .bind(milliseconds(NOW + Duration::days(30)))
            .execute(&mut connection)
            .await
            .expect("the session is written");
        connection.close().await.expect("the connection closes");
        Self(file)
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
