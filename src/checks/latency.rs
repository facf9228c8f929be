//! Latency and outcomes of the run: per lane and phase, and second by second.
//!
//! In: the ledger and the phases. Out: histograms of the four times of every operation, outcome counts per phase,
//! and the series. Nothing is discarded as warm-up. An operation belongs to the phase and the second in which it
//! was *due*: a stalled target cannot move its slow answers to a later, calmer time.
//!
//! Response times are those of answers; an Unknown, and what was never sent, counts at the time-out, or at its age where
//! that is more: to leave it out would favour the target that answers least.

use std::collections::BTreeMap;
use std::time::Duration;

use super::own_lag::Sleepers;
use super::phases::Phases;
use super::reasons::Reasons;
use super::{Conservation, Evidence, LaneLatency, SeriesPoint, operations};
use crate::clock::Offset;
use crate::load::latency::{Durations, LaneHistograms, response_of};
use crate::load::ledger::Reason;
use crate::load::{Attempt, Lane, Outcome};
use crate::plan::{Plan, RunPhase};

/// An operation whose end nobody saw has the age that it had when the load's grace was over.
pub(super) fn aged(operation: &Attempt, load_over: Offset) -> Attempt {
    Attempt { done: operation.done.or(Some(load_over)), ..*operation }
}

/// Times and outcomes of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Timing {
    times: BTreeMap<(Lane, RunPhase), LaneHistograms>,
    /// Response times of all lanes, own lag taken off.
    without_lag: BTreeMap<RunPhase, Durations>,
    outcomes: BTreeMap<RunPhase, Conservation>,
    pub reasons: Reasons,
    /// Operations whose connect was refused.
    nobody_listened: BTreeMap<RunPhase, u64>,
    /// Those of the lanes that write.
    written: BTreeMap<RunPhase, Conservation>,
    pub series: Vec<SeriesPoint>,
}

impl Timing {
    pub fn of(plan: &Plan, evidence: &Evidence, phases: &Phases) -> Self {
        let (timeout, load_over) = (plan.load.request_timeout, evidence.ledger.issued_until().plus(plan.load.grace));
        let mut timing = Timing::default();
        let (mut second, mut sleepers) = (Second::default(), Sleepers::of(plan.load.shards, timeout));
        for operation in operations::operations(&evidence.ledger).map(|operation| aged(&operation, load_over)) {
            let phase = phases.of_operation(&operation);
            timing.record(&operation, phase, timeout);
            sleepers.record(&operation, phase, &mut timing);
            second.record(&operation, timeout, &mut timing.series);
        }
        sleepers.close(&mut timing);
        second.end(&mut timing.series);
        with_depths(&mut timing.series, &evidence.incidents.depths);
        timing
    }

    /// All but the series, for which operations have to come in due order.
    pub fn record(&mut self, operation: &Attempt, phase: RunPhase, timeout: Duration) {
        self.times.entry((operation.lane, phase)).or_default().record(operation, timeout);
        count(self.outcomes.entry(phase).or_default(), operation.outcome);
        self.reasons.record(operation);
        if operation.reason == Reason::ConnectRefused {
            *self.nobody_listened.entry(phase).or_default() += 1;
        }
        if operation.lane.writes() {
            count(self.written.entry(phase).or_default(), operation.outcome);
        }
    }

    /// The response time of an operation, own lag taken off.
    pub fn record_without_lag(&mut self, phase: RunPhase, response: Duration) {
        self.without_lag.entry(phase).or_default().record(response);
    }

    /// Another shard's, on top, but for the series.
    pub fn add(&mut self, other: &Timing) {
        for (key, times) in &other.times {
            self.times.entry(*key).or_default().add(times);
        }
        for (phase, responses) in &other.without_lag {
            self.without_lag.entry(*phase).or_default().add(responses);
        }
        self.reasons.add(&other.reasons);
        for (phase, count) in &other.nobody_listened {
            *self.nobody_listened.entry(*phase).or_default() += count;
        }
        for (own, others) in [(&mut self.outcomes, &other.outcomes), (&mut self.written, &other.written)] {
            others.iter().for_each(|(phase, counts)| own.entry(*phase).or_default().add(counts));
        }
    }

    /// Every lane in the whole run, then in each phase that it was in.
    pub fn lanes(&self) -> Vec<LaneLatency> {
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let mut whole: Option<LaneHistograms> = None;
            let mut phases = Vec::new();
            for ((_, phase), times) in self.times.range((lane, RunPhase::Steady)..=(lane, RunPhase::Recovery)) {
                whole.get_or_insert_default().add(times);
                phases.push(lane_latency(lane, Some(*phase), times));
            }
            lanes.extend(whole.map(|times| lane_latency(lane, None, &times)));
            lanes.extend(phases);
        }
        lanes
    }

    /// Response times of all lanes together.
    pub fn responses(&self, phase: Option<RunPhase>) -> Durations {
        let mut all = Durations::default();
        let wanted = self.times.iter().filter(|((_, of), _)| phase.is_none_or(|phase| phase == *of));
        wanted.for_each(|(_, times)| all.add(&times.response));
        all
    }

    /// Response times of all lanes together, own lag taken off.
    pub fn without_lag(&self, phase: Option<RunPhase>) -> Durations {
        let mut all = Durations::default();
        let wanted = self.without_lag.iter().filter(|(of, _)| phase.is_none_or(|phase| phase == **of));
        wanted.for_each(|(_, responses)| all.add(responses));
        all
    }

    /// Service times of all lanes together.
    pub fn services(&self, phase: Option<RunPhase>) -> Durations {
        let mut all = Durations::default();
        let wanted = self.times.iter().filter(|((_, of), _)| phase.is_none_or(|phase| phase == *of));
        wanted.for_each(|(_, times)| all.add(&times.service));
        all
    }

    /// All lanes and phases together.
    pub fn histograms(&self) -> LaneHistograms {
        let mut all = LaneHistograms::default();
        self.times.values().for_each(|times| all.add(times));
        all
    }

    /// Outcomes of all lanes together.
    pub fn outcomes(&self, phase: Option<RunPhase>) -> Conservation {
        sum(&self.outcomes, phase)
    }

    /// How many found nobody who takes connections.
    pub fn nobody_listened(&self, phase: Option<RunPhase>) -> u64 {
        let wanted = self.nobody_listened.iter().filter(|(of, _)| phase.is_none_or(|phase| phase == **of));
        wanted.map(|(_, count)| count).sum()
    }

    /// Of the write operations alone.
    pub fn written(&self, phase: Option<RunPhase>) -> Conservation {
        sum(&self.written, phase)
    }
}

fn sum(outcomes: &BTreeMap<RunPhase, Conservation>, phase: Option<RunPhase>) -> Conservation {
    let wanted = outcomes.iter().filter(|(of, _)| phase.is_none_or(|phase| phase == **of));
    wanted.fold(Conservation::default(), |mut sum, (_, part)| {
        sum.add(part);
        sum
    })
}

pub(super) fn count(counts: &mut Conservation, outcome: Outcome) {
    counts.due += 1;
    match outcome {
        Outcome::Acked => counts.acked += 1,
        Outcome::Refused => counts.refused += 1,
        Outcome::Unknown => counts.unknown += 1,
        Outcome::NotSent => counts.not_sent += 1,
    }
}

fn lane_latency(lane: Lane, phase: Option<RunPhase>, times: &LaneHistograms) -> LaneLatency {
    LaneLatency {
        lane,
        phase,
        response_ms: times.response.percentiles(),
        service_ms: times.service.percentiles(),
        waited_ms: times.waited.percentiles(),
        woke_late_ms: times.woke_late.percentiles(),
    }
}

/// The second that is being counted: operations come in due order, so one is enough.
#[derive(Default)]
struct Second {
    number: u64,
    counts: Conservation,
    /// Nanoseconds.
    responses: Vec<u64>,
}

impl Second {
    fn record(&mut self, operation: &Attempt, timeout: Duration, series: &mut Vec<SeriesPoint>) {
        let number = operation.due.as_duration().as_secs();
        while self.number < number {
            self.end(series);
        }
        count(&mut self.counts, operation.outcome);
        self.responses.extend(response_of(operation, timeout).map(|took| Offset::from_duration(took).0));
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
            response_ms_p50: quantile(&self.responses, 0.5) as f64 / 1e6,
            response_ms_p99: quantile(&self.responses, 0.99) as f64 / 1e6,
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
        for lane in [Lane::WriteOnce, Lane::HotKey, Lane::Read] {
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
