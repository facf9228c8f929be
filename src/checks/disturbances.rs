//! Disturbances, one by one: what each proves, and what it cost.
//!
//! In: the plan's disturbances, the timeline's record of each, what the ledger shows around it. Out: a
//! [`DisturbanceJudgement`] for every *planned* one. One that never fired, has no proof, struck while nothing was at
//! stake, was not undone, or had too little load around it, proves nothing, and says why.
//!
//! # Why an ack during an outage of Redis counts against it
//! Where nobody can be told of a stored write, an acknowledged one was kept somewhere else: in the memory of its
//! instance, say, or in another Redis than the one that was struck. What then survives is not what was put to the test.
//!
//! # Why no ack during an outage of the database does
//! The buffer is there so that writes go on being acknowledged while the database is away. Where none was, nothing says
//! what becomes of those that wait for it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::DisturbanceFigures;
use super::figures::Figures;
use super::spans::disturbed;
use super::{Class, Conservation, Evidence, Verdict};
use crate::clock::Offset;
use crate::disturbance::{Disturbance, Subject};
use crate::plan::{DisturbancePlan, Plan};
use crate::timeline::incident::ProofOf;
use crate::timeline::{DisturbanceRecord, Proof};

/// A planned disturbance, with the evidence that was found for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DisturbanceJudgement {
    pub id: String,
    pub disturbance: Disturbance,
    pub verdict: Verdict,
    /// `None`: it never fired.
    pub at: Option<Offset>,
    /// From the act until an own write was stored again.
    pub lasted: Option<Duration>,
    /// Tasks that the buffer held when it was struck; `None`: not read.
    pub exposure: Option<u64>,
    /// Of the operations that were due or open from the act until the end of the window after it.
    pub cost: Conservation,
    /// Writes, in the window before it and in the one after it.
    pub acks_before: u64,
    pub acks_after: u64,
    /// From the act until errors, p99 and backlog were back in band, in seconds; `None`: never seen.
    pub recovery: Option<f64>,
    /// Acknowledged before it was undone, and lost, stranded or stale; `None`: void.
    pub broken: Option<u64>,
    /// What was seen of it: each proof of mechanism or symptom that holds.
    pub shown: Vec<String>,
    /// What was read of the server just before.
    pub facts: Vec<String>,
    /// What it is not a proof of, and why; empty for a pass.
    pub reasons: Vec<String>,
    /// `what: seen`, each with whether it holds.
    pub proof: Vec<(String, bool)>,
}

/// The sources of a judgement.
pub(super) struct Disturbances<'a> {
    pub plan: &'a Plan,
    pub evidence: &'a Evidence,
    pub figures: &'a Figures,
}

impl Disturbances<'_> {
    pub fn judge(&self) -> Vec<DisturbanceJudgement> {
        self.plan.disturbances().map(|planned| self.one(planned)).collect()
    }

    fn one(&self, planned: &DisturbancePlan) -> DisturbanceJudgement {
        let record = self.evidence.incidents.disturbance(&planned.id);
        match record.zip(self.figures.disturbances.iter().find(|figures| figures.id == planned.id)) {
            Some((record, figures)) => self.fired(planned, record, figures),
            None => never_fired(planned, self.why_not(planned)),
        }
    }

    fn why_not(&self, planned: &DisturbancePlan) -> String {
        let recorded = self.evidence.incidents.steps.iter().find(|step| step.id == planned.id);
        match recorded.and_then(|step| step.error.as_ref()) {
            Some(error) => format!("it never fired: {error}"),
            None => "it never fired".to_owned(),
        }
    }

    fn fired(
        &self,
        planned: &DisturbancePlan,
        record: &DisturbanceRecord,
        figures: &DisturbanceFigures,
    ) -> DisturbanceJudgement {
        let recovery = self.figures.recoveries.of_blow(&planned.id).and_then(Result::ok);
        let broken = self.broken(record);
        let mut reasons = unproven(planned, record);
        reasons.extend(no_exposure(record));
        reasons.extend(self.too_little_load(planned, figures));
        reasons.extend(match planned.disturbance.subject() {
            Subject::Redis => kept_elsewhere(figures),
            Subject::Database => nothing_waited(figures),
        });
        reasons.extend(recovery.is_none().then(|| "nobody saw errors, p99 and backlog back in band".to_owned()));
        let lost = broken.filter(|count| *count > 0);
        let verdict = match (lost, reasons.is_empty()) {
            (Some(_), _) => Verdict::Fail,
            (None, true) => Verdict::Pass,
            (None, false) => Verdict::Inconclusive,
        };
        let lost =
            lost.map(|count| format!("{count} operations that were acknowledged before it was undone are broken"));
        DisturbanceJudgement {
            id: planned.id.clone(),
            disturbance: planned.disturbance,
            verdict,
            at: Some(record.began),
            lasted: record.healed.map(|healed| healed.since(record.began)),
            exposure: record.exposure,
            cost: figures.cost,
            acks_before: figures.acks_before,
            acks_after: figures.acks_after,
            recovery,
            broken,
            shown: record.proof.iter().filter(|proof| shows_the_act(proof)).map(told).collect(),
            facts: record.facts.clone(),
            reasons: lost.into_iter().chain(reasons).collect(),
            proof: record.proof.iter().map(|proof| (told(proof), proof.holds)).collect(),
        }
    }

    /// Each broken operation counts for the first disturbance that was undone after its ack.
    fn broken(&self, record: &DisturbanceRecord) -> Option<u64> {
        let sound = |class| self.figures.soundness.void(class).is_none();
        let mut ends: Vec<Offset> = self.evidence.incidents.disturbances().map(|record| disturbed(record).1).collect();
        ends.sort();
        let end = disturbed(record).1;
        let from = ends.into_iter().filter(|earlier| *earlier < end).max().unwrap_or(Offset::ZERO);
        if !Class::BROKEN.into_iter().all(sound) {
            return None;
        }
        let acked = self.figures.classes.broken_acks.iter().filter(|acked| (from..end).contains(acked));
        Some(acked.count() as u64)
    }

    fn too_little_load(&self, planned: &DisturbancePlan, figures: &DisturbanceFigures) -> Vec<String> {
        let (mut reasons, load, needed) = (Vec::new(), &self.plan.load, planned.window_acks_min);
        for (acks, when) in [(figures.acks_before, "before"), (figures.acks_after, "after")] {
            if acks < needed {
                let window = planned.window;
                reasons.push(format!("{acks} acked writes in the {window:?} {when} it, fewer than {needed}"));
            }
        }
        if !figures.pace.keeps_rate(load) {
            let share = figures.pace.share() * 100.0;
            reasons.push(format!("only {share:.2} % of what was due around it was sent in time"));
        }
        if !figures.pace.wakes_in_time(load) {
            let (lag, limit) = (figures.pace.lag_p99(), load.own_lag_limit);
            reasons.push(format!("own lag p99 was {lag:.1?} around it, above the limit of {limit:?}"));
        }
        reasons
    }
}

fn told(proof: &Proof) -> String {
    format!("{}: {}", proof.what, proof.seen)
}

fn shows_the_act(proof: &Proof) -> bool {
    proof.holds && matches!(proof.of, ProofOf::Mechanism | ProofOf::Symptom)
}

/// Why it is not known that what was planned took effect, and that it is undone.
fn unproven(planned: &DisturbancePlan, record: &DisturbanceRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(record.error.as_ref().map(|error| format!("it failed to {error}")));
    if record.disturbance != planned.disturbance {
        reasons.push(format!("{} was played, and {} planned", record.disturbance.word(), planned.disturbance.word()));
    }
    for (of, what) in [(ProofOf::Mechanism, "mechanism"), (ProofOf::Symptom, "symptom"), (ProofOf::Heal, "heal")] {
        if record.proof.iter().all(|proof| proof.of != of) {
            reasons.push(format!("it has no proof of {what}"));
        }
    }
    let failed = record.proof.iter().filter(|proof| !proof.holds);
    reasons.extend(failed.map(|proof| format!("not proven: {} ({})", proof.what, proof.seen)));
    if record.healed.is_none() {
        reasons.push("it was not seen to be undone".to_owned());
    }
    let lasted = record.done.zip(record.undone).map(|(done, undone)| undone.since(done));
    if lasted.is_none_or(|lasted| lasted < planned.lasts) {
        reasons.push(format!("it did not last for {:?}", planned.lasts));
    }
    reasons
}

fn no_exposure(record: &DisturbanceRecord) -> Option<String> {
    match record.exposure {
        None => Some("what the buffer held was not read".to_owned()),
        Some(0) => Some("exposure 0: the buffer held nothing that could have been lost".to_owned()),
        Some(_) => None,
    }
}

fn kept_elsewhere(figures: &DisturbanceFigures) -> Option<String> {
    let acks = figures.acks_during;
    let why = "nobody could be told of a stored write: they are kept elsewhere";
    (acks > 0).then(|| format!("{acks} writes were acknowledged while {why}"))
}

fn nothing_waited(figures: &DisturbanceFigures) -> Option<String> {
    let none = figures.outage.is_some() && figures.acks_during == 0;
    none.then(|| "no write was acknowledged while it lasted: nothing had to wait for the database".to_owned())
}

fn never_fired(planned: &DisturbancePlan, reason: String) -> DisturbanceJudgement {
    DisturbanceJudgement {
        id: planned.id.clone(),
        disturbance: planned.disturbance,
        verdict: Verdict::Inconclusive,
        at: None,
        lasted: None,
        exposure: None,
        cost: Conservation::default(),
        acks_before: 0,
        acks_after: 0,
        recovery: None,
        broken: None,
        shown: Vec::new(),
        facts: Vec::new(),
        reasons: vec![reason],
        proof: Vec::new(),
    }
}
