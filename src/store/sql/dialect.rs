//! What differs between databases: how to connect, begin, lock and migrate. SQLite so far.
//!
//! Never here: a statement that both understand.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection as _, Pool, Sqlite, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::known_people;
use crate::store::StoreError;

pub(super) type Database = Sqlite;
pub(super) type Connection = SqliteConnection;
pub(super) type Options = SqliteConnectOptions;

/// Begins a transaction that will write. A deferred one would fail half-way when another process
/// wrote after its first read.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Keeps `policy_version` still until the end of the transaction. SQLite's write lock does.
pub(super) const POLICY_VERSION_HELD: &str = "SELECT version FROM policy_head WHERE id = 1";

/// How long a write waits for another process's transaction.
const BUSY: Duration = Duration::from_millis(800);
/// How long a starting program waits for another one that migrates.
const MIGRATION_BUSY: Duration = Duration::from_secs(30);
const READERS: u32 = 4;
/// How long a read waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(1);
/// The write-ahead log is cut back to this many bytes after a checkpoint.
const LOG_LIMIT: &str = "67108864";

/// How many pages of 4 KiB the write-ahead log gathers before a commit folds them into the file.
/// That commit takes several times as long as others: at SQLite's own 1000 every fortieth click of
/// a person met one.
const CHECKPOINT_PAGES: &str = "8000";

static MIGRATOR: Migrator = sqlx::migrate!("src/store/sql/migrations");

/// Reads the URL and creates the file where it is missing.
pub(super) fn options(url: &str) -> Result<Options, StoreError> {
    if !url.starts_with("sqlite:") {
        // The URL itself may hold a password.
        let message = "the store's URL has to begin with sqlite: in this version, such as \
             sqlite:///var/lib/rolegate/rolegate.db";
        return Err(StoreError::unavailable(message));
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        let message = "the store needs a file: several connections share it";
        return Err(StoreError::unavailable(message));
    }
    let options: Options = url.parse()?;
    let options = options
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("journal_size_limit", LOG_LIMIT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .disable_statement_logging();
    if !url.contains("mode=ro") {
        create(options.get_filename())?;
    }
    Ok(options)
}

fn create(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let message = format!("there is no folder {}: create it", folder.display());
        return Err(StoreError::unavailable(message));
    }
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::unavailable(format!(
            "{} cannot be created: {error}",
            path.display()
        ))),
    }
}

/// A connection that writes.
pub(super) async fn connect(options: &Options) -> Result<Connection, StoreError> {
    options.connect().await.map_err(|error| {
        let path = options.get_filename().display();
        StoreError::unavailable(format!("{path} cannot be opened: {error}"))
    })
}

/// The first connection of a program, which waits for another one that makes or migrates the file;
/// [`migrate`] sets the usual patience.
pub(super) async fn connect_to_start(options: &Options) -> Result<Connection, StoreError> {
    connect(&options.clone().busy_timeout(MIGRATION_BUSY)).await
}

/// Which file was opened; a path may name another one later, or none.
#[derive(Debug)]
pub(super) struct Place(u64, u64);

impl Place {
    /// The file that is there now.
    // Not through Tokio: it would send every write to another thread and back for a microsecond.
    pub(super) fn of(options: &Options) -> Result<Self, StoreError> {
        let path = options.get_filename();
        let metadata = std::fs::metadata(path).map_err(|error| {
            StoreError::unavailable(format!("{} cannot be found: {error}", path.display()))
        })?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }

    /// Refuses to go on when the file was moved away or replaced: what is written to a file
    /// without a name is lost, and SQLite does not notice while it has a write-ahead log.
    pub(super) fn check(&self, options: &Options) -> Result<(), StoreError> {
        let Self(device, inode) = Self::of(options)?;
        if (device, inode) == (self.0, self.1) {
            return Ok(());
        }
        let path = options.get_filename().display();
        let message = format!("{path} was replaced while it was open: restart the program");
        Err(StoreError::unavailable(message))
    }
}

/// The connections that read; they are made when they are needed.
pub(super) fn readers(options: &Options) -> Pool<Database> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .connect_lazy_with(options.clone().pragma("query_only", "1"))
}

/// A connection for walking over many rows: the thread that reads is further ahead of the one that
/// looks at them.
pub(super) async fn walker(readers: &Pool<Database>) -> Result<Connection, StoreError> {
    let options = readers.connect_options().as_ref().clone();
    connect(&options.row_buffer_size(4_096)).await
}

/// Options that leave a file, its folder and its neighbours as they are.
pub(super) async fn copy_options(file: &Path) -> Result<Options, StoreError> {
    if !file.is_file() {
        let message = format!("there is no file {}", file.display());
        return Err(StoreError::unavailable(message));
    }
    let options = Options::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let log = file.with_file_name(format!(
        "{}-wal",
        file.file_name().unwrap_or_default().to_string_lossy()
    ));
    // Without a log nobody is writing; then SQLite is told not to want one, which it could not make
    // in a folder that cannot be written.
    let has_log = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let options = options.immutable(!has_log);
    let mut connection = connect(&options).await?;
    let version: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| {
            let file = file.display();
            StoreError::unavailable(format!("{file} is no database of rolegate: {error}"))
        })?;
    let newest = MIGRATOR.iter().map(|migration| migration.version).max();
    if version != newest {
        return Err(StoreError::unavailable(format!(
            "{} was written by another version of rolegate: verify it with that one",
            file.display()
        )));
    }
    Ok(options)
}

/// A real write: a database that only answers may still be full or read-only.
pub(super) async fn probe(connection: &mut Connection) -> Result<u64, StoreError> {
    let done = sqlx::query("UPDATE write_probe SET count = count + 1 WHERE id = 1")
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Brings the tables up to date, all migrations in one transaction that also is the lock, and
/// tries a write.
pub(super) async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(BEGIN_WRITE).await?;
    // Not `run`, whose future is not `Send` for a borrowed connection (sqlx says so there).
    MIGRATOR
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(_) => StoreError::unavailable(
                "the database was written by a newer version of rolegate: update the program",
            ),
            other => StoreError::unavailable(other),
        })?;
    known_people::finish_migration(&mut transaction).await?;
    probe(&mut transaction).await?;
    transaction.commit().await?;
    set_busy_timeout(connection, BUSY).await
}

/// From now on the connection overwrites what it deletes.
pub(super) async fn overwrite_what_is_deleted(
    connection: &mut Connection,
) -> Result<(), StoreError> {
    sqlx::raw_sql("PRAGMA secure_delete = ON")
        .execute(connection)
        .await?;
    Ok(())
}

async fn set_busy_timeout(connection: &mut Connection, by: Duration) -> Result<(), StoreError> {
    // A pragma takes no parameters; the number is ours.
    let statement = format!("PRAGMA busy_timeout = {}", by.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}
