//! What reads the rows and the witness at the end: [`Database`].

use async_trait::async_trait;

use super::database::{Database, DatabaseError, RowSink, SightingSink};

/// A reader of one run's key range.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Commits a marker on the primary, then reads every row: what `count(*)` says, and whether the marker is visible.
    async fn rows(&self, sink: &mut RowSink<'_>) -> Result<(u64, bool), DatabaseError>;
    /// Reads the witness's log; false where the database has none.
    async fn witness(&self, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError>;
    /// The query that a person can run by hand: rows of the write-once keys.
    fn count_query(&self) -> String;
    /// Where it is, if it is a server: without its password.
    fn server(&self) -> Option<String>;
    /// What answers, with its version: `SQLite 3.46.0`.
    async fn software(&self) -> Result<Option<String>, DatabaseError>;
}

#[async_trait]
impl Reader for Database {
    async fn rows(&self, sink: &mut RowSink<'_>) -> Result<(u64, bool), DatabaseError> {
        Database::rows(self, sink).await
    }

    async fn witness(&self, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        Database::witness(self, sink).await
    }

    fn count_query(&self) -> String {
        Database::count_query(self)
    }

    fn server(&self) -> Option<String> {
        Database::server(self)
    }

    async fn software(&self) -> Result<Option<String>, DatabaseError> {
        Database::software(self).await
    }
}
