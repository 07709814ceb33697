//! A SQLite file in a folder of its own.

use std::path::PathBuf;

use rolegate::store::sql::SqlStore;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::Backend;

pub(super) struct SqliteFile {
    folder: TempDir,
}

impl SqliteFile {
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("rolegate.db")
    }

    pub(super) fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    /// A connection behind the store's back.
    pub(super) async fn connect(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url())
            .await
            .expect("the file opens")
    }
}

impl Backend for SqliteFile {
    type Store = SqlStore;

    async fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    async fn open(&self) -> SqlStore {
        SqlStore::open(&self.url()).await.expect("the store opens")
    }

    async fn tamper(&self, sql: &'static str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(sql)
            .execute(&mut connection)
            .await
            .expect("the statement runs");
        connection.close().await.expect("the connection closes");
    }
}
