//! The state, read from the database and the queues themselves, never through the service under test.
//!
//! In: a [`Settled`] deployment, or, at a checkpoint, one that is struck. Out: a
//! [`FinalState`], which says per source what it could not read: a gap is evidence that is missing, not an error.

mod applied;
pub mod baseline;
pub mod counters;
pub mod cpu;
pub mod database;
pub mod depth;
pub mod exposition;
pub mod queue;
pub mod rows;
mod sizes;

use serde::{Deserialize, Serialize};

use crate::backends::{Deployment, QueueSource, SettleOutcome, Settled};
use crate::clock::{Offset, RunClock};
use crate::plan::Plan;
pub use applied::Applied;
pub use baseline::Baseline;
use counters::Scraper;
use database::Database;
use queue::Queue;

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

/// One row of `equipment_expectation_summary`. Money in hundredths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub key: u64,
    pub preset: u8,
    pub seq: u64,
    /// black cube, red cube, additional cube, starforce, total, in the order of
    /// [`content::COLUMNS`](crate::content::COLUMNS).
    pub costs: [i64; 5],
    pub written_by: String,
}

/// The rows of the run's key range, ascending by key, then preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RowSet {
    pub rows: Vec<Row>,
    /// What `count(*)` said in the same transaction.
    pub counted: u64,
    /// The marker that mxctl committed on the primary after settling was visible to the reader.
    pub marker_seen: bool,
    /// The query that a person can run by hand: how many rows the write-once keys have.
    pub count_query: String,
}

/// What a trigger, or the service in the same transaction, logged of one upsert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Rises with each attempted upsert.
    pub order: u64,
    pub key: u64,
    pub preset: u8,
    /// The row's seq before, where there was a row.
    pub old_seq: Option<u64>,
    pub new_seq: u64,
    pub written_by: String,
    pub kind: SightingKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SightingKind {
    /// An upsert was attempted (it may have lost the version test).
    Attempted,
    /// A worker dropped it in a batch, for a newer one of the same key and preset.
    Dropped,
}

/// What is in the broker. Private buffers have no such state: nobody but their instances can say what is in them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    pub items: Vec<QueuedItem>,
    /// Tasks that the push script counted as taken, since the run began.
    pub accepted: u64,
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
}

/// Everything that is known of the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalState {
    pub settle: SettleOutcome,
    pub rows: Source<RowSet>,
    pub witness: Source<Vec<Sighting>>,
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

/// Reads everything that can be read of this run, which began at `before`. What cannot is a gap, not an error.
pub async fn read(settled: &Settled, plan: &Plan, before: &Baseline) -> FinalState {
    let deployment = settled.deployment();
    let database = Database::new(&deployment.sources().database, plan.run, plan.load.hot_keys);
    FinalState {
        settle: settled.outcome().clone(),
        rows: source(database.rows().await),
        witness: match database.witness().await {
            Ok(Some(log)) => Source::Read(log),
            Ok(None) => Source::Absent { why: "the database keeps no witness in this run".into() },
            Err(e) => Source::Gap { why: e.to_string() },
        },
        queue: read_queue(&deployment.sources().queue).await.map(|queue| before.out_of_queue(plan.run, queue)),
        counters: read_counters(deployment).await.map(|counters| before.out_of_counters(counters)),
    }
}

/// Reads, while a fault lasts, what the database has, and what everyone who can answer says of the buffer's size.
pub async fn checkpoint(deployment: &dyn Deployment, plan: &Plan, stop: &str, clock: &RunClock) -> Checkpoint {
    let database = Database::new(&deployment.sources().database, plan.run, plan.load.hot_keys);
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
