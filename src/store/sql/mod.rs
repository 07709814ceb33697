//! The one SQL implementation of the store's traits.
//!
//! Reads go through a small pool. Every write goes through one task that owns the only writing
//! connection (`writer`): whatever waits there shares one transaction and one `fsync`, and each
//! caller is answered after the commit. What differs between databases is in `dialect`; the SQL
//! uses `$n` and columns TEXT and BIGINT alone. Never here: a value formatted into SQL.
//! Entry point: [`SqlStore::open`].

mod audit;
mod audit_retirement;
mod audit_walk;
mod column;
mod conversation;
mod dialect;
mod known_people;
mod pending;
mod person;
mod policy;
mod probe;
mod register;
mod review;
mod revocation;
mod session;
mod token;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Pool, pool::PoolConnection};
use tokio::sync::Mutex;

use self::{
    dialect::{Database, Place},
    register::Register,
    writer::{Write, Writer},
};
use super::{StoreError, StoreHealth};

/// The store in an SQL database.
///
/// Dropping it ends the writing task once what was queued is written; [`close`](Self::close)
/// waits for that.
#[derive(Debug)]
pub struct SqlStore {
    readers: Pool<Database>,
    writer: Writer,
    register: Arc<Mutex<Register>>,
}

impl SqlStore {
    /// Opens the store at `url`, such as `sqlite:///var/lib/rolegate/rolegate.db`, and brings its
    /// tables up to date; two programs that start at once wait for each other.
    ///
    /// A missing SQLite file is created, readable by its owner alone; its folder must be there.
    /// Runs inside a Tokio runtime, which the writing task joins.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], its source saying what is wrong with the URL, the folder, the
    /// file or its content.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = dialect::options(url)?;
        let mut connection = dialect::connect_to_start(&options).await?;
        dialect::migrate(&mut connection).await?;
        let place = Place::of(&options)?;
        Ok(Self {
            readers: dialect::readers(&options),
            writer: Writer::start(connection, place, options),
            register: Arc::default(),
        })
    }

    /// Opens a database file for reading alone: nothing is created, migrated or locked. For copies
    /// of the audit log; every write fails.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no such file, or when another version of the
    /// program wrote it.
    pub async fn open_copy(file: &std::path::Path) -> Result<Self, StoreError> {
        let options = dialect::copy_options(file).await?;
        Ok(Self {
            readers: dialect::readers(&options),
            writer: Writer::refusing(),
            register: Arc::default(),
        })
    }

    /// Ends the store after what was queued is written; later calls fail.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    async fn reader(&self) -> Result<PoolConnection<Database>, StoreError> {
        Ok(self.readers.acquire().await?)
    }
}

#[async_trait]
impl StoreHealth for SqlStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.submit(Write::Probe).await?;
        Ok(())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::unavailable(error)
    }
}
