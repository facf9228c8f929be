//! What a scenario means: every default filled in, every contradiction refused, nothing optional left.
//!
//! In: a [`Scenario`](crate::scenario::Scenario) and what the caller knows ([`Given`]: run number, seed).
//! Out: a [`Plan`], the only thing that the later stages read. Two resolves of one scenario, seed and run number
//! are equal byte by byte. `Plan::resolve` is in `resolve.rs`; `explain.rs` puts a plan into words.

mod database;
pub mod explain;
mod load;
mod reach;
mod resolve;
mod sabotage;
mod shape;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::disturbance::{Disturbance, Subject};
use crate::scenario::Shift;
pub use database::{Database, DatabaseUrl};
pub use load::{Arrivals, LoadPlan, Mix, ReadKeys};
pub use reach::Reach;
pub use resolve::{Given, KeptTarget, scenario_schema};
pub use sabotage::Sabotage;
pub use shape::{Shape, Stage};
pub use url::{HttpRequest, Protocol, Statuses, Trust, UrlTarget};

/// A resolved run. `plan.json` in a run's folder is this, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub name: String,
    pub run: RunKey,
    #[serde(default, skip_serializing_if = "Lab::is_own")]
    pub lab: Lab,
    /// Where the load goes in place of `target`, which then says nothing: load alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlTarget>,
    pub target: TargetPlan,
    pub load: LoadPlan,
    /// In the order of the file. A step starts at the later of its time and the end of the one before.
    pub timeline: Vec<StepPlan>,
    pub settle: SettlePlan,
    /// What the scenario claims, beyond the checks that every run makes.
    pub claims: Vec<Claim>,
    pub gates: Vec<Gate>,
    /// What the scenario asked for and the plan left out, and what its figures are not, in sentences: `explain` and the
    /// report print them.
    pub notes: Vec<String>,
    /// No PASS unless a selftest of this executable has caught a seeded bug with what this plan does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_selftest: bool,
    /// What is done to mxctl itself, so that it proves itself: set by tests and the selftest alone. Such a run is never a
    /// PASS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sabotage: Option<Sabotage>,
}

impl Plan {
    /// Every slot that is ever filled: those of the start, then those that the time line adds.
    pub fn every_slot(&self) -> impl Iterator<Item = &Slot> {
        let added = self.timeline.iter().flat_map(|step| step.starts.iter().map(|start| &start.slot));
        self.target.slots.iter().chain(added)
    }

    pub fn load_end(&self) -> Duration {
        self.load.duration()
    }

    /// Every disturbance of every step, in order.
    pub fn disturbances(&self) -> impl Iterator<Item = &DisturbancePlan> {
        self.timeline.iter().filter_map(|step| step.disturbance.as_ref())
    }

    /// Every stop of every step, in order: judging walks these, not what happened.
    pub fn stops(&self) -> impl Iterator<Item = &StopPlan> {
        self.timeline.iter().flat_map(|step| step.stops.iter())
    }
}

/// Whose lab a run works on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lab {
    /// It brings one up for itself, and takes it down.
    #[default]
    Own,
    /// One that `mxctl testbed up` (or `--keep`) left: the run attaches to it, and leaves it as it found it.
    Kept { name: String, folder: PathBuf },
}

impl Lab {
    fn is_own(&self) -> bool {
        *self == Lab::Own
    }
}

/// What makes a run's keys and its operations its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKey {
    /// Keys are `number << 32 | index`; at most 2^31 − 1, so that a key fits a signed 64-bit column.
    pub number: u32,
    pub seed: u64,
}

impl RunKey {
    pub fn key(self, index: u32) -> u64 {
        (u64::from(self.number) << 32) | u64::from(index)
    }

    /// First and last key that can belong to this run, both inclusive.
    pub fn key_range(self) -> (u64, u64) {
        (self.key(0), self.key(u32::MAX))
    }

    /// The upper half of a run's keys is for poison, so that a key says whether it is planned as poison.
    pub const KEYS_WITHOUT_POISON: u32 = 1 << 31;

    pub fn first_poison(self) -> u64 {
        self.key(Self::KEYS_WITHOUT_POISON)
    }
}

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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    /// Its place in the file, from 1, and its kind: `1:rolling-update`.
    pub id: String,
    pub kind: StepKind,
    pub at: Duration,
    /// What the step waits for once its time has come; `None`: nothing.
    pub when: Option<Condition>,
    /// Slots that it fills, before it stops any.
    pub starts: Vec<StartPlan>,
    pub stops: Vec<StopPlan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disturbance: Option<DisturbancePlan>,
}

/// What must be seen in the target before a step begins: `buffer_size >= 200`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub metric: ConditionMetric,
    pub at_least: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionMetric {
    /// Ready tasks in the buffer, over all its places.
    BufferSize,
}

impl ConditionMetric {
    /// The word in scenario files.
    pub fn word(self) -> &'static str {
        match self {
            ConditionMetric::BufferSize => "buffer_size",
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} >= {}", self.metric.word(), self.at_least)
    }
}

/// One slot filled that was empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartPlan {
    /// `1:scale/api-2`.
    pub id: String,
    pub slot: Slot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Each instance of the roles in turn: stopped, and replaced by a new one.
    RollingUpdate,
    /// SIGKILL of the named slots, without notice; the slot is filled again afterwards.
    Kill,
    /// SIGTERM to the named slots; the slot is filled again once its process has ended.
    Terminate,
    /// SIGSTOP to the named slots, long enough that whatever they hold must be taken over by others; a checkpoint is
    /// read before they go on, or are killed.
    Pause,
    /// The number of instances of one role becomes another: new slots are filled, surplus ones drain and stay empty.
    Scale,
    /// What the service depends on is disturbed, and put right again.
    Disturb(Disturbance),
}

/// What the service depends on, disturbed for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DisturbancePlan {
    /// That of its step: `1:redis-kill`.
    pub id: String,
    pub disturbance: Disturbance,
    /// From the act to its reversal; 0: it is over as soon as it is done.
    pub lasts: Duration,
    /// Of every answer (latency; otherwise 0).
    pub delay: Duration,
    /// How long the buffer may take to hold something before it is struck without exposure.
    pub hold_within: Duration,
    /// Before the act, and after it is undone: each must have enough acks, the asked rate, and own lag within its limit.
    pub window: Duration,
    pub window_acks_min: u64,
}

/// One instance stopped and replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopPlan {
    /// `1:rolling-update/api-2`.
    pub id: String,
    pub slot: Slot,
    pub mode: StopMode,
    /// When its slot is filled again.
    pub replaced: Replaced,
    /// Where a task is held, so that the victim is known to hold something when it is struck; `None`: it is struck at
    /// any moment at which it holds something.
    pub hold: Option<PausePoint>,
    /// How long a task may take to arrive at the pause point before the stop goes on without exposure.
    pub hold_within: Duration,
    /// SIGTERM → SIGKILL.
    pub grace: Duration,
    /// From the freeze to its checkpoint (pauses; otherwise 0): lease + scan + flush, and time to drain.
    pub lasts: Duration,
    /// The time around the stop that must have enough acks, the asked rate, and own lag within its limit.
    pub window: Duration,
    pub window_acks_min: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopMode {
    /// SIGTERM, the service's own shutdown, SIGKILL after the grace.
    Graceful,
    /// SIGSTOP, read what it holds, SIGKILL.
    Hard,
    /// SIGSTOP, a checkpoint after `lasts`, SIGCONT.
    Pause,
    /// SIGSTOP, a checkpoint after `lasts`, SIGKILL.
    PauseThenKill,
}

/// When the slot of a stopped instance is filled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replaced {
    /// The replacement is ready before the victim is told to stop, as an orchestrator surges.
    Before,
    /// Once the victim's process has ended.
    After,
    /// The victim goes on (a pause), or its slot stays empty (scaling in).
    Never,
}

impl StopMode {
    pub const ALL: [StopMode; 4] = [StopMode::Graceful, StopMode::Hard, StopMode::Pause, StopMode::PauseThenKill];

    pub fn word(self) -> &'static str {
        match self {
            StopMode::Graceful => "graceful",
            StopMode::Hard => "hard",
            StopMode::Pause => "pause",
            StopMode::PauseThenKill => "pause, then kill",
        }
    }

    /// Whether the instance is frozen long enough for a checkpoint.
    pub fn pauses(self) -> bool {
        matches!(self, StopMode::Pause | StopMode::PauseThenKill)
    }

    /// Whether the process is ended by SIGKILL without notice.
    pub fn kills(self) -> bool {
        matches!(self, StopMode::Hard | StopMode::PauseThenKill)
    }
}

/// A named place in the target where one task can be held while the process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PausePoint {
    /// An offer is counted as in flight; the buffer has not been asked.
    #[serde(rename = "offer.registered")]
    OfferRegistered,
    /// The buffer has taken the offer; the answer is not sent.
    #[serde(rename = "offer.stored")]
    OfferStored,
    /// A batch is leased; no transaction is open.
    #[serde(rename = "worker.leased")]
    WorkerLeased,
    /// The transaction is committed; the lease is not acknowledged.
    #[serde(rename = "worker.committed")]
    WorkerCommitted,
}

impl PausePoint {
    pub const ALL: [PausePoint; 4] =
        [PausePoint::OfferRegistered, PausePoint::OfferStored, PausePoint::WorkerLeased, PausePoint::WorkerCommitted];

    pub fn word(self) -> &'static str {
        match self {
            PausePoint::OfferRegistered => "offer.registered",
            PausePoint::OfferStored => "offer.stored",
            PausePoint::WorkerLeased => "worker.leased",
            PausePoint::WorkerCommitted => "worker.committed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettlePlan {
    /// How long nothing may move: flush + lease + scan + the longest back-off in use.
    pub quiet: Duration,
    pub poll: Duration,
    /// From the last progress.
    pub deadline: Duration,
    /// From the end of the load, whatever progress there is.
    pub hard_cap: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Claim {
    /// Scaling out fragments no data.
    F1,
    /// A rolling update loses nothing.
    F2,
    /// A failure of Redis loses nothing that was acknowledged.
    RedisFailure,
    /// A failure of the database does not, either.
    DatabaseFailure,
}

impl Claim {
    pub fn word(self) -> &'static str {
        match self {
            Claim::F1 => "F1",
            Claim::F2 => "F2",
            Claim::RedisFailure => "redis-failure",
            Claim::DatabaseFailure => "database-failure",
        }
    }

    /// The one that a failure of this puts to the test.
    pub fn of_failures(of: Subject) -> Claim {
        match of {
            Subject::Redis => Claim::RedisFailure,
            Subject::Database => Claim::DatabaseFailure,
        }
    }
}

/// A limit that the scenario or the command line sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub metric: GateMetric,
    /// `None`: the whole run.
    pub phase: Option<RunPhase>,
    pub limit: f64,
}

impl Gate {
    /// As in the scenario file: `p99.steady`.
    pub fn name(&self) -> String {
        match self.phase {
            Some(phase) => format!("{}.{}", self.metric.word(), phase.word()),
            None => self.metric.word().to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GateMetric {
    /// Response time (done − due) of acknowledged operations; an Unknown counts at the time-out. Limit in seconds.
    P50,
    P99,
    P999,
    /// (refused + unknown + not sent) ÷ due; limit as a share.
    ErrorRate,
    /// From the start of a stop or a disturbance until errors, p99 and backlog are back in band; limit in seconds.
    Recovery,
    /// Writes that the witness saw more than once.
    Duplicates,
    /// Writes that the witness saw attempted after a newer one of their row.
    Reordered,
}

impl GateMetric {
    /// Whether it is a number of writes, which no clock and no load can falsify.
    pub fn counts_writes(self) -> bool {
        matches!(self, GateMetric::Duplicates | GateMetric::Reordered)
    }

    pub fn word(self) -> &'static str {
        match self {
            GateMetric::P50 => "p50",
            GateMetric::P99 => "p99",
            GateMetric::P999 => "p99.9",
            GateMetric::ErrorRate => "error_rate",
            GateMetric::Recovery => "recovery",
            GateMetric::Duplicates => "duplicates",
            GateMetric::Reordered => "reordered",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// Outside every fault and recovery.
    Steady,
    /// From the first act of a stop until its replacement, or the paused instance itself, is ready (again); from the
    /// begin of a start until the new instance is ready; from a disturbance until it is undone.
    Fault,
    /// The window of the stop or the disturbance after that; after a start, the longest window of the plan's stops.
    Recovery,
}

impl RunPhase {
    pub const ALL: [RunPhase; 3] = [RunPhase::Steady, RunPhase::Fault, RunPhase::Recovery];

    pub fn word(self) -> &'static str {
        match self {
            RunPhase::Steady => "steady",
            RunPhase::Fault => "fault",
            RunPhase::Recovery => "recovery",
        }
    }
}
