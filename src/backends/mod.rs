//! The target: brought up, controlled, taken down.
//!
//! In: a [`TargetPlan`](crate::plan::TargetPlan). Out: a [`Deployment`], ready, or an [`UpError`]: the
//! laboratory broke before the first request. What a backend can do to its target is asked for as a trait
//! ([`ProcessControl`]); a backend that lacks it says so at `check`, not in the middle of a run.

pub mod database_control;
mod ending;
pub mod endpoints;
mod in_process;
pub mod kept;
mod prober;
pub mod process;
pub mod proxy;
pub mod redis_control;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Offset;
use crate::plan::{Backend, Database, DatabaseUrl, Lab, PausePoint, Plan, Slot};
pub use crate::process::ProcessIdentity;
use crate::stop::Stop;
pub use database_control::DatabaseControl;
pub use endpoints::{Endpoint, Endpoints};
pub use redis_control::RedisControl;

/// One life of one instance: the replacement in the same slot is another instance. Ids count from 0 in starting
/// order and index the roster in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub u16);

impl InstanceId {
    /// In a ledger record: the operation was given to no instance.
    pub const NONE: InstanceId = InstanceId(u16::MAX);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    /// `api-2.1`: slot, then its how-manieth life, from 1. The service signs rows and receipts with it.
    pub name: String,
    pub slot: Slot,
    /// Its own one; `None`: it lives inside mxctl, and nothing that the kernel says of a process is about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIdentity>,
    pub addr: SocketAddr,
}

impl Instance {
    /// Whether its own process is there.
    pub fn is_alive(&self) -> bool {
        self.process.is_some_and(ProcessIdentity::is_alive)
    }

    /// Whether its own process is gone.
    pub fn is_gone(&self) -> bool {
        self.process.is_some_and(|process| !process.is_alive())
    }

    /// Whether its own process was stopped by a signal.
    pub fn is_frozen(&self) -> bool {
        self.process.is_some_and(ProcessIdentity::is_frozen)
    }

    /// The state letter of its own process.
    pub fn state(&self) -> Option<char> {
        self.process.and_then(ProcessIdentity::state)
    }

    /// For whoever must have one.
    pub fn own_process(&self) -> Result<ProcessIdentity, ControlError> {
        self.process.ok_or_else(|| ControlError::NoProcess { name: self.name.clone() })
    }

    /// `pid 4711`.
    pub fn process_in_words(&self) -> String {
        self.process.map_or_else(|| "no process of its own".to_owned(), |process| format!("pid {}", process.pid))
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub at: Offset,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// Where the oracle looks, without the service under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    pub database: DatabaseSource,
    pub queue: QueueSource,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DatabaseSource {
    /// SQLite.
    File(PathBuf),
    Server {
        database: Database,
        url: DatabaseUrl,
    },
}

impl std::fmt::Display for DatabaseSource {
    /// Without a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DatabaseSource::File(path) => path.display().fmt(f),
            DatabaseSource::Server { url, .. } => url.fmt(f),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum QueueSource {
    /// Redis, and the list's key: every other key of the buffer begins with it.
    Redis { url: String, key: String },
    /// Buffers in the instances' memory: nobody but they can say what is in them.
    Private,
}

/// Brings a plan's target up, ready, or leaves nothing behind; or attaches to the lab that is up already.
pub async fn up(plan: &Plan, site: process::Site, stop: &Stop) -> Result<Box<dyn Deployment>, UpError> {
    match (&plan.lab, plan.target.backend) {
        (Lab::Kept { name, folder }, _) => {
            let lab = kept::LabFolder::at(name, folder);
            Ok(Box::new(kept::Attached::to(&lab, &plan.target, site, stop).await?))
        }
        (Lab::Own, Backend::Process) => process::Processes::up(&plan.target, site, stop).await,
        (Lab::Own, Backend::InProcess) => in_process::InProcess::up(&plan.target, site, stop).await,
    }
}

#[async_trait]
pub trait Deployment: Send + Sync {
    fn endpoints(&self) -> &Endpoints;
    /// As they are now: after a failover the queue is in another server.
    fn sources(&self) -> Sources;
    /// Every instance that ever lived in this run, by id.
    fn roster(&self) -> Vec<Instance>;
    /// The instances that are alive now.
    fn alive(&self) -> Vec<Instance>;
    fn processes(&self) -> Option<&dyn ProcessControl>;
    /// The Redis that may be struck; `None`: there is none, or it is not the run's own.
    fn redis(&self) -> Option<&dyn RedisControl> {
        None
    }
    /// The database that may be struck; `None`: it is not the run's own.
    fn database(&self) -> Option<&dyn DatabaseControl> {
        None
    }
    /// Ends everything that the run started: SIGTERM, and SIGKILL after the grace. Idempotent. A lab that was up before
    /// the run is made whole instead, and stays.
    async fn down(&self, grace: Duration) -> Result<(), DownError>;
    /// What it did of itself on its way down, in sentences.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Processes that can be started, held, frozen and killed one by one.
#[async_trait]
pub trait ProcessControl: Send + Sync {
    /// Who fills the slot now.
    fn in_slot(&self, slot: &Slot) -> Option<Instance>;
    /// Starts the slot's next life and waits until readiness says so.
    async fn start(&self, slot: &Slot) -> Result<Instance, ControlError>;
    /// Sends a signal, after comparing the process's birth.
    fn signal(&self, id: InstanceId, signal: nix::sys::signal::Signal) -> Result<(), ControlError>;
    /// Waits until the process has stopped (state `T`) after a SIGSTOP.
    async fn frozen(&self, id: InstanceId, within: Duration) -> Result<(), ControlError>;
    /// Waits for the end of the process and reaps it; `None` when it outlives `within`.
    async fn exited(&self, id: InstanceId, within: Duration) -> Result<Option<Exit>, ControlError>;
    /// Waits for the next readiness probe of this instance to begin and end; the answer is its result.
    async fn probed(&self, id: InstanceId, within: Duration) -> Result<bool, ControlError>;
    /// From now on the next task that comes to `point` is held there.
    async fn hold(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError>;
    /// Waits until a task is held at `point`: how many tasks, or `None` when none came within the time.
    async fn held(&self, id: InstanceId, point: PausePoint, within: Duration) -> Result<Option<u64>, ControlError>;
    /// Lets held tasks go, and holds no further ones.
    async fn release(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError>;
}

/// A target at rest: load stopped, faults healed, nothing moving, or the deadline passed. Only
/// `settle::until_quiet` makes one, and only from one of these is a final state read.
pub struct Settled {
    deployment: Box<dyn Deployment>,
    outcome: SettleOutcome,
}

impl Settled {
    pub(crate) fn new(deployment: Box<dyn Deployment>, outcome: SettleOutcome) -> Self {
        Settled { deployment, outcome }
    }

    pub fn deployment(&self) -> &dyn Deployment {
        &*self.deployment
    }

    pub fn outcome(&self) -> &SettleOutcome {
        &self.outcome
    }

    /// Says what a person should know of it.
    pub async fn down(self, grace: Duration) -> Result<Vec<String>, DownError> {
        self.deployment.down(grace).await?;
        Ok(self.deployment.remarks())
    }
}

/// How the wait for quiet ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettleOutcome {
    pub end: SettleEnd,
    /// From the end of the load to the last movement seen.
    pub drain: Duration,
    /// From the end of the load to the end of the wait.
    pub waited: Duration,
    /// Whether the queue probe ever saw anything in this run: one that never did proves nothing by "empty".
    pub probe_saw_something: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SettleEnd {
    /// Nothing anywhere, and nothing moved for the quiet time.
    Quiet,
    /// Something is left, and nothing has moved until the deadline: progress has stopped.
    Stuck,
    /// Still draining at the hard cap.
    Undrained,
    /// A probe failed until the deadline: nobody knows.
    Blind,
    /// The second signal ended the wait.
    Aborted,
}

#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error("find {what}: {why}; {remedy}")]
    Missing { what: String, why: String, remedy: String },
    #[error("start {name}: {why} (log: {log})")]
    Start { name: String, why: String, log: PathBuf },
    #[error("prepare {path}: {source}")]
    Files { path: PathBuf, source: std::io::Error },
    #[error("attach to the lab `{lab}`: {why}; {remedy}")]
    Attach { lab: String, why: String, remedy: String },
    #[error("write the journal: {0}")]
    Journal(#[from] std::io::Error),
    #[error("bring the target up: interrupted")]
    Interrupted,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("find an instance in {0}: the slot is empty")]
    EmptySlot(String),
    #[error("signal {name}: its process is gone")]
    Gone { name: String },
    #[error("find the process of {name}: it has none of its own")]
    NoProcess { name: String },
    #[error("signal {name}: {source}")]
    Signal { name: String, source: nix::Error },
    #[error("{what}: not within {within:?}")]
    TimedOut { what: String, within: Duration },
    #[error("talk to {name} over its control socket: {why}")]
    Socket { name: String, why: String },
    /// As the keeper of the lab put it.
    #[error("{0}")]
    Keeper(String),
    #[error("start an instance: {0}")]
    Start(String),
    #[error("tell Redis `{what}`: {why}")]
    Tell { what: String, why: String },
    #[error("find a Redis that may be struck: this target has none of the run's own")]
    NoRedis,
    #[error("find a replica of Redis: the plan has none")]
    NoReplica,
    #[error("find a Redis of the run's own at {0}: there is none")]
    NoRedisAt(std::net::SocketAddr),
    #[error("tell the database `{what}`: {why}")]
    TellDatabase { what: String, why: String },
    #[error("find a database that may be struck: this target has none of the run's own")]
    NoDatabase,
    #[error("find a server: the database is a file")]
    NoServer,
    #[error("find a file: the database is a server")]
    NoFile,
    #[error("find a file system of the database's own: the plan has none")]
    NoRoom,
    #[error("find a proxy in front of it: the plan has none")]
    NoProxy,
    #[error("end what was started for a step: {0}")]
    Left(String),
    #[error("{what}: the run was interrupted")]
    Interrupted { what: String },
    #[error("come to its end: the run was told to stop at once")]
    Aborted,
    #[error("write the journal: {0}")]
    Journal(#[from] std::io::Error),
}

#[derive(Debug, thiserror::Error)]
#[error("take the target down: {}", .0.join("; "))]
pub struct DownError(pub Vec<String>);
