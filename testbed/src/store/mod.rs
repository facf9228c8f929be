//! The database: where tasks become rows.
//!
//! In: tasks. Out: rows, each the newest version that was ever applied, and errors in the two classes that a worker
//! treats differently: the database is away (try again, nobody's fault), or these tasks are refused.
//!
//! # Adding a database
//! One new file that says its SQL (a `dialect::Dialect`) and how it is opened, and its line in [`DATABASES`]. What
//! all have in common stands in `tables.rs`.

mod batch;
mod dialect;
mod mariadb;
mod postgres;
mod server;
mod sqlite;
mod tables;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::config::{DatabaseConfig, DatabaseUrl};
use crate::task::{Costs, ExpectationWriteTask};
pub(crate) use batch::Batch;
pub use tables::Tables;

/// Every database there is, in the order in which they are named to people.
pub const DATABASES: &[Database] = &[sqlite::DATABASE, postgres::DATABASE, mariadb::DATABASE];

pub struct Database {
    /// What stands in front of `://`.
    pub schemes: &'static [&'static str],
    /// Of a URL, without a user: an excerpt of a wrong file leaves out everything up to the last `@`.
    pub example: &'static str,
    /// In what steps it counts the time that a transaction may stand still; `None`: it has no such limit.
    pub(crate) idle_step: Option<Duration>,
    /// What is wrong with a URL of this scheme, as words that follow it.
    pub(crate) check: fn(&str) -> Result<(), String>,
    open: for<'a> fn(&'a DatabaseConfig, Signature) -> Opening<'a>,
}

type Opening<'a> = Pin<Box<dyn Future<Output = Result<Arc<dyn Tables>, sqlx::Error>> + Send + 'a>>;

/// What a database needs to know beside its address.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Signs rows.
    pub instance: String,
    /// Log every attempted upsert.
    pub witness: bool,
}

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    tables: Arc<dyn Tables>,
    url: DatabaseUrl,
}

/// What one committed transaction did, in tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Sent to the database; each was applied, or lost to a newer version there.
    pub upserted: usize,
    /// Left out for a newer one of the same character and preset in the same batch.
    pub dropped: usize,
}

/// One row, as the GET answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredPreset {
    pub preset: u8,
    pub seq: u64,
    #[serde(flatten)]
    pub costs: Costs,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Locked, busy, full, gone: the same tasks may succeed later.
    #[error("use the database: {0}")]
    Unavailable(String),
    /// The database refuses the content of these tasks.
    #[error("write the tasks: {0}")]
    Failed(String),
}

impl Store {
    /// Connects, and creates the tables that are missing.
    pub async fn open(config: &DatabaseConfig, signature: Signature) -> Result<Self, StoreError> {
        let url = config.url.clone();
        match (url.database().open)(config, signature).await {
            Ok(tables) => Ok(Store { tables, url }),
            Err(error) => Err(StoreError::Unavailable(url.mask(&error.to_string()))),
        }
    }

    /// The same database, with something in front of its tables.
    pub(crate) fn behind(self, front: impl FnOnce(Arc<dyn Tables>) -> Arc<dyn Tables>) -> Self {
        Store { tables: front(self.tables), ..self }
    }

    /// Applies the tasks in one transaction: all of them, or none.
    pub async fn apply(&self, tasks: &[&ExpectationWriteTask]) -> Result<Applied, StoreError> {
        let batch = Batch::of(tasks);
        self.tables.apply(&batch).await.map_err(|error| self.classify(&error))?;
        Ok(Applied { upserted: batch.rows.len(), dropped: batch.dropped.len() })
    }

    /// The rows of one character, by preset.
    pub async fn read(&self, key: i64) -> Result<Vec<StoredPreset>, StoreError> {
        self.tables.read(key).await.map_err(|error| self.classify(&error))
    }

    pub async fn close(&self) {
        self.tables.close().await;
    }

    /// Only what the content of the tasks can cause is their failure; anything else (locked, full, I/O, a table that
    /// is gone) may pass, and must not dead-letter a good task.
    fn classify(&self, error: &sqlx::Error) -> StoreError {
        let why = self.url.mask(&error.to_string());
        let refused = error.as_database_error().is_some_and(|error| self.tables.refuses_content(error));
        if refused { StoreError::Failed(why) } else { StoreError::Unavailable(why) }
    }
}
