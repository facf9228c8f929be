//! The buffer between an answer and the database: the only thing that differs between V4, V5 and V6.
//!
//! `offer` takes all presets of a request or none; `poll` leases and never removes; `ack` ends a lease after the
//! database commit. A receipt belongs to one *delivery*: a stale one changes nothing. The broker owns the attempt
//! count.
//!
//! # Adding a strategy
//! One new file (or folder) that implements [`WriteBackBufferStrategy`], and its line in [`STRATEGIES`]; beside it only
//! declarations: the module, a [`BufferType`], a section of [`config`] where it has settings. The suites in
//! `tests/strategies.rs` (the buffer alone) and `tests/conformance` (over every database, under kills) run over that
//! list; `Broker::start` in `tests/lab/strategies.rs` gives it its server.

pub mod config;
mod dead_letter;
mod in_memory;
mod receipt;
pub(crate) mod redis;
mod registry;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

pub use self::redis::RedisBufferStrategy;
use crate::task::ExpectationWriteTask;
pub use dead_letter::DeadLetter;
pub use in_memory::InMemoryBufferStrategy;
pub use receipt::Receipt;
pub use registry::{STRATEGIES, Strategy, StrategyContext, StrategyError, build};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BufferType {
    InMemory,
    RedisList,
}

/// What a crash of what may cost an accepted task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A crash of this process.
    Volatile,
    /// A crash of the broker, or of its host.
    Received,
    /// The loss of the broker's disk: it was fsynced.
    Persisted,
    /// The loss of more than n − 1 copies.
    Replicated,
}

/// The answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    Accepted {
        durability: Durability,
    },
    /// Full in count, bytes or wait. Not stored.
    Backpressure {
        retry_after: Duration,
    },
    /// Not stored.
    ShuttingDown,
    /// Surely not stored.
    Unavailable {
        why: String,
    },
    /// Nobody can know (a time-out or a broken connection towards the buffer).
    Indeterminate {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub receipt: Receipt,
    pub task: ExpectationWriteTask,
    /// From 1.
    pub attempt: u32,
}

/// Why a delivery is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The database is away: not the task's fault, the attempt count stays.
    Unavailable,
    /// The task itself failed.
    Failed(String),
}

/// Tasks, by place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub ready: u64,
    pub leased: u64,
    pub delayed: u64,
    pub dead: u64,
    /// Of the ready ones.
    pub oldest_age: Option<Duration>,
    /// Whether the figures are counts or estimates.
    pub exact: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Every instance sees the same buffer.
    pub shared: bool,
    /// Accepted tasks survive this process.
    pub durable: bool,
    /// First in, first out, as long as nothing is redelivered.
    pub ordered: bool,
}

/// The buffer could not be asked. An error differs from "empty".
#[derive(Debug, thiserror::Error)]
#[error("{action} in the {buffer} buffer: {why}")]
pub struct BufferError {
    pub action: &'static str,
    pub buffer: &'static str,
    pub why: String,
}

#[async_trait]
pub trait WriteBackBufferStrategy: Send + Sync {
    /// All tasks of one request, or none.
    async fn offer(&self, tasks: Vec<ExpectationWriteTask>) -> Offered;
    /// Leases at most `max` tasks, oldest first.
    async fn poll(&self, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError>;
    /// Returns when at least `at_least` tasks are ready, or after `limit`.
    async fn wait_ready(&self, at_least: usize, limit: Duration);
    /// Ends leases; call it only after the database commit. Says how many were still valid.
    async fn ack(&self, receipts: &[Receipt]) -> Result<u64, BufferError>;
    /// Gives deliveries back, to be ready again after `delay`, or dead after too many attempts.
    async fn nack(&self, receipts: &[Receipt], delay: Duration, cause: &Cause) -> Result<u64, BufferError>;
    /// Prolongs leases to `lease` from now.
    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError>;
    /// Makes expired leases and due delays ready again, by the broker's clock. Says how many.
    async fn redrive(&self) -> Result<u64, BufferError>;
    async fn size(&self) -> Result<Size, BufferError>;
    /// At most `max` of the tasks that were given up, oldest first: for a person who wants to know why.
    async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, BufferError>;
    /// Whether the buffer can be reached now: readiness asks.
    async fn ping(&self) -> Result<(), BufferError>;
    fn buffer_type(&self) -> BufferType;
    fn capabilities(&self) -> Capabilities;
    /// What an offer accepted now would promise, as far as is known.
    fn durability(&self) -> Durability;
    /// Refuses offers from now on.
    fn close(&self);
}
