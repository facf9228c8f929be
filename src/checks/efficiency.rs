//! Efficiency: what another instance is worth (evidence E1).
//!
//! In: the ledger, the scale steps as they were played, and the processor time that every instance had used. Out: one
//! [`Plateau`] for each stretch of the load between two steps that begins with the load or with a new number of
//! instances: throughput, response times, processor time. Figures, and no verdict.
//!
//! # Why processor time
//! With an open loop the rate is the plan's, whoever answers: throughput per instance would only mirror the plan. What
//! scaling costs shows in how many operations a second of processor time does, compared with the first plateau.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spans::Span;
use super::{Conservation, Evidence, instances, latency, operations};
use crate::backends::InstanceId;
use crate::clock::Offset;
use crate::load::Attempt;
use crate::load::latency::{Durations, response_of};
use crate::plan::{Plan, StepKind};
use crate::timeline::{Incidents, StepRecord};

/// The part of a plateau that the readings of an instance's processor time must span.
const SPANNED: f64 = 0.5;

/// A stretch of the load with one number of instances, and no step in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plateau {
    pub from: Offset,
    pub to: Offset,
    /// Instances that answered requests.
    pub answering: u64,
    /// All instances, workers too.
    pub instances: u64,
    /// Operations of all lanes that were due in it.
    pub due: u64,
    /// Operations a second, of all lanes: due, given to a connection, acknowledged.
    pub offered: f64,
    pub achieved: f64,
    pub acked: f64,
    pub response_ms_p50: f64,
    pub response_ms_p99: f64,
    /// Seconds of processor time a second, of all instances together; `None`: not read for each of them.
    pub cpu: Option<f64>,
    /// Seconds of processor time for 1,000 acknowledged operations.
    pub cpu_per_1000: Option<f64>,
    /// Operations that a second of processor time does, relative to the first plateau.
    pub efficiency: Option<f64>,
}

/// The curve; empty for a plan that never scales.
pub(super) fn curve(plan: &Plan, evidence: &Evidence) -> Vec<Plateau> {
    if plan.timeline.iter().all(|step| step.kind != StepKind::Scale) {
        return Vec::new();
    }
    let mut measured: Vec<Measured> =
        spans(plan, evidence).into_iter().map(|span| Measured { span, ..Measured::default() }).collect();
    let load_over = evidence.ledger.issued_until().plus(plan.load.grace);
    for operation in operations::operations(&evidence.ledger) {
        let within = |measured: &&mut Measured| (measured.span.0..measured.span.1).contains(&operation.due);
        if let Some(measured) = measured.iter_mut().find(within) {
            measured.see(&latency::aged(&operation, load_over), plan.load.request_timeout);
        }
    }
    let mut curve: Vec<Plateau> = measured.iter().map(|measured| measured.plateau(&evidence.incidents)).collect();
    relate(&mut curve);
    curve
}

/// From the load's begin, or from when a scale step had its effect, to the next step, or to the load's end.
fn spans(plan: &Plan, evidence: &Evidence) -> Vec<Span> {
    let end = Offset::from_duration(plan.load_end()).min(evidence.ledger.issued_until());
    let steps = &evidence.incidents.steps;
    let scales =
        |record: &StepRecord| plan.timeline.iter().any(|step| step.id == record.id && step.kind == StepKind::Scale);
    let next = |from: usize| steps.get(from).map_or(end, |step| step.began.min(end));
    let scaled = steps.iter().enumerate().filter(|(_, step)| scales(step));
    let after = scaled.map(|(place, step)| (took_effect(step), next(place + 1)));
    std::iter::once((Offset::ZERO, next(0))).chain(after).filter(|(from, to)| from < to).collect()
}

/// When the last of its instances was ready; a step that stops some had its effect when it was over.
fn took_effect(step: &StepRecord) -> Offset {
    let ready: Option<Vec<Offset>> = step.starts.iter().map(|start| start.ready).collect();
    match ready.and_then(|ready| ready.into_iter().max()) {
        Some(last) if step.stops.is_empty() => last,
        _ => step.ended,
    }
}

/// What the ledger shows in one stretch.
#[derive(Default)]
struct Measured {
    span: Span,
    outcomes: Conservation,
    responses: Durations,
}

impl Measured {
    fn see(&mut self, operation: &Attempt, timeout: Duration) {
        latency::count(&mut self.outcomes, operation.outcome);
        if let Some(response) = response_of(operation, timeout) {
            self.responses.record(response);
        }
    }

    fn plateau(&self, incidents: &Incidents) -> Plateau {
        let (from, to) = self.span;
        let rate = |count: u64| count as f64 / to.since(from).as_secs_f64();
        let there: Vec<_> = instances::living(incidents, from).collect();
        let used: Option<Vec<f64>> = there.iter().map(|instance| used(incidents, instance.id, self.span)).collect();
        let cpu = used.map(|used| used.iter().sum::<f64>());
        let (acked, responses) = (rate(self.outcomes.acked), self.responses.percentiles());
        Plateau {
            from,
            to,
            answering: there.iter().filter(|instance| instance.slot.role.answers_requests()).count() as u64,
            instances: there.len() as u64,
            due: self.outcomes.due,
            offered: rate(self.outcomes.due),
            achieved: rate(self.outcomes.due - self.outcomes.not_sent),
            acked,
            response_ms_p50: responses.p50,
            response_ms_p99: responses.p99,
            cpu,
            cpu_per_1000: cpu.filter(|_| acked > 0.0).map(|cpu| cpu / acked * 1000.0),
            efficiency: None,
        }
    }
}

/// Seconds of processor time a second, between the first and the last reading of this stretch.
fn used(incidents: &Incidents, id: InstanceId, (from, to): Span) -> Option<f64> {
    let mut readings = incidents.cpu.iter().filter(|read| read.instance == id && (from..=to).contains(&read.at));
    let first = readings.next()?;
    let last = readings.next_back()?;
    let spanned = last.at.since(first.at).as_secs_f64();
    let enough = spanned > 0.0 && spanned >= SPANNED * to.since(from).as_secs_f64();
    enough.then(|| last.used.saturating_sub(first.used).as_secs_f64() / spanned)
}

fn relate(curve: &mut [Plateau]) {
    let Some(first) = curve.first().and_then(|first| first.cpu_per_1000) else { return };
    for plateau in curve {
        plateau.efficiency = plateau.cpu_per_1000.filter(|cost| *cost > 0.0).map(|cost| first / cost);
    }
}

/// Whether any plateau lacks its processor time.
pub(super) fn cpu_unread(curve: &[Plateau]) -> bool {
    curve.iter().any(|plateau| plateau.cpu.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;

    fn seconds(n: f64) -> Offset {
        Offset((n * 1e9) as u64)
    }

    #[test]
    fn a_plateau_lasts_from_the_last_start_to_the_next_step() {
        let curve = canned::scale_out().judge().efficiency;
        let spans: Vec<Span> = curve.iter().map(|plateau| (plateau.from, plateau.to)).collect();
        assert_eq!(spans, [(seconds(0.0), seconds(10.0)), (seconds(11.8), seconds(20.0))]);
        let there: Vec<(u64, u64)> = curve.iter().map(|plateau| (plateau.answering, plateau.instances)).collect();
        assert_eq!(there, [(1, 3), (3, 5)]);
        for plateau in &curve {
            assert!((plateau.offered - 100.0).abs() < 0.5 && (plateau.acked - 100.0).abs() < 0.5, "{plateau:?}");
            assert!((plateau.response_ms_p50 - 2.4).abs() < 0.1, "{plateau:?}");
        }
    }

    #[test]
    fn efficiency_is_what_processor_time_does_relative_to_the_first_plateau() {
        let curve = canned::scale_out().judge().efficiency;
        // Three processes and a fifth of a second for the requests; then five, and three of them share a fifth more work.
        let (first, second) = (3.0 * 0.05 + 0.2, 5.0 * 0.05 + 0.24);
        assert!((curve[0].cpu.unwrap() - first).abs() < 1e-9 && (curve[1].cpu.unwrap() - second).abs() < 1e-9);
        assert!((curve[0].cpu_per_1000.unwrap() - 3.5).abs() < 0.05, "{curve:?}");
        assert_eq!(curve[0].efficiency, Some(1.0));
        assert!((curve[1].efficiency.unwrap() - first / second).abs() < 0.01);
    }

    #[test]
    fn processor_time_that_was_not_read_of_everybody_is_not_assessed() {
        let mut canned = canned::scale_out();
        let newest = canned.evidence.incidents.start("1:scale/api-3").unwrap().instance.clone().unwrap().id;
        canned.evidence.incidents.cpu.retain(|read| read.instance != newest || read.at > seconds(17.0));
        let judgement = canned.judge();
        assert!(judgement.efficiency[0].cpu.is_some());
        assert_eq!((judgement.efficiency[1].cpu, judgement.efficiency[1].efficiency), (None, None));
        assert!(judgement.not_assessed.iter().any(|told| told.starts_with("E1, processor time")));
    }

    #[test]
    fn a_plan_that_never_scales_has_no_curve() {
        assert!(canned::healthy().judge().efficiency.is_empty());
    }
}
