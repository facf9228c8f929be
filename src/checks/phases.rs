//! The phases of a run: steady, fault, recovery.
//!
//! In: the plan's windows and what the timeline did. Out: for any moment its phase. A stop is a fault from its first
//! act until its replacement is ready, the paused instance is ready again, or the one that is not replaced has ended
//! (for good, where none of this ever was), then a recovery for the stop's window. A disturbance is one from its act
//! until a write is stored again, and its recovery lasts for its own window. A start is a fault, too, until the
//! new instance is ready, and its recovery lasts as long as the longest window of the plan's stops: it takes processor
//! time from the others, and requests before its caches are warm. Where several overlap, fault outranks recovery
//! outranks steady.
//!
//! An operation is in the phase in which it was due, with one exception: a request that was open at a victim when it
//! was struck, and got no answer, is the fault's, though it was due just before; and so is one that was open during a
//! disturbance, and was not acknowledged.

use std::time::Duration;

use super::spans::{self, Span, struck, touches};
use crate::backends::InstanceId;
use crate::clock::Offset;
use crate::load::{Attempt, Outcome};
use crate::plan::{Plan, Replaced, RunPhase};
use crate::timeline::{Incidents, StopRecord};

/// The recovery of a start, in a plan without a stop whose window could be taken.
const WINDOW: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Phases {
    faults: Vec<Span>,
    recoveries: Vec<Span>,
    /// Who was struck when.
    blows: Vec<(InstanceId, Offset)>,
    /// Whatever was open then may have failed by it.
    disturbed: Vec<Span>,
    load_end: Offset,
    /// When the load's rate stays what it is.
    levels: Vec<Span>,
}

impl Phases {
    pub fn of(plan: &Plan, incidents: &Incidents) -> Self {
        let span = |(from, to)| (Offset::from_duration(from), Offset::from_duration(to));
        let mut phases = Phases {
            load_end: Offset::from_duration(plan.load_end()),
            levels: plan.load.shape.levels().into_iter().map(span).collect(),
            ..Phases::default()
        };
        for stop in incidents.steps.iter().flat_map(|step| &step.stops) {
            let planned = plan.stops().find(|planned| planned.id == stop.id);
            let window = planned.map(|planned| planned.window).unwrap_or_default();
            let never = planned.is_some_and(|planned| planned.replaced == Replaced::Never);
            phases.fault(stop.began, over(stop, never), window);
            phases.blows.push((stop.victim.id, struck(stop)));
        }
        for record in incidents.disturbances() {
            let planned = plan.disturbances().find(|planned| planned.id == record.id);
            phases.fault(record.began, record.healed, planned.map(|planned| planned.window).unwrap_or_default());
            phases.disturbed.push(spans::disturbed(record));
        }
        let window = plan.stops().map(|stop| stop.window).max().unwrap_or(WINDOW);
        for start in incidents.steps.iter().flat_map(|step| &step.starts) {
            phases.fault(start.began, start.ready, window);
        }
        phases
    }

    fn fault(&mut self, began: Offset, over: Option<Offset>, window: Duration) {
        let over = over.unwrap_or(Offset(u64::MAX));
        self.faults.push((began, over));
        self.recoveries.push((over, over.plus(window)));
    }

    pub fn of_operation(&self, operation: &Attempt) -> RunPhase {
        let cut_off = |(victim, blow): &(InstanceId, Offset)| {
            let (sent, done) = (operation.sent, operation.done);
            operation.instance == *victim && sent.is_some_and(|at| at <= *blow) && done.is_none_or(|at| at >= *blow)
        };
        match operation.outcome {
            Outcome::Unknown if self.blows.iter().any(cut_off) => RunPhase::Fault,
            Outcome::Refused | Outcome::Unknown if self.disturbed.iter().any(|span| touches(operation, *span)) => {
                RunPhase::Fault
            }
            _ => self.at(operation.due),
        }
    }

    pub fn at(&self, moment: Offset) -> RunPhase {
        let within = |spans: &[Span]| spans.iter().any(|(from, to)| (*from..*to).contains(&moment));
        if within(&self.faults) {
            RunPhase::Fault
        } else if within(&self.recoveries) {
            RunPhase::Recovery
        } else {
            RunPhase::Steady
        }
    }

    /// The longest stretch of the load at one rate, without a fault or a recovery; an empty one where there is none.
    pub fn longest_steady(&self) -> Span {
        let mut disturbed: Vec<Span> = self.faults.iter().chain(&self.recoveries).copied().collect();
        disturbed.sort();
        let (mut longest, length) = ((Offset::ZERO, Offset::ZERO), |(from, to): Span| to.since(from));
        for level in &self.levels {
            let stretch = longest_between(&disturbed, *level);
            if length(stretch) > length(longest) {
                longest = stretch;
            }
        }
        longest
    }
}

/// The longest stretch of a span outside these others, which are in order.
fn longest_between(disturbed: &[Span], (begin, end): Span) -> Span {
    let (mut longest, mut from) = ((begin, begin), begin);
    for (began, ended) in disturbed.iter().copied().chain([(end, end)]) {
        let until = began.min(end);
        if until.since(from) > longest.1.since(longest.0) {
            longest = (from, until);
        }
        from = from.max(ended);
    }
    longest
}

/// When what a stop disturbed was as it was to be.
fn over(stop: &StopRecord, never_replaced: bool) -> Option<Offset> {
    let ended = stop.exit.map(|exit| exit.at).filter(|_| never_replaced);
    stop.healed.or(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;

    fn seconds(n: u64) -> Offset {
        Offset::from_duration(Duration::from_secs(n))
    }

    fn with_faults(faults: &[(u64, u64)]) -> Phases {
        let span = |&(from, to): &(u64, u64)| (seconds(from), seconds(to));
        let recoveries = faults.iter().map(|&(_, to)| (seconds(to), seconds(to + 5)));
        Phases {
            faults: faults.iter().map(span).collect(),
            recoveries: recoveries.collect(),
            blows: Vec::new(),
            disturbed: Vec::new(),
            load_end: seconds(60),
            levels: vec![(seconds(0), seconds(60))],
        }
    }

    #[test]
    fn a_fault_lasts_until_the_replacement_is_ready_and_its_window_is_recovery() {
        let phases = with_faults(&[(10, 12), (14, 20)]);
        assert_eq!(phases.at(seconds(9)), RunPhase::Steady);
        assert_eq!(phases.at(seconds(10)), RunPhase::Fault);
        assert_eq!(phases.at(seconds(13)), RunPhase::Recovery);
        assert_eq!(phases.at(seconds(15)), RunPhase::Fault, "it outranks the recovery of the stop before");
        assert_eq!(phases.at(seconds(24)), RunPhase::Recovery);
        assert_eq!(phases.at(seconds(25)), RunPhase::Steady);
    }

    #[test]
    fn a_start_and_a_pause_are_faults_until_the_instance_is_ready() {
        let canned = canned::scale_out();
        let phases = Phases::of(&canned.plan, &canned.evidence.incidents);
        let at = |seconds: f64| phases.at(Offset((seconds * 1e9) as u64));
        assert_eq!(
            [at(9.9), at(10.5), at(11.9), at(17.0)],
            [RunPhase::Steady, RunPhase::Fault, RunPhase::Recovery, RunPhase::Steady]
        );
        assert_eq!(
            [at(25.0), at(28.6), at(29.0), at(34.0)],
            [RunPhase::Fault, RunPhase::Fault, RunPhase::Recovery, RunPhase::Steady]
        );
    }

    #[test]
    fn a_stop_without_replacement_is_a_fault_until_its_process_has_ended() {
        let mut canned = canned::healthy();
        canned.stop(canned::LAST_STOP, |stop| stop.healed = None);
        canned.plan.timeline[1].stops[1].replaced = Replaced::Never;
        let phases = Phases::of(&canned.plan, &canned.evidence.incidents);
        let ended = canned.record(canned::LAST_STOP).exit.unwrap().at;
        assert_eq!(phases.at(ended.minus(Duration::from_millis(1))), RunPhase::Fault);
        assert_eq!(phases.at(ended), RunPhase::Recovery);
    }

    #[test]
    fn a_stop_that_never_healed_is_a_fault_for_good() {
        let mut canned = canned::healthy();
        canned.stop(canned::LAST_STOP, |stop| stop.healed = None);
        let phases = Phases::of(&canned.plan, &canned.evidence.incidents);
        assert_eq!(phases.at(Offset(u64::MAX - 1)), RunPhase::Fault);
    }

    #[test]
    fn a_request_that_a_blow_cut_off_is_the_faults_though_it_was_due_before() {
        let mut canned = canned::healthy();
        let (began, victim) = (canned.record(canned::HARD_API).began, canned.record(canned::HARD_API).victim.id);
        let before = |a: &Attempt| a.instance == victim && a.due < began;
        let mut last = canned.evidence.ledger.attempts().filter(before).last().unwrap();
        canned::forget(&mut last);
        let phases = Phases::of(&canned.plan, &canned.evidence.incidents);
        assert_eq!(phases.at(last.due), RunPhase::Steady);
        assert_eq!(phases.of_operation(&last), RunPhase::Fault);
        canned.stop(canned::HARD_API, |stop| stop.victim.id = InstanceId(77));
        let phases = Phases::of(&canned.plan, &canned.evidence.incidents);
        assert_eq!(phases.of_operation(&last), RunPhase::Steady, "another instance was struck");
    }

    #[test]
    fn the_longest_steady_stretch_lies_between_the_disturbances() {
        assert_eq!(with_faults(&[]).longest_steady(), (seconds(0), seconds(60)));
        assert_eq!(with_faults(&[(10, 12), (30, 31)]).longest_steady(), (seconds(36), seconds(60)));
        assert_eq!(with_faults(&[(5, 12), (40, 80)]).longest_steady(), (seconds(17), seconds(40)));
    }

    #[test]
    fn a_steady_stretch_has_one_rate() {
        let mut phases = with_faults(&[(10, 12)]);
        phases.levels = vec![(seconds(5), seconds(30)), (seconds(30), seconds(50))];
        assert_eq!(phases.longest_steady(), (seconds(30), seconds(50)));
        phases.levels.clear();
        assert_eq!(phases.longest_steady(), (seconds(0), seconds(0)), "a ramp is never steady");
    }
}
