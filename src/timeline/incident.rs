//! The record of what the timeline did. Judging walks the plan and looks here for each stop's evidence; a stop
//! without a record, or a record without proof, is missing evidence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backends::endpoints::Ejection;
use crate::backends::{Exit, Instance, InstanceId};
use crate::clock::Offset;
use crate::plan::{Disturbance, DisturbancePlan, PausePoint, StepPlan, StopMode, StopPlan};
use crate::readback::Checkpoint;
pub use crate::readback::cpu::{CpuReading, MachineReading};
use crate::strain::Strain;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Incidents {
    pub steps: Vec<StepRecord>,
    /// Every instance that ever lived, by id.
    pub roster: Vec<Instance>,
    /// Every instance that left the rotation, in order.
    pub ejections: Vec<Ejection>,
    /// What the buffer held over the load, wherever it is: (time, tasks in any place but the dead-letter queue).
    pub depths: Vec<(Offset, u64)>,
    /// What the instances had consumed, over the load.
    pub cpu: Vec<CpuReading>,
    /// What the machine was busy with, over the load.
    #[serde(default)]
    pub machine: Vec<MachineReading>,
    /// Whether the threads that sent the load had processor time left; `None`: the load broke, or a run of before it was told.
    #[serde(default)]
    pub strain: Option<Strain>,
    /// The run was told to stop before the timeline was over.
    pub interrupted: bool,
}

impl Incidents {
    /// Adds readings; they stand in the order of their time.
    pub fn add_cpu(&mut self, readings: Vec<CpuReading>) {
        self.cpu.extend(readings);
        self.cpu.sort_by_key(|reading| (reading.at, reading.instance));
    }

    pub fn start(&self, id: &str) -> Option<&StartRecord> {
        self.steps.iter().flat_map(|s| &s.starts).find(|s| s.id == id)
    }

    pub fn stop(&self, id: &str) -> Option<&StopRecord> {
        self.steps.iter().flat_map(|s| &s.stops).find(|s| s.id == id)
    }

    pub fn disturbance(&self, id: &str) -> Option<&DisturbanceRecord> {
        self.disturbances().find(|d| d.id == id)
    }

    pub fn disturbances(&self) -> impl Iterator<Item = &DisturbanceRecord> {
        self.steps.iter().filter_map(|step| step.disturbance.as_ref())
    }

    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.roster.iter().find(|instance| instance.id == id)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The plan's `StepPlan::id`.
    pub id: String,
    pub began: Offset,
    pub ended: Offset,
    /// What the condition that it waited for was, when it held.
    pub condition: Option<Met>,
    pub starts: Vec<StartRecord>,
    pub stops: Vec<StopRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disturbance: Option<DisturbanceRecord>,
    /// Why the step ended early.
    pub error: Option<String>,
}

impl StepRecord {
    /// A step of which nothing has happened yet.
    pub fn begin(plan: &StepPlan, now: Offset) -> Self {
        StepRecord {
            id: plan.id.clone(),
            began: now,
            ended: now,
            condition: None,
            starts: Vec::new(),
            stops: Vec::new(),
            disturbance: None,
            error: None,
        }
    }

    /// A step that never fired.
    pub fn failed(plan: &StepPlan, now: Offset, why: &str) -> Self {
        StepRecord { error: Some(why.to_owned()), ..StepRecord::begin(plan, now) }
    }
}

/// The reading that let a step begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    pub at: Offset,
    pub value: u64,
}

/// One slot filled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRecord {
    /// The plan's `StartPlan::id`.
    pub id: String,
    pub began: Offset,
    /// Tasks that the buffer held then, wherever it is; `None`: not readable.
    pub backlog: Option<u64>,
    pub instance: Option<Instance>,
    /// Its readiness was good.
    pub ready: Option<Offset>,
    pub proof: Vec<Proof>,
    pub error: Option<String>,
}

impl StartRecord {
    pub fn proven(&self) -> bool {
        self.error.is_none() && !self.proof.is_empty() && self.proof.iter().all(|p| p.holds)
    }
}

/// One instance stopped and replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopRecord {
    /// The plan's `StopPlan::id`.
    pub id: String,
    pub mode: StopMode,
    pub victim: Instance,
    /// Before the first act.
    pub began: Offset,
    pub held: Option<Held>,
    /// SIGSTOP took effect (hard stops).
    pub frozen: Option<Offset>,
    /// What the victim held just before the signal.
    pub exposure: Exposure,
    /// What the database had before a paused instance went on, or was killed.
    pub checkpoint: Option<Checkpoint>,
    /// SIGCONT was sent (pauses).
    pub resumed: Option<Offset>,
    /// Just before SIGTERM (graceful) or SIGKILL (hard) was sent.
    pub signalled: Option<Offset>,
    /// SIGKILL after the grace (graceful stops).
    pub killed_after_grace: bool,
    pub exit: Option<Exit>,
    pub replacement: Option<Instance>,
    /// The replacement was ready.
    pub healed: Option<Offset>,
    /// How we know that it took effect. All must hold.
    pub proof: Vec<Proof>,
    /// Why the stop ended early.
    pub error: Option<String>,
}

impl StopRecord {
    /// A stop about which nothing is known yet but its victim.
    pub fn begin(plan: &StopPlan, victim: &Instance, mode: StopMode, now: Offset) -> Self {
        StopRecord {
            id: plan.id.clone(),
            mode,
            victim: victim.clone(),
            began: now,
            held: None,
            frozen: None,
            exposure: Exposure::NotRead { why: "the stop ended before it could be read".into() },
            checkpoint: None,
            resumed: None,
            signalled: None,
            killed_after_grace: false,
            exit: None,
            replacement: None,
            healed: None,
            proof: Vec::new(),
            error: None,
        }
    }

    /// From the signal to the end of the process.
    pub fn drain(&self) -> Option<Duration> {
        Some(self.exit?.at.since(self.signalled?))
    }

    pub fn proven(&self) -> bool {
        self.error.is_none() && !self.proof.is_empty() && self.proof.iter().all(|p| p.holds)
    }
}

/// What the service depends on, disturbed and put right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DisturbanceRecord {
    /// The plan's `DisturbancePlan::id`.
    pub id: String,
    pub disturbance: Disturbance,
    /// Just before the first act.
    pub began: Offset,
    /// Tasks that the buffer held then; `None`: not read.
    pub exposure: Option<u64>,
    /// The act was done.
    pub done: Option<Offset>,
    /// Just before it was undone.
    pub undone: Option<Offset>,
    /// An own write was stored again.
    pub healed: Option<Offset>,
    /// What else was read of the server: `appendfsync everysec, aof_pending_bio_fsync 0`.
    pub facts: Vec<String>,
    /// How we know that it took effect, and that it is undone. All must hold.
    pub proof: Vec<Proof>,
    /// Why it ended early.
    pub error: Option<String>,
}

impl DisturbanceRecord {
    /// Nothing has been done yet.
    pub fn begin(plan: &DisturbancePlan, now: Offset) -> Self {
        DisturbanceRecord {
            id: plan.id.clone(),
            disturbance: plan.disturbance,
            began: now,
            exposure: None,
            done: None,
            undone: None,
            healed: None,
            facts: Vec::new(),
            proof: Vec::new(),
            error: None,
        }
    }
}

/// A task held at a pause point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub point: PausePoint,
    pub tasks: u64,
    pub at: Offset,
    pub released: Option<Offset>,
}

/// What the victim held when it was struck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Exposure {
    /// Leases under its receipts, read from the broker.
    Leases {
        tasks: u64,
    },
    /// Offers in flight, held at a pause point.
    OffersInFlight {
        operations: u64,
    },
    /// Acked by the victim and not in the database at this checkpoint: joined with the ledger when judging.
    Unwritten(Box<Checkpoint>),
    NotRead {
        why: String,
    },
}

/// One observation that shows that an act took effect (or that it did not).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What the operating system shows, or what a client sees.
    pub of: ProofOf,
    /// `the process was ended by SIGKILL`, `another process fills the slot`.
    pub what: String,
    /// What was seen: `SIGKILL`, `api-2.1 (pid 4711) → api-2.2 (pid 4801)`.
    pub seen: String,
    pub holds: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofOf {
    Mechanism,
    Symptom,
    /// It was well before.
    Before,
    /// It is undone.
    Heal,
}
