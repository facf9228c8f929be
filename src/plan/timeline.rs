//! The time line of a plan: its steps, and what each does to the target and when.
//!
//! A [`StepPlan`] fills slots, stops instances, or disturbs what the service depends on. Each start, stop and
//! disturbance has a name of its own, by which judging asks for it: one that never fired is missing evidence.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Disturbance, Slot};

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
