//! The state, read from the database and the queues themselves, never through the service under test.
//!
//! In: a [`Settled`] deployment, or, at a checkpoint, one that is struck. Out: a
//! [`FinalState`], which says per source what it could not read: a gap is evidence that is missing, not an error.

mod applied;
pub mod baseline;
mod connection;
pub mod counters;
pub mod cpu;
pub mod database;
pub mod depth;
mod dialect;
pub mod exposition;
mod lines;
pub mod queue;
mod reader;
mod rows;
mod sizes;
mod sightings;
mod sorter;
mod store;
pub mod table;

use std::io;

use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError, Piece};
use crate::backends::{Deployment, QueueSource, SettleOutcome, Settled};
use crate::clock::{Offset, RunClock};
use crate::plan::Plan;
pub use applied::Applied;
pub use baseline::Baseline;
use counters::Scraper;
use database::{Database, DatabaseError};
use queue::Queue;
pub use reader::Reader;
pub use rows::{Row, RowRecord, RowSet};
pub use sightings::{Sighting, SightingKind, SightingRecord, SightingWriter, WitnessLog};
use table::{Table, TableError, TableWriter};

/// What a source gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Source<T> {
    Read(T),
    /// It exists and could not be read, or what was read proved unsound.
    Gap {
        why: String,
    },
    /// This target has no such source: what rests on it is "not observable".
    Absent {
        why: String,
    },
}

impl<T> Source<T> {
    /// The same, of something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Source<U> {
        match self {
            Source::Read(t) => Source::Read(change(t)),
            Source::Gap { why } => Source::Gap { why },
            Source::Absent { why } => Source::Absent { why },
        }
    }

    pub fn read(&self) -> Option<&T> {
        match self {
            Source::Read(t) => Some(t),
            _ => None,
        }
    }

    /// Why there is nothing to read.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Source::Read(_) => None,
            Source::Gap { why } | Source::Absent { why } => Some(why),
        }
    }
}

/// What is in the broker. Private buffers have no such state: nobody but their instances can say what is in them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    pub items: Vec<QueuedItem>,
    /// Tasks that the push script counted as taken, since the run began.
    pub accepted: u64,
    /// Keys of whatever kind that the server holds; `None`: it was not asked.
    #[serde(default)]
    pub keys: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedItem {
    /// What could be read of its payload: (key, seq, preset).
    pub task: Option<(u64, u64, u8)>,
    pub place: Place,
    /// Whose lease it is under: an instance's name.
    pub holder: Option<String>,
    /// Why it was dead-lettered.
    pub cause: Option<String>,
    /// Of a dead letter: its payload's amounts, in hundredths, in the order of
    /// [`content::COLUMNS`](crate::content::COLUMNS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<[i64; 5]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Ready,
    Leased,
    Delayed,
    Dead,
}

impl Place {
    pub fn word(self) -> &'static str {
        match self {
            Place::Ready => "ready",
            Place::Leased => "leased",
            Place::Delayed => "delayed",
            Place::Dead => "dead-letter queue",
        }
    }
}

/// What an instance said of itself at the end (`/metrics`): the only window into a private buffer, and otherwise a
/// cross-check of what was read from the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub instance: String,
    /// Ready, leased and delayed tasks in its own memory; 0 for a shared buffer.
    pub private_buffer: u64,
    pub processed_tasks: u64,
    pub failed_attempts: u64,
    /// How far its own clock was ahead of mxctl's, in milliseconds; `None`: it told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
}

/// Everything that is known of the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalState {
    pub settle: SettleOutcome,
    pub rows: Source<RowSet>,
    pub witness: Source<WitnessLog>,
    pub queue: Source<QueueState>,
    pub counters: Source<Vec<Counters>>,
}

/// A read-back while a fault lasts: which write of which key the database had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The stop it belongs to.
    pub stop: String,
    pub at: Offset,
    pub applied: Source<Applied>,
    /// What each living instance and the broker said of the buffer's size, side by side.
    pub sizes: Vec<BufferSize>,
}

/// `buffer_size` as one instance reports it, between two looks at the buffer itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BufferSize {
    pub instance: String,
    /// The label `scope`: `shared` or `instance`.
    pub scope: String,
    pub reported: u64,
    /// Ready tasks in the shared buffer before and after; `None`: it is private.
    pub around: Option<(u64, u64)>,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("write down what was read: {0}")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("read again what was written down: {0}")]
    Table(#[from] TableError),
}

/// Reads everything that can be read of this run, which began at `before`. What cannot is a gap, not an error. The
/// long tables go straight into the run's folder; [`FinalState::store`] puts the rest beside them.
pub async fn read(
    settled: &Settled,
    reader: &dyn Reader,
    (plan, before): (&Plan, &Baseline),
    archive: &Archive,
) -> FinalState {
    let deployment = settled.deployment();
    let (rows, witness) = tables(reader, archive).await;
    FinalState {
        settle: settled.outcome().clone(),
        rows,
        witness,
        queue: read_queue(&deployment.sources().queue).await.map(|queue| before.out_of_queue(plan.run, queue)),
        counters: read_counters(deployment).await.map(|counters| before.out_of_counters(counters)),
    }
}

/// The two long tables, side by side.
pub async fn tables(reader: &dyn Reader, archive: &Archive) -> (Source<RowSet>, Source<WitnessLog>) {
    let (rows, witness) = tokio::join!(read_rows(reader, archive), read_witness(reader, archive));
    let witness = match witness {
        Ok(Some(log)) => Source::Read(log),
        Ok(None) => Source::Absent { why: "the database keeps no witness in this run".into() },
        Err(e) => Source::Gap { why: e.to_string() },
    };
    (source(rows), witness)
}

async fn read_rows(reader: &dyn Reader, archive: &Archive) -> Result<RowSet, ReadError> {
    let mut table = TableWriter::begin(archive.aside(Piece::Rows)?)?;
    let (counted, marker_seen) = reader.rows(&mut |row| table.row(&row)).await?;
    archive.keep(Piece::Rows, table.finish()?)?;
    let rows = Table::open(&archive.place(Piece::Rows))?;
    let (count_query, server) = (reader.count_query(), reader.server());
    Ok(RowSet { rows, counted, marker_seen, count_query, server, software: reader.software().await? })
}

/// `None`: there is no witness.
async fn read_witness(reader: &dyn Reader, archive: &Archive) -> Result<Option<WitnessLog>, ReadError> {
    let mut log = SightingWriter::begin(archive.aside(Piece::Witness)?, archive.root())?;
    if !reader.witness(&mut |sighting| log.sighting(&sighting)).await? {
        return Ok(None);
    }
    archive.keep(Piece::Witness, log.finish()?)?;
    Ok(Some(WitnessLog { sightings: Table::open(&archive.place(Piece::Witness))? }))
}

/// Reads, while a fault lasts, what the database has, and what everyone who can answer says of the buffer's size.
pub async fn checkpoint(deployment: &dyn Deployment, plan: &Plan, stop: &str, clock: &RunClock) -> Checkpoint {
    let database = Database::of_run(&deployment.sources().database, plan);
    // The time of the beginning: a row that is committed while we read may be seen, one that was not yet
    // acknowledged at this moment need not be there.
    let at = clock.now();
    let applied = source(database.applied().await);
    Checkpoint { stop: stop.to_owned(), at, applied, sizes: sizes::read(deployment).await }
}

fn source<T, E: std::fmt::Display>(read: Result<T, E>) -> Source<T> {
    read.map_or_else(|e| Source::Gap { why: e.to_string() }, Source::Read)
}

async fn read_queue(queue: &QueueSource) -> Source<QueueState> {
    match queue {
        QueueSource::Private => Source::Absent { why: "the buffers are in the instances' memory".into() },
        QueueSource::Redis { url, key } => match Queue::new(url, key) {
            Ok(mut queue) => source(queue.read().await),
            Err(e) => Source::Gap { why: e.to_string() },
        },
    }
}

async fn read_counters(deployment: &dyn Deployment) -> Source<Vec<Counters>> {
    let scraper = Scraper::default();
    let mut all = Vec::new();
    for instance in deployment.alive() {
        match scraper.counters(&instance).await {
            Ok(counters) => all.push(counters),
            Err(e) => return Source::Gap { why: e.to_string() },
        }
    }
    Source::Read(all)
}
