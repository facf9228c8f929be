//! Stops, one by one: what the ledger shows around each, and what each proves.
//!
//! In: the plan's stops, the timeline's record of each, the ledger. Out: a [`StopJudgement`] for every *planned*
//! stop. One that never fired, has no proof, struck an instance that held nothing, or had too little load around
//! it, proves nothing, and says why.

use super::classes::Classes;
use super::generator::Pace;
use super::soundness::Soundness;
use super::{Class, Evidence, StopJudgement, Verdict, operations};
use crate::clock::Offset;
use crate::load::{Attempt, Outcome};
use crate::plan::{Plan, StopMode, StopPlan};
use crate::timeline::{Exposure, Incidents, StopRecord};

/// What losing a write in a stop looks like.
pub(super) const BROKEN: [Class; 4] = [Class::Stranded, Class::Lost, Class::Stale, Class::Torn];

/// The moment of the blow: from then on the victim does not answer as it did.
pub(super) fn struck(record: &StopRecord) -> Offset {
    record.frozen.or(record.signalled).unwrap_or(record.began)
}

/// What the ledger shows around one stop.
#[derive(Debug, Clone)]
pub(super) struct StopFigures {
    pub id: String,
    window: (Offset, Offset),
    pub pace: Pace,
    acks: u64,
    acks_after_sigterm: u64,
    /// Unknowns sent to the victim that the stop does not explain.
    unexplained: u64,
    /// Acked by the victim before the checkpoint, and not in it.
    unwritten: u64,
}

/// The figures of every planned stop that was recorded.
pub(super) fn figures(plan: &Plan, evidence: &Evidence) -> Vec<StopFigures> {
    let recorded =
        |planned| Some(Watcher::of(plan, planned, evidence.incidents.stop(&planned.id)?, &evidence.incidents));
    let mut watchers: Vec<Watcher> = plan.stops().filter_map(recorded).collect();
    for operation in operations::operations(&evidence.ledger) {
        for watcher in &mut watchers {
            watcher.see(&operation);
        }
    }
    watchers.into_iter().map(|watcher| watcher.figures).collect()
}

/// Follows the ledger through the window of one stop.
struct Watcher<'a> {
    plan: &'a Plan,
    record: &'a StopRecord,
    /// From the blow until the load generator surely knew that the victim was gone.
    open: (Offset, Offset),
    figures: StopFigures,
}

impl<'a> Watcher<'a> {
    fn of(plan: &'a Plan, planned: &StopPlan, record: &'a StopRecord, incidents: &Incidents) -> Self {
        let struck = struck(record);
        let figures = StopFigures {
            id: planned.id.clone(),
            window: (struck.minus(planned.window), struck.plus(planned.window)),
            pace: Pace::default(),
            acks: 0,
            acks_after_sigterm: 0,
            unexplained: 0,
            unwritten: 0,
        };
        Watcher { plan, record, open: (struck, ejected(plan, record, incidents)), figures }
    }

    fn see(&mut self, operation: &Attempt) {
        let (from, to) = self.figures.window;
        if (from..to).contains(&operation.due) {
            self.figures.pace.record(operation, self.plan.load.rate_tolerance);
            self.figures.acks += u64::from(operation.outcome == Outcome::Acked);
        }
        if operation.instance == self.record.victim.id {
            self.see_at_victim(operation);
        }
    }

    fn see_at_victim(&mut self, operation: &Attempt) {
        match operation.outcome {
            Outcome::Acked => {
                let after =
                    self.record.signalled.is_some_and(|signalled| operation.sent.is_some_and(|s| s > signalled));
                self.figures.acks_after_sigterm += u64::from(after);
                self.figures.unwritten += u64::from(self.unwritten(operation));
            }
            Outcome::Unknown => self.figures.unexplained += u64::from(!was_open(operation, self.open)),
            Outcome::Refused | Outcome::NotSent => {}
        }
    }

    fn unwritten(&self, operation: &Attempt) -> bool {
        let Exposure::Unwritten(checkpoint) = &self.record.exposure else { return false };
        let Some(applied) = checkpoint.applied.read() else { return false };
        let before = operation.done.is_some_and(|done| done <= checkpoint.at);
        operation.lane.writes() && before && !is_applied(applied, operation)
    }
}

/// A request that was open at some moment between the blow and the ejection may well have no answer.
fn was_open(operation: &Attempt, (struck, ejected): (Offset, Offset)) -> bool {
    operation.sent.is_none_or(|sent| sent <= ejected) && operation.done.is_none_or(|done| done >= struck)
}

/// When the victim was out of rotation. A shard may still write to it until it has seen the table change, which a
/// probe's interval bounds generously.
fn ejected(plan: &Plan, record: &StopRecord, incidents: &Incidents) -> Offset {
    let struck = struck(record);
    let mut ejections = incidents.ejections.iter().filter(|ejection| ejection.id == record.victim.id);
    let ejection = ejections.find(|ejection| ejection.at >= struck).map(|ejection| ejection.at);
    let gone = ejection.or(record.exit.map(|exit| exit.at)).unwrap_or(struck);
    gone.plus(plan.target.probe.interval)
}

/// Whether (key, seq), or a newer seq of that key, is among these, which ascend by key.
pub(super) fn is_applied(applied: &[(u64, u64)], operation: &Attempt) -> bool {
    let found = applied.binary_search_by_key(&operation.key, |(key, _)| *key);
    found.is_ok_and(|at| applied[at].1 >= u64::from(operation.seq))
}

/// What a stop proves, judged along the plan.
pub(super) struct Stops<'a> {
    pub plan: &'a Plan,
    pub evidence: &'a Evidence,
    pub figures: &'a [StopFigures],
    pub classes: &'a Classes,
    pub soundness: &'a Soundness,
}

impl Stops<'_> {
    pub fn judge(&self) -> Vec<StopJudgement> {
        self.plan.stops().map(|planned| self.stop(planned)).collect()
    }

    fn stop(&self, planned: &StopPlan) -> StopJudgement {
        let record = self.evidence.incidents.stop(&planned.id);
        match record.zip(self.figures.iter().find(|figures| figures.id == planned.id)) {
            Some((record, figures)) => self.fired(planned, record, figures),
            None => never_fired(planned, self.why_not(planned)),
        }
    }

    fn why_not(&self, planned: &StopPlan) -> String {
        let step = self.plan.timeline.iter().find(|step| step.stops.iter().any(|stop| stop.id == planned.id));
        let recorded =
            self.evidence.incidents.steps.iter().find(|record| step.is_some_and(|step| step.id == record.id));
        match recorded.and_then(|record| record.error.as_ref()) {
            Some(error) => format!("it never fired: {error}"),
            None => "it never fired".to_owned(),
        }
    }

    fn fired(&self, planned: &StopPlan, record: &StopRecord, figures: &StopFigures) -> StopJudgement {
        let (exposure, exposure_unit) = exposure(record, figures);
        let mut reasons = unproven(planned, record);
        reasons.extend(no_exposure(record, exposure));
        reasons.extend(self.too_little_load(planned, figures));
        let after_sigterm = reached_after_sigterm(planned, figures);
        if after_sigterm == Some(0) {
            reasons.push("it acknowledged no request that was sent after its SIGTERM".to_owned());
        }
        let broken = self.broken(record);
        let verdict = match (broken.is_empty(), reasons.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Pass,
        };
        StopJudgement {
            id: planned.id.clone(),
            mode: planned.mode,
            verdict,
            victim: Some(record.victim.name.clone()),
            at: Some(struck(record)),
            exposure,
            exposure_unit: exposure_unit.to_owned(),
            exit: exit(planned, record),
            drain: record.drain(),
            acks_after_sigterm: after_sigterm,
            acks_in_window: figures.acks,
            reasons: broken.into_iter().chain(reasons).collect(),
            proof: record.proof.iter().map(|proof| (format!("{}: {}", proof.what, proof.seen), proof.holds)).collect(),
        }
    }

    /// What the victim acknowledged and broke, on sound evidence.
    fn broken(&self, record: &StopRecord) -> Vec<String> {
        let sound = BROKEN.into_iter().filter(|class| self.soundness.void(*class).is_none());
        let told = sound.filter_map(|class| {
            let count = self.classes.by_acker.get(&(class, record.victim.id))?;
            Some(format!("{count} operations that it acknowledged are {}", class.word()))
        });
        told.collect()
    }

    fn too_little_load(&self, planned: &StopPlan, figures: &StopFigures) -> Vec<String> {
        let mut reasons = Vec::new();
        let load = &self.plan.load;
        if figures.acks < planned.window_acks_min {
            let wanted = planned.window_acks_min;
            reasons.push(format!("{} acks within ± {:?}, fewer than {wanted}", figures.acks, planned.window));
        }
        if !figures.pace.keeps_rate(load) {
            let share = figures.pace.share() * 100.0;
            reasons.push(format!("only {share:.2} % of what was due in its window was sent in time"));
        }
        if !figures.pace.wakes_in_time(load) {
            let (lag, limit) = (figures.pace.lag_p99(), load.own_lag_limit);
            reasons.push(format!("own lag p99 was {lag:.1?} in its window, above the limit of {limit:?}"));
        }
        if figures.unexplained > 0 {
            let count = figures.unexplained;
            reasons.push(format!("{count} Unknowns sent to it were not open between the blow and its ejection"));
        }
        reasons
    }
}

fn reached_after_sigterm(planned: &StopPlan, figures: &StopFigures) -> Option<u64> {
    let asked = planned.mode == StopMode::Graceful && planned.slot.role.answers_requests();
    asked.then_some(figures.acks_after_sigterm)
}

/// Why it is not known that what was planned took effect.
fn unproven(planned: &StopPlan, record: &StopRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(record.error.as_ref().map(|error| format!("it ended early: {error}")));
    if record.victim.slot != planned.slot {
        reasons.push(format!("it struck {}, and {} was planned", record.victim.name, planned.slot));
    }
    if record.mode != planned.mode {
        reasons.push(format!("it was played {}, and planned {}", record.mode.word(), planned.mode.word()));
    }
    if record.proof.is_empty() {
        reasons.push("it fired without proof".to_owned());
    }
    let failed = record.proof.iter().filter(|proof| !proof.holds);
    reasons.extend(failed.map(|proof| format!("not proven: {} ({})", proof.what, proof.seen)));
    if record.signalled.is_none() {
        reasons.push("no signal was sent".to_owned());
    }
    match record.exit {
        None => reasons.push("its process was not seen to end".to_owned()),
        Some(exit) if planned.mode == StopMode::Hard && exit.signal != Some(nix::libc::SIGKILL) => {
            reasons.push("its process did not end by the SIGKILL".to_owned());
        }
        Some(_) => {}
    }
    if record.healed.is_none() || record.replacement.is_none() {
        reasons.push("its replacement never became ready".to_owned());
    }
    reasons
}

fn exposure(record: &StopRecord, figures: &StopFigures) -> (Option<u64>, &'static str) {
    match &record.exposure {
        Exposure::Leases { tasks } => (Some(*tasks), "leased tasks"),
        Exposure::OffersInFlight { operations } => (Some(*operations), "offers in flight"),
        Exposure::Unwritten(checkpoint) => {
            let own = checkpoint.stop == record.id && checkpoint.applied.read().is_some();
            (own.then_some(figures.unwritten), "acked, unwritten operations")
        }
        Exposure::NotRead { .. } => (None, ""),
    }
}

fn no_exposure(record: &StopRecord, exposure: Option<u64>) -> Option<String> {
    match (&record.exposure, exposure) {
        (_, Some(0)) => Some("exposure 0: it held nothing that could have been lost".to_owned()),
        (_, Some(_)) => None,
        (Exposure::NotRead { why }, None) => Some(format!("what it held was not read: {why}")),
        (Exposure::Unwritten(checkpoint), None) => {
            let why = checkpoint.applied.why_not().unwrap_or("the checkpoint belongs to another stop");
            Some(format!("what it held was not read: {why}"))
        }
        (_, None) => Some("what it held was not read".to_owned()),
    }
}

fn exit(planned: &StopPlan, record: &StopRecord) -> String {
    let how = match record.exit {
        None => return "not seen".to_owned(),
        Some(exit) => match (exit.code, exit.signal) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        },
    };
    match record.killed_after_grace {
        true => format!("{how}, killed after its grace of {:?}", planned.grace),
        false => how,
    }
}

fn never_fired(planned: &StopPlan, reason: String) -> StopJudgement {
    StopJudgement {
        id: planned.id.clone(),
        mode: planned.mode,
        verdict: Verdict::Inconclusive,
        victim: None,
        at: None,
        exposure: None,
        exposure_unit: String::new(),
        exit: "never stopped".to_owned(),
        drain: None,
        acks_after_sigterm: None,
        acks_in_window: 0,
        reasons: vec![reason],
        proof: Vec::new(),
    }
}
