//! Evidence that is not whole: a ledger without its end, readers that see too little.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Parts;
use crate::load::{Ledger, LedgerError};
use crate::readback::database::{Database, DatabaseError, Moment, RowSink, SightingSink};
use crate::readback::{Reader, Row};

/// The last quarter of the ledger is gone before it is judged.
pub(super) struct CutLedger;

impl Parts for CutLedger {
    fn ledger(&self, sealed: Ledger, folder: &Path) -> Result<Ledger, LedgerError> {
        // Before its files become shorter than what it reads of them.
        drop(sealed);
        cut_ledger(folder).map_err(|source| LedgerError::Read { path: folder.to_owned(), source })?;
        Ledger::open(folder)
    }
}

/// Takes the last quarter of every file in the folder away.
pub fn cut_ledger(folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = File::options().write(true).open(file?.path())?;
        file.set_len(file.metadata()?.len() / 4 * 3)?;
    }
    Ok(())
}

/// Gives no more rows than this.
pub(super) struct LimitedReader;

const LIMIT: u64 = 100;

impl Parts for LimitedReader {
    fn reader(&self, database: Database) -> Box<dyn Reader> {
        Box::new(Limited(database))
    }
}

struct Limited(Database);

#[async_trait]
impl Reader for Limited {
    async fn rows(&self, sink: &mut RowSink<'_>) -> Result<(u64, bool), DatabaseError> {
        let mut passed = 0;
        let limited = &mut |row: Row<'_>| {
            passed += 1;
            if passed <= LIMIT { sink(row) } else { Ok(()) }
        };
        self.0.rows(limited).await
    }

    async fn witness(&self, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        self.0.witness(sink).await
    }

    fn count_query(&self) -> String {
        self.0.count_query()
    }

    fn server(&self) -> Option<String> {
        self.0.server()
    }

    async fn software(&self) -> Result<Option<String>, DatabaseError> {
        self.0.software().await
    }
}

/// Reads as of the moment at which the first rows were there.
pub(super) struct LaggingReader;

impl Parts for LaggingReader {
    fn reader(&self, database: Database) -> Box<dyn Reader> {
        Box::new(Lagging::behind(database))
    }
}

/// Between two looks for the first rows.
const EVERY: Duration = Duration::from_millis(20);

struct Lagging {
    primary: Arc<Database>,
    replica: Mutex<Replica>,
}

struct Replica {
    /// Ends with the moment, or with the reader.
    following: JoinSet<Result<Moment, DatabaseError>>,
    stopped_at: Option<Moment>,
}

impl Lagging {
    fn behind(primary: Database) -> Self {
        let (primary, mut following) = (Arc::new(primary), JoinSet::new());
        following.spawn(first_rows(primary.clone()));
        Lagging { primary, replica: Mutex::new(Replica { following, stopped_at: None }) }
    }

    /// That of the first rows; where none ever came, now.
    async fn moment<'a>(&self, replica: &'a mut Replica) -> Result<&'a mut Moment, DatabaseError> {
        let moment = match (replica.stopped_at.take(), replica.following.try_join_next()) {
            (Some(moment), _) => moment,
            (None, Some(copied)) => copied.expect("a look for rows does not panic")?,
            (None, None) => self.primary.moment().await?,
        };
        Ok(replica.stopped_at.insert(moment))
    }
}

/// A moment at which some rows are there, and others are still to come.
async fn first_rows(primary: Arc<Database>) -> Result<Moment, DatabaseError> {
    while primary.rows_in_range().await? == 0 {
        tokio::time::sleep(EVERY).await;
    }
    primary.moment().await
}

#[async_trait]
impl Reader for Lagging {
    async fn rows(&self, sink: &mut RowSink<'_>) -> Result<(u64, bool), DatabaseError> {
        let mut replica = self.replica.lock().await;
        let moment = self.moment(&mut replica).await?;
        let marker = self.primary.commit_marker().await?;
        self.primary.rows_at(moment, marker, sink).await
    }

    async fn witness(&self, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        let mut replica = self.replica.lock().await;
        let moment = self.moment(&mut replica).await?;
        self.primary.witness_at(moment, sink).await
    }

    fn count_query(&self) -> String {
        self.primary.count_query()
    }

    fn server(&self) -> Option<String> {
        self.primary.server()
    }

    async fn software(&self) -> Result<Option<String>, DatabaseError> {
        self.primary.software().await
    }
}
