//! Latency and outcomes of the run: per lane and phase, and second by second.
//!
//! In: the ledger and the phases. Out: histograms of the four times of every operation, outcome counts per phase,
//! and the series. Nothing is discarded as warm-up. An operation belongs to the phase and the second in which it
//! was *due*: a stalled target cannot move its slow answers to a later, calmer time.
//!
//! Response and service times are those of acknowledged operations; an Unknown counts at the time-out, or at its age
//! where that is more: to leave it out would favour the target that answers least.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::phases::Phases;
use super::{Conservation, Evidence, LaneLatency, Percentiles, SeriesPoint, operations};
use crate::clock::Offset;
use crate::load::{Attempt, Lane, Outcome};
use crate::plan::{Plan, RunPhase};

/// Microseconds, to three significant digits; an hour and anything above it are one.
pub(super) type Micros = Histogram<u64>;

const HOUR: u64 = 3_600_000_000;

/// One of fixed bounds: `saturating_record` would cut every value at the size that a growing one happens to have.
pub(super) fn histogram() -> Micros {
    Histogram::new_with_bounds(1, HOUR, 3).expect("three significant digits are within what a histogram can hold")
}

pub(super) fn micros(d: Duration) -> u64 {
    d.as_micros().try_into().unwrap_or(u64::MAX)
}

pub(super) fn percentiles(times: &Micros) -> Percentiles {
    let ms = |q: f64| times.value_at_quantile(q) as f64 / 1e3;
    Percentiles {
        count: times.len(),
        p50: ms(0.5),
        p90: ms(0.9),
        p99: ms(0.99),
        p999: ms(0.999),
        max: times.max() as f64 / 1e3,
    }
}

/// What an operation without an answer counts as.
#[derive(Debug, Clone, Copy)]
struct Patience {
    request_timeout: Duration,
    /// When the last open request was given up.
    load_over: Offset,
}

impl Patience {
    fn of(plan: &Plan, evidence: &Evidence) -> Self {
        let load_over = evidence.ledger.issued_until().plus(plan.load.grace);
        Patience { request_timeout: plan.load.request_timeout, load_over }
    }

    /// From `start` to the outcome; `None` for what was refused or never sent.
    fn time(self, operation: &Attempt, start: Offset) -> Option<Duration> {
        match operation.outcome {
            Outcome::Acked => Some(operation.done?.since(start)),
            Outcome::Unknown => {
                let age = operation.done.unwrap_or(self.load_over).since(start);
                Some(age.max(self.request_timeout))
            }
            Outcome::Refused | Outcome::NotSent => None,
        }
    }
}

/// The times of one lane in one phase.
#[derive(Debug, Clone)]
struct Times {
    response: Micros,
    service: Micros,
    waited: Micros,
    woke_late: Micros,
}

impl Times {
    fn new() -> Self {
        Times { response: histogram(), service: histogram(), waited: histogram(), woke_late: histogram() }
    }

    fn record(&mut self, operation: &Attempt, patience: Patience) {
        let Attempt { due, woke, free, sent, outcome, .. } = *operation;
        self.woke_late.saturating_record(micros(woke.since(due)));
        if outcome != Outcome::NotSent {
            self.waited.saturating_record(micros(free.since(woke)));
        }
        if let Some(response) = patience.time(operation, due) {
            self.response.saturating_record(micros(response));
        }
        if let Some(service) = sent.and_then(|sent| patience.time(operation, sent)) {
            self.service.saturating_record(micros(service));
        }
    }

    fn add(&mut self, other: &Times) {
        let pairs = [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.waited, &other.waited),
            (&mut self.woke_late, &other.woke_late),
        ];
        for (sum, part) in pairs {
            sum.add(part).expect("histograms of equal bounds add up");
        }
    }
}

/// Times and outcomes of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Timing {
    times: BTreeMap<(Lane, RunPhase), Times>,
    outcomes: BTreeMap<RunPhase, Conservation>,
    pub series: Vec<SeriesPoint>,
}

impl Timing {
    pub fn of(plan: &Plan, evidence: &Evidence, phases: &Phases) -> Self {
        let patience = Patience::of(plan, evidence);
        let mut timing = Timing::default();
        let mut second = Second::default();
        for operation in operations::operations(&evidence.ledger) {
            let phase = phases.at(operation.due);
            timing.times.entry((operation.lane, phase)).or_insert_with(Times::new).record(&operation, patience);
            count(timing.outcomes.entry(phase).or_default(), operation.outcome);
            second.record(&operation, patience, &mut timing.series);
        }
        second.end(&mut timing.series);
        with_depths(&mut timing.series, &evidence.incidents.depths);
        timing
    }

    /// Every lane in the whole run, then in each phase that it was in.
    pub fn lanes(&self) -> Vec<LaneLatency> {
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let mut whole: Option<Times> = None;
            let mut phases = Vec::new();
            for ((_, phase), times) in self.times.range((lane, RunPhase::Steady)..=(lane, RunPhase::Recovery)) {
                whole.get_or_insert_with(Times::new).add(times);
                phases.push(lane_latency(lane, Some(*phase), times));
            }
            lanes.extend(whole.map(|times| lane_latency(lane, None, &times)));
            lanes.extend(phases);
        }
        lanes
    }

    /// Response times of all lanes together.
    pub fn responses(&self, phase: Option<RunPhase>) -> Micros {
        let mut all = histogram();
        for ((_, of), times) in &self.times {
            if phase.is_none_or(|phase| phase == *of) {
                all.add(&times.response).expect("histograms of equal bounds add up");
            }
        }
        all
    }

    /// Outcomes of all lanes together.
    pub fn outcomes(&self, phase: Option<RunPhase>) -> Conservation {
        let wanted = self.outcomes.iter().filter(|(of, _)| phase.is_none_or(|phase| phase == **of));
        wanted.fold(Conservation::default(), |sum, (_, part)| Conservation {
            due: sum.due + part.due,
            acked: sum.acked + part.acked,
            refused: sum.refused + part.refused,
            unknown: sum.unknown + part.unknown,
            not_sent: sum.not_sent + part.not_sent,
        })
    }
}

fn count(counts: &mut Conservation, outcome: Outcome) {
    counts.due += 1;
    match outcome {
        Outcome::Acked => counts.acked += 1,
        Outcome::Refused => counts.refused += 1,
        Outcome::Unknown => counts.unknown += 1,
        Outcome::NotSent => counts.not_sent += 1,
    }
}

fn lane_latency(lane: Lane, phase: Option<RunPhase>, times: &Times) -> LaneLatency {
    LaneLatency {
        lane,
        phase,
        response_ms: percentiles(&times.response),
        service_ms: percentiles(&times.service),
        waited_ms: percentiles(&times.waited),
        woke_late_ms: percentiles(&times.woke_late),
    }
}

/// The second that is being counted: operations come in due order, so one is enough.
#[derive(Default)]
struct Second {
    number: u64,
    counts: Conservation,
    responses: Vec<u64>,
}

impl Second {
    fn record(&mut self, operation: &Attempt, patience: Patience, series: &mut Vec<SeriesPoint>) {
        let number = operation.due.as_duration().as_secs();
        while self.number < number {
            self.end(series);
        }
        count(&mut self.counts, operation.outcome);
        self.responses.extend(patience.time(operation, operation.due).map(micros));
    }

    fn end(&mut self, series: &mut Vec<SeriesPoint>) {
        self.responses.sort_unstable();
        let Conservation { due, acked, refused, unknown, not_sent } = std::mem::take(&mut self.counts);
        series.push(SeriesPoint {
            second: self.number,
            due,
            acked,
            refused,
            unknown,
            not_sent,
            response_ms_p50: quantile(&self.responses, 0.5) as f64 / 1e3,
            response_ms_p99: quantile(&self.responses, 0.99) as f64 / 1e3,
            depth: None,
        });
        self.responses.clear();
        self.number += 1;
    }
}

/// The smallest of these sorted values that at least this share of them does not exceed; 0 of none.
pub(super) fn quantile(sorted: &[u64], share: f64) -> u64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// The last reading of each second.
fn with_depths(series: &mut [SeriesPoint], depths: &[(Offset, u64)]) {
    for (at, depth) in depths {
        let second = at.as_duration().as_secs();
        if let Some(point) = usize::try_from(second).ok().and_then(|second| series.get_mut(second)) {
            point.depth = Some(*depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;

    #[test]
    fn an_unknown_counts_at_the_time_out_and_a_refusal_not_at_all() {
        let mut canned = canned::healthy();
        let (unknown, refused) = (canned.once(4), canned.once(5));
        canned.outcome(unknown, Outcome::Unknown);
        canned.outcome(refused, Outcome::Refused);
        let judgement = canned.judge();
        let whole = judgement.latency.iter().find(|l| l.lane == Lane::WriteOnce && l.phase.is_none()).unwrap();
        let writes = operations::operations(&canned.evidence.ledger).filter(|op| op.lane == Lane::WriteOnce).count();
        assert_eq!(whole.response_ms.count, writes as u64 - 1);
        assert!(whole.response_ms.max >= 2000.0, "{:?}", whole.response_ms);
    }

    #[test]
    fn a_stalled_answer_counts_from_its_due_time_in_the_second_in_which_it_was_due() {
        let mut canned = canned::healthy();
        for op in 0..20 {
            canned.attempt(op, |a| a.done = Some(a.due.plus(Duration::from_millis(3500))));
        }
        let series = canned.judge().series;
        assert!((series[0].response_ms_p99 - 3500.0).abs() < 5.0);
        assert!(series[3].response_ms_p99 < 100.0);
    }

    #[test]
    fn lanes_are_told_apart_and_their_phases_add_up_to_the_whole_run() {
        let latency = canned::healthy().judge().latency;
        for lane in Lane::ALL {
            let of_lane = latency.iter().filter(|l| l.lane == lane);
            let (whole, phases): (Vec<_>, Vec<_>) = of_lane.partition(|l| l.phase.is_none());
            let sum: u64 = phases.iter().map(|l| l.response_ms.count).sum();
            assert_eq!(whole[0].response_ms.count, sum);
            assert_eq!(phases.len(), RunPhase::ALL.len());
        }
    }

    #[test]
    fn the_series_has_every_second_and_adds_up_to_what_was_due() {
        let judgement = canned::healthy().judge();
        assert_eq!(judgement.series.len() as u64, canned::SECONDS);
        assert_eq!(judgement.series.iter().map(|p| p.due).sum::<u64>(), judgement.conservation.due);
        assert!(judgement.series.iter().all(|point| point.depth.is_some()));
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&values, 0.99), 99);
        assert_eq!(quantile(&values[..3], 0.99), 3);
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
