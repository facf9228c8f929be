//! Checkpoints: what the database had while an instance stood still.
//!
//! ```text
//!              ├──────────── deadline: lease + scan + flush + drain ────────────┤
//!  … acked ────┴ until                                                          │
//!  ─────── frozen ───────────────────────────────────────────────────────── checkpoint ── thawed, or killed
//! ```
//!
//! In: the plan's pauses, the timeline's record of each, the ledger. Out: for each checkpoint how many operations had to
//! be in the database (acknowledged one deadline earlier, by whomever), and whose were not: those are *stranded*,
//! wherever their rows are later. A hot key counts as there with this seq or a newer one.
//!
//! # What it rests on
//! The checkpoint was read to its end, while the planned instance was frozen, proven so, and for the whole deadline.
//! Else it is void: it accuses nobody, and is no pass. So is one that shows none of the writes that had to be there: a
//! reader that sees nothing may have looked at nothing.
//!
//! # Why a shared buffer that still drains accuses nobody
//! A write that waits for its turn in a queue that everybody sees is late, not fragmented. The queue is first in, first
//! out: as long as it holds no more tasks than were accepted since, none of those looked at is among them. Where it
//! holds more, the checkpoint came too early, and is void.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Evidence, instances, operations};
use crate::backends::{Instance, InstanceId};
use crate::clock::Offset;
use crate::load::{Attempt, Lane, Outcome};
use crate::plan::{Plan, StopMode, StopPlan};
use crate::readback::{Applied, Checkpoint};
use crate::timeline::{Incidents, StopRecord};

/// A reading of the buffer's depth says something of the moments after it, for so long.
const DEPTH_HOLDS: Duration = Duration::from_secs(1);

/// A checkpoint and what it showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointJudgement {
    /// The planned pause that it belongs to.
    pub stop: String,
    /// Who was frozen.
    pub victim: String,
    pub at: Offset,
    /// How long the victim had been frozen.
    pub frozen_for: Option<Duration>,
    /// What was acknowledged this long before it had to be there.
    pub deadline: Duration,
    /// Acknowledged operations that had to be there.
    pub looked_at: u64,
    /// Those that were not there, by the instance that acknowledged them.
    pub missing: Vec<(String, u64)>,
    /// Why it says nothing; the counts then accuse nobody.
    pub void: Option<String>,
}

/// What one checkpoint came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Looked {
    pub stop: String,
    pub victim: Instance,
    pub at: Offset,
    pub frozen: Option<Offset>,
    pub deadline: Duration,
    pub looked_at: u64,
    pub missing: BTreeMap<InstanceId, u64>,
    pub void: Option<String>,
}

impl Looked {
    /// From the freeze to the checkpoint.
    pub fn frozen_for(&self) -> Option<Duration> {
        Some(self.at.since(self.frozen?))
    }

    pub fn stranded(&self) -> u64 {
        self.missing.values().sum()
    }

    pub fn judged(&self, incidents: &Incidents) -> CheckpointJudgement {
        let name = |id: &InstanceId| {
            incidents.instance(*id).map_or_else(|| format!("instance {}", id.0), |acker| acker.name.clone())
        };
        CheckpointJudgement {
            stop: self.stop.clone(),
            victim: self.victim.name.clone(),
            at: self.at,
            frozen_for: self.frozen_for(),
            deadline: self.deadline,
            looked_at: self.looked_at,
            missing: self.missing.iter().map(|(id, count)| (name(id), *count)).collect(),
            void: self.void.clone(),
        }
    }
}

/// Every checkpoint that was taken for a planned pause.
#[derive(Debug, Default)]
pub(super) struct Checkpoints<'a> {
    looks: Vec<Look<'a>>,
}

/// One look at the database, and the ledger beside it.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub record: &'a StopRecord,
    checkpoint: &'a Checkpoint,
    applied: Option<&'a Applied>,
    /// What was acknowledged by then must be there.
    until: Offset,
    /// Writing operations acknowledged since, before the checkpoint.
    since: u64,
    looked: Looked,
}

impl<'a> Checkpoints<'a> {
    pub fn of(plan: &Plan, evidence: &'a Evidence) -> Self {
        let record = |planned: &StopPlan| evidence.incidents.stop(&planned.id);
        let pauses = plan.stops().filter(|planned| planned.mode.pauses());
        let mut looks: Vec<Look> = pauses.filter_map(|planned| Look::begin(planned, record(planned)?)).collect();
        if !looks.is_empty() {
            for operation in operations::writes(&evidence.ledger) {
                looks.iter_mut().for_each(|look| look.see(&operation));
            }
        }
        looks.iter_mut().for_each(|look| look.conclude(plan, &evidence.incidents));
        Checkpoints { looks }
    }

    /// The first sound checkpoint at which this operation had to be in the database, and was not.
    pub fn missed(&self, operation: &Attempt) -> Option<&Look<'a>> {
        self.looks.iter().find(|look| look.looked.void.is_none() && look.misses(operation))
    }

    pub fn into_looked(self) -> Vec<Looked> {
        self.looks.into_iter().map(|look| look.looked).collect()
    }
}

impl<'a> Look<'a> {
    fn begin(planned: &StopPlan, record: &'a StopRecord) -> Option<Self> {
        let checkpoint = record.checkpoint.as_ref()?;
        let looked = Looked {
            stop: planned.id.clone(),
            victim: record.victim.clone(),
            at: checkpoint.at,
            frozen: record.frozen,
            deadline: planned.lasts,
            looked_at: 0,
            missing: BTreeMap::new(),
            void: not_while_frozen(planned, record, checkpoint),
        };
        let (applied, until) = (checkpoint.applied.read(), checkpoint.at.minus(planned.lasts));
        Some(Look { record, checkpoint, applied, until, since: 0, looked })
    }

    fn see(&mut self, operation: &Attempt) {
        if self.concerns(operation) {
            self.looked.looked_at += 1;
            if self.misses(operation) {
                *self.looked.missing.entry(operation.instance).or_default() += 1;
            }
        } else if operation.outcome == Outcome::Acked && operation.done.is_some_and(|done| done <= self.looked.at) {
            self.since += 1;
        }
    }

    /// Whether it had to be there: acknowledged in time, and of a lane whose writes belong in the database.
    fn concerns(&self, operation: &Attempt) -> bool {
        let in_time = operation.outcome == Outcome::Acked && operation.done.is_some_and(|done| done <= self.until);
        in_time && matches!(operation.lane, Lane::WriteOnce | Lane::HotKey)
    }

    fn misses(&self, operation: &Attempt) -> bool {
        let there = |applied: &Applied| applied.has(operation.key, operation.seq.into());
        self.concerns(operation) && self.applied.is_some_and(|applied| !there(applied))
    }

    /// What only the whole ledger can tell.
    fn conclude(&mut self, plan: &Plan, incidents: &Incidents) {
        let (stranded, looked_at) = (self.looked.stranded(), self.looked.looked_at);
        if self.looked.void.is_some() || stranded == 0 {
            return;
        }
        self.looked.void = if stranded == looked_at {
            Some(format!("it shows none of the {looked_at} writes that had to be there: it may have looked at nothing"))
        } else {
            self.still_draining(plan, incidents)
        };
    }

    fn still_draining(&self, plan: &Plan, incidents: &Incidents) -> Option<String> {
        if !plan.target.strategy.shared() {
            return None;
        }
        let Some(waiting) = self.waiting(incidents) else {
            return Some("nothing tells whether the shared buffer still drained then".to_owned());
        };
        let writers = instances::living(incidents, self.looked.at).filter(|instance| instance.slot.role.writes_rows());
        // What a living worker has in its hands is older than all that is ready.
        let in_hands = u64::from(plan.target.worker.batch) * writers.count() as u64;
        let accepted = 3 * self.since;
        (waiting + in_hands > accepted).then(|| {
            format!(
                "the shared buffer still drained: {waiting} tasks were ready, up to {in_hands} in the workers' hands, and \
                 {accepted} had been accepted within the deadline"
            )
        })
    }

    /// Tasks in the shared buffer at the checkpoint, the most that anybody saw: just before it, or beside the gauges that
    /// are read after the rows.
    fn waiting(&self, incidents: &Incidents) -> Option<u64> {
        let at = self.looked.at;
        let around = self.checkpoint.sizes.iter().filter_map(|size| size.around);
        let before = incidents.depths.iter().take_while(|(read, _)| *read <= at).last();
        let depth = before.filter(|(read, _)| at.since(*read) <= DEPTH_HOLDS).map(|(_, depth)| *depth);
        around.map(|(before, after)| before.max(after)).chain(depth).max()
    }
}

/// Why this is no look at the database while the planned instance was frozen for its deadline.
fn not_while_frozen(planned: &StopPlan, record: &StopRecord, checkpoint: &Checkpoint) -> Option<String> {
    let name = &record.victim.name;
    if checkpoint.stop != planned.id {
        return Some("the checkpoint belongs to another stop".to_owned());
    }
    if let Some(why) = checkpoint.applied.why_not() {
        return Some(format!("the checkpoint was not read: {why}"));
    }
    if record.victim.slot != planned.slot || record.mode != planned.mode {
        return Some(format!("the checkpoint was read while {name} was stopped otherwise than planned"));
    }
    let proven = !record.proof.is_empty() && record.proof.iter().all(|proof| proof.holds);
    let Some(frozen) = record.frozen.filter(|_| proven) else {
        return Some(format!("nothing proves that {name} was frozen when the checkpoint was read"));
    };
    let (waited, needed) = (checkpoint.at.since(frozen).as_secs_f64(), planned.lasts.as_secs_f64());
    if checkpoint.at < frozen.plus(planned.lasts) {
        return Some(format!(
            "the checkpoint was read {waited:.1} s after the freeze, too early: the deadline is {needed:.1} s"
        ));
    }
    let let_go = if planned.mode == StopMode::Pause { record.resumed } else { record.signalled };
    let over = [let_go, record.exit.map(|exit| exit.at)].into_iter().flatten().min();
    over.is_some_and(|over| over <= checkpoint.at)
        .then(|| format!("{name} was no longer frozen when the checkpoint was read"))
}
