//! Starts, one by one: slots that a step fills while the load goes on.
//!
//! In: the plan's starts, the timeline's record of each, who acknowledged what. Out: a [`StartJudgement`] for every
//! *planned* start. One that never fired, is not proven, was not ready in time, or acknowledged nothing afterwards,
//! shows nothing; where the plan claims F1, so does one without a backlog: nothing could be fragmented by it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::{Evidence, Verdict};
use crate::clock::Offset;
use crate::plan::{Claim, Plan, StartPlan};
use crate::timeline::incident::StartRecord;

/// A planned start, with the evidence that was found for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartJudgement {
    pub id: String,
    pub verdict: Verdict,
    /// `None`: nothing fills the slot.
    pub instance: Option<String>,
    pub at: Option<Offset>,
    /// Tasks in the buffer when it began; `None`: not read.
    pub backlog: Option<u64>,
    /// From its begin until the instance was ready.
    pub took: Option<Duration>,
    /// Operations that the instance acknowledged; `None`: it answers no requests.
    pub acks: Option<u64>,
    /// What it is not a proof of, and why; empty for a pass.
    pub reasons: Vec<String>,
    /// `what: seen`, each with whether it holds.
    pub proof: Vec<(String, bool)>,
}

pub(super) fn judge(plan: &Plan, evidence: &Evidence, classes: &Classes) -> Vec<StartJudgement> {
    let starts = plan.timeline.iter().flat_map(|step| &step.starts);
    starts
        .map(|planned| match evidence.incidents.start(&planned.id) {
            Some(record) => fired(plan, planned, record, classes),
            None => never_fired(planned),
        })
        .collect()
}

fn fired(plan: &Plan, planned: &StartPlan, record: &StartRecord, classes: &Classes) -> StartJudgement {
    let answering = record.instance.as_ref().filter(|instance| instance.slot.role.answers_requests());
    let acks = answering.map(|instance| classes.acked_by(instance.id));
    let mut reasons = unproven(plan, planned, record);
    if plan.claims.contains(&Claim::F1) {
        reasons.extend(no_backlog(record));
    }
    if acks == Some(0) {
        reasons.push("it never acknowledged a write: nothing was spread over it".to_owned());
    }
    StartJudgement {
        id: planned.id.clone(),
        verdict: if reasons.is_empty() { Verdict::Pass } else { Verdict::Inconclusive },
        instance: record.instance.as_ref().map(|instance| instance.name.clone()),
        at: Some(record.began),
        backlog: record.backlog,
        took: record.ready.map(|ready| ready.since(record.began)),
        acks,
        reasons,
        proof: record.proof.iter().map(|proof| (format!("{}: {}", proof.what, proof.seen), proof.holds)).collect(),
    }
}

/// Why it is not known that the slot was filled under load, and in time.
fn unproven(plan: &Plan, planned: &StartPlan, record: &StartRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(record.error.as_ref().map(|error| format!("it failed to {error}")));
    match &record.instance {
        None => reasons.push("no instance fills the slot".to_owned()),
        Some(instance) if instance.slot != planned.slot => {
            reasons.push(format!("{} was started, and {} was planned", instance.name, planned.slot));
        }
        Some(_) => {}
    }
    if record.proof.is_empty() {
        reasons.push("it fired without proof".to_owned());
    }
    let failed = record.proof.iter().filter(|proof| !proof.holds);
    reasons.extend(failed.map(|proof| format!("not proven: {} ({})", proof.what, proof.seen)));
    let (took, within) = (record.ready.map(|ready| ready.since(record.began)), plan.target.ready_within);
    match took {
        None => reasons.push("it never became ready".to_owned()),
        Some(took) if took > within => reasons.push(format!("it was ready after {took:.1?}, later than {within:?}")),
        Some(_) => {}
    }
    let end = Offset::from_duration(plan.load_end());
    if record.ready.is_some_and(|ready| ready >= end) {
        reasons.push(format!("the load had ended at {end}, before it was ready"));
    }
    reasons
}

fn no_backlog(record: &StartRecord) -> Option<String> {
    match record.backlog {
        None => Some("the backlog at its begin was not read".to_owned()),
        Some(0) => Some("backlog 0: nothing was queued when it began, so nothing could be fragmented".to_owned()),
        Some(_) => None,
    }
}

fn never_fired(planned: &StartPlan) -> StartJudgement {
    StartJudgement {
        id: planned.id.clone(),
        verdict: Verdict::Inconclusive,
        instance: None,
        at: None,
        backlog: None,
        took: None,
        acks: None,
        reasons: vec!["it never fired".to_owned()],
        proof: Vec::new(),
    }
}
