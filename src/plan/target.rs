//! The target of a plan: the service that is brought up, and what stands around it.
//!
//! Every instance fills a [`Slot`], and the one that replaces it fills the same. Instances share one database and, with
//! a shared [`Strategy`], one Redis; workers take tasks from the buffer as [`WorkerPlan`] says, and readiness is asked
//! for as [`ProbePlan`] does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Database, DatabaseUrl};
use crate::scenario::Shift;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetPlan {
    pub backend: Backend,
    pub strategy: Strategy,
    pub database: Database,
    /// One that somebody else started; `None`: the run starts its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<DatabaseUrl>,
    /// Every place that an instance fills, in starting order: `worker-1`, `api-1`, … or `all-1`, ….
    pub slots: Vec<Slot>,
    pub worker: WorkerPlan,
    pub probe: ProbePlan,
    pub redis: RedisPlan,
    #[serde(default, skip_serializing_if = "DatabaseSetup::is_bare")]
    pub database_setup: DatabaseSetup,
    /// Database triggers log every attempted upsert.
    pub witness: bool,
    /// SIGTERM → SIGKILL where the run takes the target down, and the default of a step.
    pub grace: Duration,
    /// A deadline for every "up and ready" wait.
    pub ready_within: Duration,
    /// A bug that is seeded into the service, so that mxctl proves itself: set by the selftest alone. Such a run is never
    /// a PASS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeded_bug: Option<String>,
    /// Nodes whose own clock is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock_offsets: Vec<ClockOffset>,
}

impl TargetPlan {
    /// `worker-2 +30s`; `None`: every clock is right.
    pub fn clocks_in_words(&self) -> Option<String> {
        let told = |clock: &ClockOffset| format!("{} {}", clock.slot, Shift(clock.ahead_ms));
        let clocks: Vec<String> = self.clock_offsets.iter().map(told).collect();
        (!clocks.is_empty()).then(|| clocks.join(", "))
    }
}

/// The clock of whoever fills this slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    pub slot: Slot,
    /// Of its machine's; below 0: it is behind.
    pub ahead_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Every instance is a child process.
    Process,
    /// Every instance is a thread of mxctl itself: nobody can be stopped, and generator and service share one process.
    InProcess,
}

impl Backend {
    /// The word in scenario files and flags.
    pub fn word(self) -> &'static str {
        match self {
            Backend::Process => "process",
            Backend::InProcess => "in-process",
        }
    }
}

/// What `buffer.strategy` becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    InMemory,
    Redis,
}

impl Strategy {
    pub const ALL: [Strategy; 2] = [Strategy::InMemory, Strategy::Redis];

    /// The word in configuration files and flags.
    pub fn word(self) -> &'static str {
        match self {
            Strategy::InMemory => "in-memory",
            Strategy::Redis => "redis",
        }
    }

    /// The name that the ADR gives to a service with this buffer.
    pub fn generation(self) -> &'static str {
        match self {
            Strategy::InMemory => "V4",
            Strategy::Redis => "V5",
        }
    }

    /// In the path of requests. The service does not care: its configuration decides, never the URL.
    pub fn api_version(self) -> &'static str {
        match self {
            Strategy::InMemory => "v4",
            Strategy::Redis => "v5",
        }
    }

    /// Whether every instance sees one buffer.
    pub fn shared(self) -> bool {
        self != Strategy::InMemory
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Answers requests.
    Api,
    /// Moves tasks from the buffer to the database.
    Worker,
    /// Both, in one process: the only role of a buffer in memory.
    All,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Api => "api",
            Role::Worker => "worker",
            Role::All => "all",
        }
    }

    pub fn answers_requests(self) -> bool {
        self != Role::Worker
    }

    pub fn writes_rows(self) -> bool {
        self != Role::Api
    }
}

/// A place that one instance fills at a time; the instance that replaces it fills the same slot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    pub role: Role,
    /// From 1.
    pub number: u16,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.role.word(), self.number)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerPlan {
    pub batch: u32,
    pub flush_interval: Duration,
    pub lease: Duration,
    pub redrive_scan: Duration,
    /// Attempts before the dead-letter queue.
    pub max_attempts: u32,
    /// The longest nack back-off.
    pub backoff_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbePlan {
    pub interval: Duration,
    pub timeout: Duration,
    /// How long the service keeps accepting after its readiness went off.
    pub endpoint_lag: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisPlan {
    /// `always` | `everysec` | `no`.
    pub appendfsync: String,
    #[serde(default, skip_serializing_if = "Persistence::is_aof")]
    pub persistence: Persistence,
    /// Whether the instances reach it through a proxy that can spoil what passes: where a step of the time line does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
    /// Whether it has a replica: where a step of the time line makes that one the primary.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replicated: bool,
}

/// What the time line needs around a private database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSetup {
    /// The instances reach it through a proxy that can spoil what passes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
    /// The bytes of a small file system that its data is in; 0: it is among other files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub room_bytes: u64,
    /// How many of them the load may take.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub load_bytes: u64,
}

impl DatabaseSetup {
    fn is_bare(&self) -> bool {
        *self == DatabaseSetup::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a Redis has on its disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// An append-only file.
    #[default]
    Aof,
    /// Nothing: neither a file of commands nor snapshots.
    None,
}

impl Persistence {
    fn is_aof(&self) -> bool {
        *self == Persistence::Aof
    }
}
