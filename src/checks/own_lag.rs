//! Own lag: what response times owe to our having woken late.
//!
//! In: operations, in the order in which they were due. Out: their response times without it, and whether a limit of
//! latency was missed by nothing else. Such a miss accuses nobody: up to its own limit a lag is tolerated, and a limit of
//! latency may be narrower.
//!
//! # Why all that one wake begins has the lag of its first
//! What became due while we slept is sent at once then, and queues behind each other, for our connections and in the
//! target. What serves in turn is late by no more than what reached it was, and that is the longest lag of the wake. So
//! a response time without it is the least that a generator which is never late would have seen: a target that is too
//! slow even so is too slow.

use std::time::Duration;

use super::Case;
use super::generator::threads_remedy;
use crate::clock::Offset;
use crate::load::Attempt;
use crate::load::latency::response;
use crate::plan::Gate;

/// The last wake of each shard.
#[derive(Debug)]
pub(super) struct Wakes(Vec<Wake>);

/// When one shard woke, and since when it should have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wake {
    woke: Offset,
    first_due: Offset,
}

impl Wakes {
    pub fn of(shards: u16) -> Wakes {
        Wakes(vec![Wake::default(); shards.max(1).into()])
    }

    /// Of the next operation, whichever shard's it is.
    pub fn lag(&mut self, operation: &Attempt) -> Duration {
        let shard = operation.op % self.0.len() as u64;
        self.0[shard as usize].lag(operation.due, operation.woke)
    }
}

impl Wake {
    /// Of the shard's next operation.
    pub fn lag(&mut self, due: Offset, woke: Offset) -> Duration {
        if woke != self.woke {
            *self = Wake { woke, first_due: due };
        }
        self.woke.since(self.first_due)
    }
}

/// What [`response`] is of, this lag taken off.
pub(super) fn response_without(lag: Duration, operation: &Attempt, timeout: Duration) -> Option<Duration> {
    let measured = operation.done.map_or(Duration::ZERO, |done| done.since(operation.due));
    response(operation.outcome, measured.saturating_sub(lag), timeout)
}

/// Why a gate that was missed accuses nobody, where own lag alone can have missed it; and what helps.
pub(super) fn excuse(case: &Case, gate: &Gate) -> Option<(String, String)> {
    let without = case.figures.timing.without_lag(gate.phase).percentiles().of(gate.metric)?;
    let lag = case.figures.timing.histograms().woke_late.percentiles().of(gate.metric)?;
    (without <= gate.limit).then(|| {
        let ms = |seconds: f64| seconds * 1e3;
        let word = gate.metric.word();
        let why = format!(
            "mxctl itself woke late (own lag {word} {:.1} ms): without that it may be {:.1} ms",
            ms(lag),
            ms(without)
        );
        (why, threads_remedy(&case.plan.load))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned::{self, Canned};
    use crate::checks::{Finding, Judgement, Verdict};
    use crate::plan::{GateMetric, RunPhase};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn p99(phase: Option<RunPhase>, limit: f64) -> Gate {
        Gate { metric: GateMetric::P99, phase, limit }
    }

    fn judged(gate: &Gate, change: impl FnOnce(&mut Vec<Attempt>)) -> Judgement {
        let mut canned = canned::load_test();
        canned.plan.gates = vec![gate.clone()];
        canned.attempts(change);
        canned.judge()
    }

    fn finding(gate: &Gate, change: impl FnOnce(&mut Vec<Attempt>)) -> Finding {
        judged(gate, change).finding(&gate.name()).clone()
    }

    /// Wakes 12 ms late for one in fifty, and is answered so quickly.
    fn late(answered: Duration) -> impl Fn(&mut Vec<Attempt>) {
        move |attempts| {
            for a in attempts.iter_mut() {
                a.woke = if a.op % 50 == 0 { a.due.plus(MS(12)) } else { a.due };
                (a.free, a.sent, a.done) = (a.woke, Some(a.woke), Some(a.woke.plus(answered)));
            }
        }
    }

    #[test]
    fn a_limit_that_own_lag_alone_missed_fails_nobody_and_says_what_helps() {
        let judgement = judged(&p99(None, 0.005), late(MS(2)));
        assert_eq!(judgement.finding("generator").verdict, Verdict::Pass, "it is within the limit of own lag");
        let found = judgement.finding("p99");
        assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
        assert!(found.summary.contains("woke late (own lag p99 12.0 ms): without that it may be 2.0 ms"), "{found:?}");
        assert!(found.details.iter().any(|told| told.contains("more `--threads`")), "{found:?}");
    }

    #[test]
    fn a_target_that_is_too_slow_without_it_fails() {
        let slow = finding(&p99(None, 0.005), late(MS(6)));
        assert_eq!(slow.verdict, Verdict::Fail, "{slow:?}");
        let seldom = |attempts: &mut Vec<Attempt>| {
            late(MS(2))(attempts);
            for a in attempts.iter_mut().filter(|a| a.op % 50 == 25) {
                a.done = Some(a.woke.plus(MS(6)));
            }
        };
        let slow = finding(&p99(None, 0.005), seldom);
        assert_eq!(slow.verdict, Verdict::Fail, "the lag of others excuses no operation: {slow:?}");
    }

    #[test]
    fn a_limit_that_is_kept_in_spite_of_it_is_kept() {
        assert_eq!(finding(&p99(None, 0.015), late(MS(2))).verdict, Verdict::Pass);
    }

    #[test]
    fn each_phase_has_its_own() {
        let verdict = |phase| {
            let (gate, mut canned) = (p99(Some(phase), 0.005), canned::healthy());
            canned.plan.gates = vec![gate.clone()];
            let phases = super::super::phases::Phases::of(&canned.plan, &canned.evidence.incidents);
            canned.attempts(|attempts| {
                late(MS(2))(attempts);
                for a in attempts.iter_mut().filter(|a| phases.at(a.due) == RunPhase::Fault) {
                    a.done = Some(a.woke.plus(MS(50)));
                }
            });
            canned.judge().finding(&gate.name()).verdict
        };
        assert_eq!([verdict(RunPhase::Steady), verdict(RunPhase::Fault)], [Verdict::Inconclusive, Verdict::Fail]);
    }

    #[test]
    fn what_was_sent_at_once_after_a_late_wake_waits_for_each_other_on_our_account() {
        let mut wakes = Wakes::of(1);
        let mut canned: Canned = canned::load_test();
        let until = Offset::from_duration(MS(1_020));
        let asleep = Offset::from_duration(Duration::from_secs(1))..until;
        let mut lags = Vec::new();
        canned.attempts(|attempts| {
            for a in attempts.iter_mut() {
                a.woke = if asleep.contains(&a.due) { until } else { a.due };
                lags.push((a.woke == until, wakes.lag(a)));
            }
        });
        let (late, punctual): (Vec<_>, Vec<_>) = lags.into_iter().partition(|(late, _)| *late);
        assert!(late.len() > 1 && late.iter().all(|(_, lag)| *lag == late[0].1 && *lag > MS(15)), "{late:?}");
        assert!(punctual.iter().all(|(_, lag)| lag.is_zero()));
    }

    #[test]
    fn shards_wake_each_for_itself() {
        let attempt = canned::load_test().of(0);
        let (mut wakes, at) = (Wakes::of(2), |ms| Offset::from_duration(MS(ms)));
        let mut lag = |op, due, woke| wakes.lag(&Attempt { op, due: at(due), woke: at(woke), ..attempt });
        assert_eq!([lag(0, 10, 30), lag(1, 11, 11), lag(2, 12, 30)], [MS(20), MS(0), MS(20)]);
    }

    #[test]
    fn an_unknown_without_lag_is_no_faster_than_the_time_out() {
        let mut unknown = canned::load_test().of(0);
        canned::forget(&mut unknown);
        assert_eq!(response_without(MS(12), &unknown, MS(2_000)), Some(MS(2_000)));
        let refused = Attempt { outcome: crate::load::Outcome::Refused, ..unknown };
        assert_eq!(response_without(MS(12), &refused, MS(2_000)), None);
    }
}
