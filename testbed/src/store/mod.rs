//! The database: where tasks become rows. One variant a database; each keeps its SQL in a file of its own.
//!
//! In: tasks. Out: rows, each the newest version that was ever applied, and errors in the two classes that a worker
//! treats differently: the database is away (try again, nobody's fault), or these tasks are refused.

mod batch;
mod sqlite;

use serde::Serialize;

use crate::config::{DatabaseConfig, DatabaseKind};
use crate::task::{Costs, ExpectationWriteTask};

/// What a database needs to know beside its address.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Signs rows.
    pub instance: String,
    /// Log every attempted upsert.
    pub witness: bool,
}

#[derive(Debug, Clone)]
pub enum Store {
    Sqlite(sqlite::Sqlite),
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
        match &config.url.kind {
            DatabaseKind::Sqlite { .. } => Ok(Store::Sqlite(sqlite::Sqlite::open(config, signature).await?)),
        }
    }

    /// Applies the tasks in one transaction: all of them, or none.
    pub async fn apply(&self, tasks: &[&ExpectationWriteTask]) -> Result<Applied, StoreError> {
        match self {
            Store::Sqlite(store) => store.apply(tasks).await,
        }
    }

    /// The rows of one character, by preset.
    pub async fn read(&self, key: i64) -> Result<Vec<StoredPreset>, StoreError> {
        match self {
            Store::Sqlite(store) => store.read(key).await,
        }
    }

    pub async fn close(&self) {
        match self {
            Store::Sqlite(store) => store.close().await,
        }
    }
}
