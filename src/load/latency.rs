//! Latency: from attempts to histograms to percentiles, for the engine while it runs and again from the ledger.
//!
//! ```text
//! due ── woke ── free ── sent ────── done
//!  └─ woke late ┘
//!          └ waited ┘       └ service ┘
//!  └──────────── response ───────────┘
//! ```
//!
//! # Why
//! Response time counts from when an operation was *due*, so that a stall of the target shows in all operations that
//! were due in it, sent or not (coordinated omission: Gil Tene, "How NOT to Measure Latency"). Own lag is kept apart
//! from the target's time, in two parts: no connection was free, and we woke late.

use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ledger::{Attempt, Outcome, Reason};
use crate::plan::GateMetric;

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Percentiles {
    /// What a limit of latency is set on, in seconds; `None`: the limit is of something else.
    pub fn of(&self, metric: GateMetric) -> Option<f64> {
        let ms = match metric {
            GateMetric::P50 => self.p50,
            GateMetric::P99 => self.p99,
            GateMetric::P999 => self.p999,
            GateMetric::ErrorRate | GateMetric::Recovery | GateMetric::Duplicates | GateMetric::Reordered => {
                return None;
            }
        };
        Some(ms / 1e3)
    }
}

/// What a measured time (done − due) counts as response time. An answer: as it is, also one that is an error, or a slow
/// error would be no slow answer. Unknown and NotSent: see [`at_least`]. Refused by contract (`stored: false`), or by
/// nobody who listened, has none, where that was said in time: a quick refusal is an error and no quick answer.
pub fn response(outcome: Outcome, reason: Reason, measured: Duration, request_timeout: Duration) -> Option<Duration> {
    let counts = match outcome {
        Outcome::Acked | Outcome::Unknown | Outcome::NotSent => true,
        Outcome::Refused => reason == Reason::Answer || measured >= request_timeout,
    };
    counts.then(|| measured.max(at_least(outcome, request_timeout)))
}

/// A request that broke, or that nobody was there to send, is never faster than the request time-out.
pub fn at_least(outcome: Outcome, request_timeout: Duration) -> Duration {
    match outcome {
        Outcome::Acked | Outcome::Refused => Duration::ZERO,
        Outcome::Unknown | Outcome::NotSent => request_timeout,
    }
}

/// The response time of an operation that has ended.
pub fn response_of(operation: &Attempt, request_timeout: Duration) -> Option<Duration> {
    let measured = operation.done.map_or(Duration::ZERO, |done| done.since(operation.due));
    response(operation.outcome, operation.reason, measured, request_timeout)
}

/// A histogram of durations from 1 µs to 1 h, three significant digits.
#[derive(Debug, Clone)]
pub struct Durations(pub Histogram<u64>);

const LOWEST_NS: u64 = 1_000;
const HIGHEST_NS: u64 = 3_600_000_000_000;

impl Default for Durations {
    fn default() -> Self {
        Durations(Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, 3).expect("these bounds are in order"))
    }
}

impl Durations {
    /// What lies beyond the bounds counts at them.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(HIGHEST_NS));
    }

    pub fn add(&mut self, other: &Durations) {
        self.0.add(&other.0).expect("all histograms here have the same bounds");
    }

    /// All 0 where nothing was recorded.
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Percentiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.0.max()),
        }
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// The histograms of one lane.
#[derive(Debug, Clone, Default)]
pub struct LaneHistograms {
    /// See [`response`].
    pub response: Durations,
    /// done − sent, of all that was sent and ended.
    pub service: Durations,
    /// Own lag: free − woke, "no connection was free"; an attempt that never got one waited until it was given up.
    pub waited: Durations,
    /// Own lag: woke − due, "we woke late".
    pub woke_late: Durations,
}

impl LaneHistograms {
    pub fn record(&mut self, attempt: &Attempt, request_timeout: Duration) {
        if let Some(response) = response_of(attempt, request_timeout) {
            self.response.record(response);
        }
        if let (Some(sent), Some(done)) = (attempt.sent, attempt.done) {
            self.service.record(done.since(sent));
        }
        let waited_until = match (attempt.outcome, attempt.done) {
            (Outcome::NotSent, Some(given_up)) => given_up,
            _ => attempt.free,
        };
        self.waited.record(waited_until.since(attempt.woke));
        self.woke_late.record(attempt.woke.since(attempt.due));
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, &Durations); 4] {
        let LaneHistograms { response, service, waited, woke_late } = self;
        [("response", response), ("service", service), ("waited", waited), ("woke-late", woke_late)]
    }

    pub fn named_mut(&mut self) -> [(&'static str, &mut Durations); 4] {
        let LaneHistograms { response, service, waited, woke_late } = self;
        [("response", response), ("service", service), ("waited", waited), ("woke-late", woke_late)]
    }

    /// Another lane's, or another shard's, on top.
    pub fn add(&mut self, other: &LaneHistograms) {
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.waited.add(&other.waited);
        self.woke_late.add(&other.woke_late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::InstanceId;
    use crate::clock::Offset;
    use crate::load::lanes::Lane;
    use crate::load::ledger::Reason;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn at_ms(ms: u64) -> Offset {
        Offset(ms * 1_000_000)
    }

    /// Due at 100 ms, woke 1 ms late, waited 9 ms for a connection, sent 10 ms later.
    fn attempt(outcome: Outcome, done_ms: Option<u64>) -> Attempt {
        Attempt {
            op: 0,
            lane: Lane::WriteOnce,
            key: 1,
            seq: 1,
            attempt: 1,
            due: at_ms(100),
            woke: at_ms(101),
            free: at_ms(110),
            sent: Some(at_ms(120)),
            done: done_ms.map(at_ms),
            outcome,
            reason: Reason::Answer,
            status: 202,
            instance: InstanceId(0),
            epoch: 0,
        }
    }

    fn of_one(attempt: Attempt) -> LaneHistograms {
        let mut histograms = LaneHistograms::default();
        histograms.record(&attempt, TIMEOUT);
        histograms
    }

    fn max_ms(durations: &Durations) -> f64 {
        durations.percentiles().max
    }

    fn assert_near(measured: f64, expected: f64) {
        assert!((measured - expected).abs() <= expected / 500.0, "{measured} is not {expected}");
    }

    #[test]
    fn the_four_times_make_four_spans() {
        let spans = of_one(attempt(Outcome::Acked, Some(150)));
        assert_near(max_ms(&spans.response), 50.0);
        assert_near(max_ms(&spans.service), 30.0);
        assert_near(max_ms(&spans.waited), 9.0);
        assert_near(max_ms(&spans.woke_late), 1.0);
    }

    #[test]
    fn an_unknown_is_never_faster_than_the_time_out() {
        assert_near(max_ms(&of_one(attempt(Outcome::Unknown, Some(121))).response), 2000.0);
        assert_near(max_ms(&of_one(attempt(Outcome::Unknown, Some(3100))).response), 3000.0);
        assert_near(max_ms(&of_one(attempt(Outcome::Unknown, None)).response), 2000.0);
    }

    #[test]
    fn a_quick_refusal_has_a_service_time_and_no_response_time() {
        let refused = |done| of_one(Attempt { reason: Reason::NotStored, ..attempt(Outcome::Refused, Some(done)) });
        let counts = |of: LaneHistograms| (of.response.percentiles().count, of.service.percentiles().count);
        assert_eq!(counts(refused(150)), (0, 1));
        assert_eq!(counts(refused(2_100)), (1, 1), "whoever waited for it so long was not refused in time");
    }

    #[test]
    fn an_answer_that_is_an_error_took_as_long_as_it_took() {
        assert_near(max_ms(&of_one(attempt(Outcome::Refused, Some(150))).response), 50.0);
    }

    #[test]
    fn what_was_never_sent_waited_until_it_was_given_up_and_is_no_faster_than_the_time_out() {
        let given_up = |at| of_one(Attempt { sent: None, free: at_ms(101), ..attempt(Outcome::NotSent, Some(at)) });
        let spans = given_up(1_101);
        assert_near(max_ms(&spans.waited), 1000.0);
        assert_near(max_ms(&spans.response), 2000.0);
        assert_eq!(spans.service.percentiles().count, 0);
        assert_near(max_ms(&given_up(3_100).response), 3000.0);
    }

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let mut durations = Durations::default();
        (1..=1000).for_each(|ms| durations.record(Duration::from_millis(ms)));
        let Percentiles { count, p50, p90, p99, p999, max } = durations.percentiles();
        assert_eq!(count, 1000);
        for (measured, expected) in [(p50, 500.0), (p90, 900.0), (p99, 990.0), (p999, 999.0), (max, 1000.0)] {
            assert_near(measured, expected);
        }
    }

    #[test]
    fn an_empty_histogram_is_all_zero() {
        assert_eq!(Durations::default().percentiles(), Percentiles::default());
    }

    #[test]
    fn lanes_add_up() {
        let mut sum = of_one(attempt(Outcome::Acked, Some(150)));
        sum.add(&of_one(Attempt { lane: Lane::Read, ..attempt(Outcome::Acked, Some(200)) }));
        assert_near(max_ms(&sum.response), 100.0);
        assert_eq!(sum.response.percentiles().count, 2);
    }
}
