//! Own lag: what response times owe to our having woken late.
//!
//! In: operations, as they begin in the order in which they were due, and end. Out: their response times without it, and
//! whether a limit of latency was missed by nothing else. Such a miss accuses nobody: up to its own limit a lag is
//! tolerated, and a limit of latency may be narrower.
//!
//! # Why all that one wake begins has the lag of its first
//! What became due while we slept is sent at once then, and queues behind each other, for our connections and in the
//! target. What serves in turn is late by no more than what reached it was, and that is the longest lag of the wake. So
//! a response time without it is the least that a generator which is never late would have seen: a target that is too
//! slow even so is too slow.
//!
//! # What it does not see
//! What becomes due just after a late wake may still queue behind its burst in the target, and has no lag of its own. And
//! where nothing was due nobody knows that a shard slept, nor that an answer was heard late. There a target may still be
//! accused of what was ours, within the limit that a run has for own lag.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Case;
use super::generator::threads_remedy;
use super::latency::Timing;
use crate::clock::Offset;
use crate::load::Attempt;
use crate::load::latency::{at_least, response_of};
use crate::plan::{Gate, RunPhase};

/// A wake that is late by no more is none: at high rates so much becomes due before a shard looks again.
const IN_TIME: Duration = Duration::from_millis(1);

/// One shard, as its operations tell when it woke.
#[derive(Debug)]
pub(super) struct Sleeper {
    timeout: Duration,
    /// When it woke last, and since when it should have.
    woke: Offset,
    first_due: Offset,
    /// Ended after its last wake: the next one tells whether that was heard in time.
    ended: BinaryHeap<Reverse<Ended>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ended {
    done: Offset,
    /// The lag of its wake taken off.
    took: Duration,
    /// What broke is never faster than the time-out.
    at_least: Duration,
    phase: RunPhase,
}

impl Sleeper {
    pub fn new(timeout: Duration) -> Sleeper {
        let (woke, first_due) = (Offset::ZERO, Offset::ZERO);
        Sleeper { timeout, woke, first_due, ended: BinaryHeap::new() }
    }

    /// The next operation begins. The answer: the lag of its wake.
    pub fn begins(&mut self, due: Offset, woke: Offset, timing: &mut Timing) -> Duration {
        if woke != self.woke {
            (self.woke, self.first_due) = (woke, due);
            self.hears(timing);
        }
        self.woke.since(self.first_due)
    }

    pub fn ends(&mut self, operation: &Attempt, own_lag: Duration, phase: RunPhase) {
        if response_of(operation, self.timeout).is_none() {
            return;
        }
        let at_least = at_least(operation.outcome, self.timeout);
        let done = operation.done.unwrap_or(operation.due);
        let took = done.since(operation.due).saturating_sub(own_lag);
        self.ended.push(Reverse(Ended { done, took, at_least, phase }));
    }

    /// No operation follows.
    pub fn closes(&mut self, timing: &mut Timing) {
        while let Some(Reverse(Ended { took, at_least, phase, .. })) = self.ended.pop() {
            timing.record_without_lag(phase, took.max(at_least));
        }
    }

    /// What had ended by the time at which it woke now.
    fn hears(&mut self, timing: &mut Timing) {
        let late = self.woke.since(self.first_due) > IN_TIME;
        while let Some(Reverse(Ended { done, .. })) = self.ended.peek() {
            if *done > self.woke {
                break;
            }
            let Reverse(Ended { done, took, at_least, phase }) = self.ended.pop().expect("it was seen");
            let heard_late = if late { done.since(self.first_due) } else { Duration::ZERO };
            timing.record_without_lag(phase, took.saturating_sub(heard_late).max(at_least));
        }
    }
}

/// All shards of a load.
#[derive(Debug)]
pub(super) struct Sleepers(Vec<Sleeper>);

impl Sleepers {
    pub fn of(shards: u16, timeout: Duration) -> Sleepers {
        Sleepers((0..shards.max(1)).map(|_| Sleeper::new(timeout)).collect())
    }

    /// Of the next operation, whichever shard's it is: its begin, and its end.
    pub fn record(&mut self, operation: &Attempt, phase: RunPhase, timing: &mut Timing) {
        let shard = operation.op % self.0.len() as u64;
        let shard = &mut self.0[shard as usize];
        let own_lag = shard.begins(operation.due, operation.woke, timing);
        shard.ends(operation, own_lag, phase);
    }

    pub fn close(mut self, timing: &mut Timing) {
        self.0.iter_mut().for_each(|shard| shard.closes(timing));
    }
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
        (why, threads_remedy("for what woke late", &case.plan.load))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;
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

    /// Response times without lag, in ms, of a shard's operations.
    fn without(shards: u16, attempts: &[Attempt]) -> Vec<u64> {
        let (mut sleepers, mut timing) = (Sleepers::of(shards, MS(2_000)), Timing::default());
        attempts.iter().for_each(|attempt| sleepers.record(attempt, RunPhase::Steady, &mut timing));
        sleepers.close(&mut timing);
        let all = timing.without_lag(None);
        let values = all.0.iter_recorded().flat_map(|v| vec![v.value_iterated_to(); v.count_at_value() as usize]);
        values.map(|ns| ns / 1_000_000).collect()
    }

    /// Due, woken and answered then, in ms.
    fn attempt(op: u64, [due, woke, done]: [u64; 3]) -> Attempt {
        let [due, woke, done] = [due, woke, done].map(|ms| Offset::from_duration(MS(ms)));
        Attempt { op, due, woke, free: woke, sent: Some(woke), done: Some(done), ..canned::load_test().of(0) }
    }

    #[test]
    fn what_was_sent_at_once_after_a_late_wake_waits_for_each_other_on_our_account() {
        // Served in turn, 8 ms each: the third one waited 4 ms for its wake, and 16 ms for the others.
        let burst = [[10, 30, 38], [18, 30, 46], [26, 30, 54]];
        let burst: Vec<Attempt> = (0..).zip(burst).map(|(op, times)| attempt(op, times)).collect();
        assert_eq!(without(1, &burst), [8, 8, 8]);
    }

    #[test]
    fn shards_wake_each_for_itself() {
        let attempts = [attempt(0, [10, 30, 32]), attempt(1, [11, 11, 18]), attempt(2, [12, 30, 35])];
        assert_eq!(without(2, &attempts), [2, 3, 7]);
    }

    #[test]
    fn an_answer_that_was_heard_at_the_end_of_a_sleep_may_have_come_at_its_begin() {
        let asleep = |done| [attempt(0, [10, 10, done]), attempt(1, [20, 40, 41])];
        assert_eq!(without(1, &asleep(39)), [1, 10], "it came at 20 at the earliest");
        assert_eq!(without(1, &asleep(60)), [1, 50], "it was heard when nobody slept");
        assert_eq!(without(1, &asleep(15)), [1, 5], "before anybody did");
    }

    #[test]
    fn an_unknown_without_lag_is_no_faster_than_the_time_out_and_a_quick_refusal_has_no_time() {
        let mut unknown = attempt(0, [10, 22, 2_022]);
        canned::forget(&mut unknown);
        assert_eq!(without(1, &[unknown]), [2_000]);
        let mut refused = attempt(0, [10, 22, 24]);
        canned::refuse(&mut refused);
        assert!(without(1, &[refused]).is_empty());
    }
}
