//! A load of which every operation is counted while it runs, and none is kept: load alone, where nobody judges data and
//! a ledger was not asked for.
//!
//! In: what the engine tells its [`Recorder`]. Out: [`Counted`]: the figures that a ledger would have given, but for the
//! percentiles of single seconds, which have two digits here.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::generator::Pace;
use super::latency::{Timing, count};
use super::own_lag::Sleeper;
use super::{Conservation, SeriesPoint};
use crate::backends::InstanceId;
use crate::clock::Offset;
use crate::load::latency::response_of;
use crate::load::ledger::{Begin, Dispatch, End, LedgerError, Part, Reason, Recorder};
use crate::load::{Attempt, Outcome};
use crate::plan::{LoadPlan, RunPhase};

/// What one shard counts.
#[derive(Debug)]
pub struct Census {
    timeout: Duration,
    tolerance: Duration,
    sleeper: Sleeper,
    open: Open,
    counted: Counted,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Where the load stopped issuing.
    pub(super) issued_until: Offset,
    pub(super) counts: Conservation,
    pub(super) pace: Pace,
    pub(super) timing: Timing,
    seconds: Seconds,
}

impl Census {
    pub fn new(load: &LoadPlan, part: Part) -> Census {
        let (open, counted) = (Open { part, first: 0, window: VecDeque::new() }, Counted::default());
        let (timeout, tolerance) = (load.request_timeout, load.rate_tolerance);
        Census { timeout, tolerance, sleeper: Sleeper::new(timeout), open, counted }
    }

    fn record(&mut self, ended: &Attempt, own_lag: Duration) {
        let Counted { counts, pace, timing, seconds, .. } = &mut self.counted;
        count(counts, ended.outcome);
        pace.count(ended, self.tolerance);
        timing.record(ended, RunPhase::Steady, self.timeout);
        self.sleeper.ends(ended, own_lag, RunPhase::Steady);
        seconds.record(ended, self.timeout);
    }
}

impl Recorder for Census {
    type Closed = Counted;

    fn begin(&mut self, begin: &Begin) -> Result<(), LedgerError> {
        let Begin { op, due, woke, epoch } = *begin;
        let attempt = Attempt {
            op: op.index,
            lane: op.lane,
            key: op.key,
            seq: op.seq,
            attempt: 1,
            due,
            woke,
            free: woke,
            sent: None,
            done: None,
            outcome: Outcome::Unknown,
            reason: Reason::Open,
            status: 0,
            instance: InstanceId::NONE,
            epoch,
        };
        let own_lag = self.sleeper.begins(due, woke, &mut self.counted.timing);
        self.open.begin(Begun { attempt, own_lag });
        Ok(())
    }

    fn dispatched(&mut self, op: u64, dispatch: &Dispatch) {
        let Begun { attempt, .. } = self.open.at(op).as_mut().expect("only what was begun is dispatched");
        (attempt.instance, attempt.free, attempt.sent) = (dispatch.instance, dispatch.free, dispatch.sent);
    }

    fn finish(&mut self, op: u64, end: &End) {
        let Begun { attempt, own_lag } = self.open.end(op).expect("an operation ends once");
        let (done, outcome, reason) = (Some(end.done), end.outcome, end.reason);
        self.record(&Attempt { done, outcome, reason, status: end.status, ..attempt }, own_lag);
    }

    fn end_open(&mut self, done: Offset) {
        for Begun { attempt, own_lag } in std::mem::take(&mut self.open.window).into_iter().flatten() {
            let (outcome, reason) = match attempt.sent {
                Some(_) => (Outcome::Unknown, Reason::Open),
                None => (Outcome::NotSent, Reason::LoadOver),
            };
            self.record(&Attempt { done: Some(done), outcome, reason, ..attempt }, own_lag);
        }
    }

    fn close(mut self, issued_until: Offset) -> Result<Counted, LedgerError> {
        self.sleeper.closes(&mut self.counted.timing);
        let pace = self.counted.pace.with_lags(self.counted.timing.histograms().woke_late);
        Ok(Counted { issued_until, pace, ..self.counted })
    }
}

/// Operations from the oldest that has not ended on.
#[derive(Debug)]
struct Open {
    part: Part,
    /// The slot of the window's first.
    first: u64,
    window: VecDeque<Option<Begun>>,
}

#[derive(Debug)]
struct Begun {
    attempt: Attempt,
    own_lag: Duration,
}

impl Open {
    /// They begin in order.
    fn begin(&mut self, begun: Begun) {
        self.window.push_back(Some(begun));
    }

    fn at(&mut self, op: u64) -> &mut Option<Begun> {
        &mut self.window[(self.part.slot(op) - self.first) as usize]
    }

    fn end(&mut self, op: u64) -> Option<Begun> {
        let ended = self.at(op).take();
        while self.window.pop_front_if(|begun| begun.is_none()).is_some() {
            self.first += 1;
        }
        ended
    }
}

impl Counted {
    /// Of all shards.
    pub fn sum(shards: Vec<Counted>) -> Counted {
        let mut all = Counted::default();
        for shard in shards {
            all.issued_until = shard.issued_until;
            all.counts.add(&shard.counts);
            all.pace.add(&shard.pace);
            all.timing.add(&shard.timing);
            all.seconds.add(&shard.seconds);
        }
        all.timing.series = all.seconds.series();
        all
    }
}

/// By the second in which operations were due.
#[derive(Debug, Default)]
struct Seconds(Vec<Second>);

#[derive(Debug)]
struct Second {
    counts: Conservation,
    /// Nanoseconds.
    responses: Histogram<u32>,
}

impl Seconds {
    fn record(&mut self, ended: &Attempt, timeout: Duration) {
        let second = self.at(ended.due.as_duration().as_secs() as usize);
        count(&mut second.counts, ended.outcome);
        if let Some(took) = response_of(ended, timeout) {
            second.responses.record(took.as_nanos() as u64).expect("it grows");
        }
    }

    fn at(&mut self, number: usize) -> &mut Second {
        if self.0.len() <= number {
            self.0.resize_with(number + 1, Second::default);
        }
        &mut self.0[number]
    }

    fn add(&mut self, other: &Seconds) {
        other.0.iter().enumerate().for_each(|(number, second)| self.at(number).add(second));
    }

    fn series(&self) -> Vec<SeriesPoint> {
        self.0.iter().enumerate().map(|(number, second)| second.point(number as u64)).collect()
    }
}

impl Default for Second {
    fn default() -> Second {
        // It grows with what it holds: an hour has 3,600 of them.
        let mut responses = Histogram::new_with_bounds(1_000, 1_000_000, 2).expect("these bounds are in order");
        responses.auto(true);
        Second { counts: Conservation::default(), responses }
    }
}

impl Second {
    fn add(&mut self, other: &Second) {
        self.counts.add(&other.counts);
        self.responses.add(&other.responses).expect("it grows");
    }

    fn point(&self, second: u64) -> SeriesPoint {
        let Conservation { due, acked, refused, unknown, not_sent } = self.counts;
        let at = |share| self.responses.value_at_quantile(share) as f64 / 1e6;
        let (response_ms_p50, response_ms_p99) = (at(0.5), at(0.99));
        SeriesPoint { second, due, acked, refused, unknown, not_sent, response_ms_p50, response_ms_p99, depth: None }
    }
}

#[cfg(test)]
impl Census {
    /// What a ledger's attempts would have told a recorder, each end as soon as its time has come.
    pub(super) fn tell(&mut self, attempts: &[Attempt]) {
        use crate::load::Operation;
        let mut open: Vec<&Attempt> = Vec::new();
        for a in attempts {
            open.retain(|open| open.done > Some(a.woke) || self.told_end(open));
            let op = Operation { index: a.op, lane: a.lane, key: a.key, seq: a.seq };
            self.begin(&Begin { op, due: a.due, woke: a.woke, epoch: a.epoch }).unwrap();
            open.push(a);
        }
        open.retain(|open| self.told_end(open));
    }

    /// That it is not open any more.
    fn told_end(&mut self, a: &Attempt) -> bool {
        self.dispatched(a.op, &Dispatch { instance: a.instance, free: a.free, sent: a.sent, epoch: a.epoch });
        let done = a.done.expect("a canned attempt has ended");
        self.finish(a.op, &End { done, outcome: a.outcome, reason: a.reason, status: a.status });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;
    use crate::load::Operation;
    use crate::plan::RunKey;

    fn part(shard: u16, shards: u16) -> Part {
        Part { run: RunKey { number: 1, seed: 1 }, shard, shards }
    }

    /// Woken by the next fortieth of a second, and answered soon, or in the next sleep.
    fn late(a: &mut Attempt) {
        const WAKES: u64 = 25_000_000;
        a.woke = Offset(a.due.0.next_multiple_of(WAKES));
        (a.free, a.sent, a.done) = (a.woke, Some(a.woke), Some(a.woke.plus(Duration::from_millis(2 + a.op % 3 * 10))));
    }

    #[test]
    fn a_census_counts_what_a_ledger_holds() {
        let mut canned = canned::load_test();
        canned.plan.load.shards = 2;
        canned.attempts(|attempts| attempts.iter_mut().for_each(late));
        let attempts: Vec<Attempt> = canned.evidence.ledger.attempts().collect();
        let (even, odd): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|a| a.op % 2 == 0);
        let shards = [(0, even), (1, odd)].map(|(shard, attempts)| {
            let mut census = Census::new(&canned.plan.load, part(shard, 2));
            census.tell(&attempts);
            census.close(Offset::ZERO).unwrap()
        });
        let counted = Counted::sum(shards.into());
        let judgement = canned.judge();
        assert_eq!(counted.counts, judgement.conservation);
        assert_eq!(counted.timing.lanes(), judgement.latency);
        let without_lag = judgement.punctuality.unwrap().without_lag_ms.unwrap();
        assert_eq!(counted.timing.without_lag(None).percentiles(), without_lag);
        assert!(without_lag.p99 + 8.0 < counted.timing.responses(None).percentiles().p99, "{without_lag:?}");
        let dues = |series: &[SeriesPoint]| series.iter().map(|point| (point.due, point.acked)).collect::<Vec<_>>();
        assert_eq!(dues(&counted.timing.series), dues(&judgement.series));
    }

    #[test]
    fn what_is_open_at_the_end_has_its_age() {
        let canned = canned::load_test();
        let mut census = Census::new(&canned.plan.load, part(0, 1));
        let op = Operation { index: 0, lane: crate::load::Lane::Request, key: 0, seq: 0 };
        census.begin(&Begin { op, due: Offset(0), woke: Offset(0), epoch: 0 }).unwrap();
        let dispatch = Dispatch { instance: InstanceId(1), free: Offset(1), sent: Some(Offset(2)), epoch: 0 };
        census.dispatched(0, &dispatch);
        census.end_open(Offset::from_duration(Duration::from_secs(9)));
        let counted = Counted::sum(vec![census.close(Offset::ZERO).unwrap()]);
        assert_eq!((counted.counts.due, counted.counts.unknown), (1, 1));
        assert!(counted.timing.responses(None).percentiles().max >= 8_990.0);
    }
}
