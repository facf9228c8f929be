//! Canned evidence: a whole run without a flaw, to be spoilt by tests one thing at a time.
//!
//! `healthy` is V5 under a rolling update, graceful at 10 s and hard at 35 s, of one api instance and one worker;
//! `in_memory` is V4 under a graceful one; `load_test` is V5 without a stop or a witness; `scale_out` is V5 from one api
//! instance to three, of which one is then frozen, and a worker before it. Each passes: a test that changes one thing
//! shows by the verdict what that thing is worth. `fragmented` is V4 in the same scale-out: it fails by its checkpoints,
//! and at its end nothing is missing. `redis_failure` is V5 whose Redis is killed, and started again.

mod disturbances;
mod plans;
mod scaling;
mod states;

use std::time::Duration;

use super::{Class, ClassCount, Evidence, Finding, Judgement};
use crate::clock::Offset;
use crate::load::ledger::{Reason, Soundness};
use crate::load::pacer::{Pacer, Timetable};
use crate::load::{Attempt, Lane, Ledger, Operations, Outcome};
use crate::plan::{Mix, Plan};
use crate::readback::table::Table;
use crate::readback::{Checkpoint, FinalState, Place, QueueState, QueuedItem, Row, RowSet, Sighting, Source};
use crate::timeline::incident::StartRecord;
use crate::timeline::{DisturbanceRecord, Incidents, StopRecord};

pub(crate) const SECONDS: u64 = 60;
pub(crate) const OPERATIONS: u64 = 6000;
pub(crate) const HARD_API: &str = "2:rolling-update/api-1";
pub(crate) const GRACEFUL_API: &str = "1:rolling-update/api-1";
pub(crate) const FROZEN_WORKER: &str = "2:pause/worker-1";
pub(crate) const FROZEN_API: &str = "3:pause/api-2";
pub(crate) const FRAGMENTED: &str = "2:pause/all-2";
pub(crate) const LAST_STOP: &str = "2:rolling-update/worker-1";

pub(crate) struct Canned {
    pub plan: Plan,
    pub evidence: Evidence,
}

pub(crate) fn healthy() -> Canned {
    let plan = plans::rolling_update();
    let incidents = plans::rolled(&plan);
    Canned::run(plan, incidents)
}

pub(crate) fn in_memory() -> Canned {
    let plan = plans::in_memory();
    let incidents = plans::rolled(&plan);
    let mut canned = Canned::run(plan, incidents);
    states::become_private(&mut canned);
    canned
}

/// `healthy`, with a tenth of the operations planned as poison.
pub(crate) fn poisoned() -> Canned {
    let mut plan = plans::rolling_update();
    plan.load.mix = Mix { write_once: 700, hot_key: 150, read: 50, poison: 100, request: 0 };
    let incidents = plans::rolled(&plan);
    Canned::run(plan, incidents)
}

/// Poison in a run without stops.
pub(crate) fn poisoned_load() -> Canned {
    let mut plan = plans::load_test();
    plan.load.mix = Mix { write_once: 900, hot_key: 0, read: 50, poison: 50, request: 0 };
    let incidents = plans::rolled(&plan);
    Canned::run(plan, incidents)
}

pub(crate) fn load_test() -> Canned {
    let plan = plans::load_test();
    let incidents = plans::rolled(&plan);
    Canned::run(plan, incidents)
}

pub(crate) fn scale_out() -> Canned {
    let plan = scaling::shared();
    let incidents = plans::rolled(&plan);
    Canned::run(plan, incidents)
}

pub(crate) fn fragmented() -> Canned {
    let plan = scaling::private();
    let incidents = plans::rolled(&plan);
    let mut canned = Canned::run(plan, incidents);
    states::become_private(&mut canned);
    canned
}

/// V5 while its Redis is away from 20 s to 23 s: what comes then is refused.
pub(crate) fn redis_failure() -> Canned {
    let plan = disturbances::plan();
    let incidents = disturbances::played(&plan);
    let mut canned = Canned::run(plan, incidents);
    let away = |a: &&mut Attempt| a.lane.writes() && disturbances::is_away(a.due);
    canned.attempts(|attempts| attempts.iter_mut().filter(away).for_each(refuse));
    let Evidence { ledger, incidents, .. } = &canned.evidence;
    canned.evidence.state = Some(states::applied(&canned.plan, ledger, incidents));
    canned
}

pub(crate) fn refuse(attempt: &mut Attempt) {
    (attempt.outcome, attempt.reason, attempt.status) = (Outcome::Refused, Reason::NotStored, 503);
}

pub(crate) fn forget(attempt: &mut Attempt) {
    (attempt.outcome, attempt.reason, attempt.status) = (Outcome::Unknown, Reason::TimedOut, 0);
    attempt.done = Some(attempt.due.plus(Duration::from_secs(2)));
}

pub(crate) fn not_sent(attempt: &mut Attempt) {
    (attempt.outcome, attempt.reason, attempt.status) = (Outcome::NotSent, Reason::NoInstance, 0);
    (attempt.sent, attempt.instance) = (None, crate::backends::InstanceId::NONE);
}

impl Canned {
    fn run(plan: Plan, incidents: Incidents) -> Canned {
        let ledger = ledger(&plan, &incidents);
        let state = Some(states::applied(&plan, &ledger, &incidents));
        let mut canned = Canned { plan, evidence: Evidence { ledger, incidents, state, interrupted: false } };
        states::checkpoints(&mut canned);
        canned
    }

    pub fn judge(&self) -> Judgement {
        super::judge(&self.plan, &self.evidence)
    }

    // What the ledger says.

    pub fn attempts(&mut self, change: impl FnOnce(&mut Vec<Attempt>)) {
        let mut attempts: Vec<Attempt> = self.evidence.ledger.attempts().collect();
        change(&mut attempts);
        let ledger = &self.evidence.ledger;
        self.evidence.ledger = Ledger::canned(attempts, ledger.soundness().clone(), ledger.issued_until());
    }

    pub fn attempt(&mut self, op: u64, change: impl FnOnce(&mut Attempt)) {
        self.attempts(|attempts| {
            change(attempts.iter_mut().find(|a| a.op == op).expect("canned operations are whole"))
        });
    }

    pub fn of(&self, op: u64) -> Attempt {
        self.evidence.ledger.attempts().find(|a| a.op == op).expect("canned operations are whole")
    }

    pub fn outcome(&mut self, op: u64, outcome: Outcome) {
        self.attempt(op, |attempt| match outcome {
            Outcome::Acked => attempt.outcome = Outcome::Acked,
            Outcome::Refused => refuse(attempt),
            Outcome::Unknown => forget(attempt),
            Outcome::NotSent => not_sent(attempt),
        });
    }

    fn nth(&self, lane: Lane, n: usize) -> u64 {
        let acked = self.evidence.ledger.attempts().filter(|a| a.lane == lane && a.outcome == Outcome::Acked);
        acked.map(|a| a.op).nth(n).expect("canned lanes are long")
    }

    /// The n-th acknowledged operation of the write-once lane, from 0.
    pub fn once(&self, n: usize) -> u64 {
        self.nth(Lane::WriteOnce, n)
    }

    /// The n-th acknowledged operation of the poison lane, from 0.
    pub fn poison(&self, n: usize) -> u64 {
        self.nth(Lane::Poison, n)
    }

    /// The n-th acknowledged operation of the hot-key lane, from 0.
    pub fn hot(&self, n: usize) -> u64 {
        self.nth(Lane::HotKey, n)
    }

    /// The last acknowledged operation of a hot key: the one whose seq its rows have.
    pub fn newest_hot(&self) -> u64 {
        let hot = self.evidence.ledger.attempts().filter(|a| a.lane == Lane::HotKey && a.outcome == Outcome::Acked);
        hot.last().expect("canned lanes are long").op
    }

    pub fn once_operations(&self) -> u64 {
        self.evidence.ledger.attempts().filter(|a| a.lane == Lane::WriteOnce).count() as u64
    }

    pub fn tear(&mut self) {
        let attempts = self.evidence.ledger.attempts().collect();
        let why = "the last window has no seal".to_owned();
        self.evidence.ledger = Ledger::canned(attempts, Soundness::Torn { why }, self.evidence.ledger.issued_until());
    }

    pub fn interrupt_at(&mut self, op: u64) {
        let until = Timetable::of(&self.plan.load).due(op);
        let ledger = &self.evidence.ledger;
        self.evidence.ledger = Ledger::canned(ledger.attempts().collect(), ledger.soundness().clone(), until);
    }

    /// The load issued nothing from then on.
    pub fn cut_load(&mut self, after: Duration) {
        let end = Offset::from_duration(after);
        let attempts = self.evidence.ledger.attempts().filter(|a| a.due < end).collect();
        self.evidence.ledger = Ledger::canned(attempts, self.evidence.ledger.soundness().clone(), end);
        self.evidence.state = Some(states::applied(&self.plan, &self.evidence.ledger, &self.evidence.incidents));
    }

    // What was read back.

    pub fn state(&mut self) -> &mut FinalState {
        self.evidence.state.as_mut().expect("canned runs have a state")
    }

    pub fn row_set(&mut self, change: impl FnOnce(&mut RowSet)) {
        let Source::Read(set) = &mut self.state().rows else { panic!("canned rows are read") };
        change(set);
    }

    /// The rows of the state.
    pub fn all_rows(&self) -> Vec<Row<'static>> {
        let set = self.evidence.state.as_ref().and_then(|state| state.rows.read()).expect("canned rows are read");
        set.rows
            .walk()
            .map(|row| Row { written_by: states::known(set.rows.row(row).written_by), ..set.rows.row(row) })
            .collect()
    }

    /// Changes what the reader got, in its order, behind the back of `count(*)`.
    pub fn as_read(&mut self, change: impl FnOnce(&mut Vec<Row<'static>>)) {
        let mut rows = self.all_rows();
        change(&mut rows);
        self.row_set(|set| set.rows = Table::of_rows(rows));
    }

    /// Changes the rows, and `count(*)` with them: what was done behind the run's back is not seen by counting.
    pub fn rows(&mut self, change: impl FnOnce(&mut Vec<Row<'static>>)) {
        self.as_read(|rows| {
            change(rows);
            rows.sort_by_key(|row| (row.key, row.preset));
        });
        self.row_set(|set| set.counted = set.rows.len());
    }

    pub fn remove_rows_of(&mut self, op: u64) {
        let key = self.of(op).key;
        self.rows(|rows| rows.retain(|row| row.key != key));
    }

    pub fn remove_row(&mut self, op: u64, preset: u8) {
        let key = self.of(op).key;
        self.rows(|rows| rows.retain(|row| (row.key, row.preset) != (key, preset)));
    }

    pub fn row(&mut self, op: u64, preset: u8, change: impl FnOnce(&mut Row<'static>)) {
        let key = self.of(op).key;
        self.rows(|rows| {
            let row = rows.iter_mut().find(|row| (row.key, row.preset) == (key, preset));
            change(row.expect("canned rows are whole"));
        });
    }

    /// Sets a row's seq, with the content that belongs to it.
    pub fn rewrite(&mut self, op: u64, preset: u8, seq: u64) {
        self.row(op, preset, |row| {
            row.seq = seq;
            row.costs = crate::content::costs(row.key, seq, row.preset);
        });
    }

    /// Changes what the witness saw: by key, preset, seq and order.
    pub fn sightings(&mut self, change: impl FnOnce(&mut Vec<Sighting<'static>>)) {
        let Source::Read(log) = &mut self.state().witness else { panic!("canned witnesses are read") };
        let seen = log.sightings.walk().map(|record| log.sightings.sighting(record));
        let mut seen: Vec<_> =
            seen.map(|seen| Sighting { written_by: states::known(seen.written_by), ..seen }).collect();
        change(&mut seen);
        log.sightings = Table::of_sightings(seen);
    }

    pub fn queue(&mut self, change: impl FnOnce(&mut QueueState)) {
        let Source::Read(queue) = &mut self.state().queue else { panic!("canned queues are read") };
        change(queue);
    }

    pub fn enqueue(&mut self, op: u64, preset: u8, place: Place) {
        let Attempt { key, seq, .. } = self.of(op);
        let holder = (place == Place::Leased).then(|| "worker-2.1".to_owned());
        let cause = (place == Place::Dead).then(|| "too many attempts".to_owned());
        self.queue(|queue| {
            queue.items.push(QueuedItem { task: Some((key, seq.into(), preset)), place, holder, cause, costs: None })
        });
    }

    pub fn blind_the_probe(&mut self) {
        self.state().settle.probe_saw_something = false;
        self.queue(|queue| *queue = QueueState::default());
    }

    // What the timeline did.

    pub fn stop(&mut self, id: &str, change: impl FnOnce(&mut StopRecord)) {
        let mut stops = self.evidence.incidents.steps.iter_mut().flat_map(|step| &mut step.stops);
        change(stops.find(|stop| stop.id == id).expect("canned stops are whole"));
    }

    pub fn disturbance(&mut self, change: impl FnOnce(&mut DisturbanceRecord)) {
        let mut records = self.evidence.incidents.steps.iter_mut().filter_map(|step| step.disturbance.as_mut());
        change(records.next().expect("a canned failure of Redis was played"));
    }

    pub fn start(&mut self, id: &str, change: impl FnOnce(&mut StartRecord)) {
        let mut starts = self.evidence.incidents.steps.iter_mut().flat_map(|step| &mut step.starts);
        change(starts.find(|start| start.id == id).expect("canned starts are whole"));
    }

    pub fn checkpoint(&mut self, id: &str, change: impl FnOnce(&mut Checkpoint)) {
        self.stop(id, |stop| change(stop.checkpoint.as_mut().expect("canned pauses have a checkpoint")));
    }

    pub fn record(&self, id: &str) -> &StopRecord {
        self.evidence.incidents.stop(id).expect("canned stops are whole")
    }

    pub fn struck(&self, id: &str) -> Offset {
        super::spans::struck(self.record(id))
    }
}

impl Judgement {
    pub(crate) fn finding(&self, check: &str) -> &Finding {
        self.findings.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("no finding {check}"))
    }

    pub(crate) fn class(&self, class: Class) -> &ClassCount {
        self.classes.iter().find(|counted| counted.class == class).expect("every class is counted")
    }

    pub(crate) fn count(&self, class: Class) -> u64 {
        self.class(class).count
    }

    /// Everything that keeps a run from a pass, for a test's message.
    pub(crate) fn complaints(&self) -> String {
        let bad = self.findings.iter().filter(|finding| finding.verdict != super::Verdict::Pass);
        bad.map(|f| format!("{} {}: {} {:?}\n", f.check, f.verdict.word(), f.summary, f.details)).collect()
    }
}

/// Every operation of the plan, sent in time and answered in 2 ms by whoever was in rotation; requests to an instance
/// that is frozen or gone are Unknown.
fn ledger(plan: &Plan, incidents: &Incidents) -> Ledger {
    let end = Offset::from_duration(plan.load_end());
    let pacer = Timetable::of(&plan.load);
    let operations = Operations::new(plan.run, &plan.load).take(pacer.due_before(end) as usize);
    let attempts = operations.map(|operation| {
        let due = pacer.due(operation.index);
        let (woke, sent) = (due.plus(Duration::from_micros(300)), due.plus(Duration::from_micros(400)));
        let (instance, answers) = plans::routed(incidents, operation.index, sent);
        let mut attempt = Attempt {
            op: operation.index,
            lane: operation.lane,
            key: operation.key,
            seq: operation.seq,
            attempt: 1,
            due,
            woke,
            free: woke,
            sent: Some(sent),
            done: Some(sent.plus(Duration::from_millis(2))),
            outcome: Outcome::Acked,
            reason: Reason::Answer,
            status: 202,
            instance,
            epoch: 0,
        };
        if !answers {
            (attempt.outcome, attempt.reason, attempt.status) = (Outcome::Unknown, Reason::Reset, 0);
            attempt.done = Some(sent.plus(Duration::from_millis(60)));
        }
        attempt
    });
    Ledger::canned(attempts.collect(), Soundness::Sealed, end)
}
