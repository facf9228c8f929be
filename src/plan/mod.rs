//! What a scenario means: every default filled in, every contradiction refused, nothing optional left.
//!
//! In: a [`Scenario`](crate::scenario::Scenario) and what the caller knows ([`Given`]: run number, seed).
//! Out: a [`Plan`], the only thing that the later stages read. Two resolves of one scenario, seed and run number
//! are equal byte by byte. `Plan::resolve` is in `resolve.rs`; `explain.rs` puts a plan into words.
//!
//! The parts of a plan stand beside this, one noun a file; the file of the same name in `resolve/` works it out.

mod database;
pub mod explain;
mod gates;
mod load;
mod reach;
mod resolve;
mod sabotage;
mod shape;
mod target;
mod timeline;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::disturbance::{Disturbance, Subject};
pub use database::{Database, DatabaseUrl};
pub use gates::{Claim, Gate, GateMetric, RunPhase};
pub use load::{Arrivals, LoadPlan, Mix, ReadKeys};
pub use reach::Reach;
pub use resolve::{Given, KeptTarget, scenario_schema};
pub use sabotage::Sabotage;
pub use shape::{Shape, Stage};
pub use target::{
    Backend, ClockOffset, DatabaseSetup, Persistence, ProbePlan, RedisPlan, Role, Slot, Strategy, TargetPlan,
    WorkerPlan,
};
pub use timeline::{
    Condition, ConditionMetric, DisturbancePlan, PausePoint, Replaced, StartPlan, StepKind, StepPlan, StopMode,
    StopPlan,
};
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
pub struct SettlePlan {
    /// How long nothing may move: flush + lease + scan + the longest back-off in use.
    pub quiet: Duration,
    pub poll: Duration,
    /// From the last progress.
    pub deadline: Duration,
    /// From the end of the load, whatever progress there is.
    pub hard_cap: Duration,
}
