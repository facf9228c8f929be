//! Strangers: processes that are not the run's, and took processors away from it.
//!
//! In: what the machine was busy with, second by second. Out: how much of that was not the run's own. A limit that was
//! missed on a machine that others used, too, was not shown to be missed by the target; one that was kept in spite of
//! them was kept.
//!
//! # Why they excuse no URL
//! Whom a target that was not started here asks for help (its database, a proxy before it) nobody can know, nor whom its
//! supervisor starts in its place: they would be strangers, and a slow target would be excused by its own work. So of a URL
//! on this machine the report says what others took beside those who listen there, and a missed limit stays missed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::plan::Plan;
use crate::readback::cpu::MachineReading;

/// In processors, over the load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Strangers {
    pub mean: f64,
    pub peak: f64,
    /// The share of the time in which they took half a processor or more.
    pub disturbed: f64,
}

/// Half a processor of somebody else's is a queue for one of ours.
const DISTURBS: f64 = 0.5;
/// A p99 is the worst hundredth: strangers in a hundredth of the time can be all of it.
const TOLERATED: f64 = 0.01;

impl Strangers {
    /// `None`: the machine was not read.
    pub fn of(evidence: &Evidence) -> Option<Self> {
        let readings = &evidence.incidents.machine;
        let (first, last) = (readings.first()?, readings.last()?);
        let spans: Vec<(f64, f64)> = readings.windows(2).filter_map(|pair| taken(&pair[0], &pair[1])).collect();
        let (_, mean) = taken(first, last)?;
        let disturbed: f64 = spans.iter().filter(|(_, cores)| *cores >= DISTURBS).map(|(lasted, _)| lasted).sum();
        Some(Strangers {
            mean,
            peak: spans.iter().map(|(_, cores)| *cores).fold(0.0, f64::max),
            disturbed: disturbed / last.at.since(first.at).as_secs_f64(),
        })
    }

    /// Whether a figure that depends on time may be theirs.
    pub fn disturb(&self) -> bool {
        self.disturbed > TOLERATED
    }

    /// The same, where they are surely nobody's who works for the target.
    pub fn excuse(&self, plan: &Plan) -> bool {
        self.disturb() && plan.url.is_none()
    }
}

/// Seconds between two readings, and processors that others took in them. The kernel counts in ticks, and not all of
/// /proc at one moment: a little less than nothing is nothing.
fn taken(from: &MachineReading, to: &MachineReading) -> Option<(f64, f64)> {
    let lasted = to.at.since(from.at).as_secs_f64();
    let spent = |from: Duration, to: Duration| to.as_secs_f64() - from.as_secs_f64();
    let others = spent(from.busy, to.busy) - spent(from.own, to.own);
    (lasted > 0.0).then(|| (lasted, others.max(0.0) / lasted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{Verdict, canned};
    use crate::clock::Offset;
    use crate::load::ledger::Reason;
    use crate::plan::{Gate, GateMetric};

    /// A minute, second by second, in which others take `others(second)` processors beside one of our own.
    fn readings(others: impl Fn(u64) -> f64) -> Vec<MachineReading> {
        let (mut busy, mut own) = (Duration::from_secs(1000), Duration::from_secs(10));
        let mut reading = |second| {
            own += Duration::from_secs(1);
            busy += Duration::from_secs(1) + Duration::from_secs_f64(others(second));
            MachineReading { at: Offset(second * 1_000_000_000), busy, own }
        };
        (0..=60).map(&mut reading).collect()
    }

    fn strangers(others: impl Fn(u64) -> f64) -> Option<Strangers> {
        let mut canned = canned::healthy();
        canned.evidence.incidents.machine = readings(others);
        Strangers::of(&canned.evidence)
    }

    #[test]
    fn what_is_not_own_is_theirs() {
        let burning = strangers(|_| 0.9).unwrap();
        assert!((burning.mean - 0.9).abs() < 1e-6 && burning.disturb(), "{burning:?}");
        let quiet = strangers(|_| 0.1).unwrap();
        assert!((quiet.peak - 0.1).abs() < 1e-6 && !quiet.disturb(), "{quiet:?}");
        let burst = strangers(|second| if second == 30 { 1.0 } else { 0.0 }).unwrap();
        assert!((burst.peak - 1.0).abs() < 1e-6 && burst.disturb(), "{burst:?}");
    }

    #[test]
    fn a_limit_that_is_missed_on_a_disturbed_machine_fails_nobody_and_one_that_is_kept_is_kept() {
        let verdict = |others: f64, limit| {
            let mut canned = canned::healthy();
            let gate = Gate { metric: GateMetric::P99, phase: None, limit };
            canned.plan.gates = vec![gate.clone()];
            canned.evidence.incidents.machine = readings(|_| others);
            canned.judge().finding(&gate.name()).verdict
        };
        assert_eq!(verdict(0.0, 0.0001), Verdict::Fail);
        assert_eq!(verdict(0.9, 0.0001), Verdict::Inconclusive);
        assert_eq!(verdict(0.9, 0.1), Verdict::Pass);
    }

    #[test]
    fn where_nobody_listens_no_stranger_is_to_blame() {
        let verdict = |reason| {
            let mut canned = canned::healthy();
            let gate = Gate { metric: GateMetric::ErrorRate, phase: None, limit: 0.001 };
            canned.plan.gates = vec![gate.clone()];
            canned.evidence.incidents.machine = readings(|_| 0.9);
            canned.attempts(|attempts| {
                for attempt in attempts.iter_mut().filter(|attempt| attempt.op % 200 == 0) {
                    canned::refuse(attempt);
                    attempt.reason = reason;
                }
            });
            canned.judge().finding(&gate.name()).verdict
        };
        assert_eq!(verdict(Reason::ConnectRefused), Verdict::Fail);
        assert_eq!(verdict(Reason::NotStored), Verdict::Inconclusive, "a full buffer may be a slow machine's");
    }

    #[test]
    fn a_machine_that_was_not_read_excuses_nothing() {
        let canned = canned::healthy();
        assert_eq!(Strangers::of(&canned.evidence), None);
    }
}
