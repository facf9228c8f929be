//! Recovery: from the start of a stop or a disturbance until errors, p99 and backlog are back in band.
//!
//! In: the series, and when each stop or disturbance struck; a paused instance that goes on is a blow of its own. Out:
//! how long each took, and the longest of all, for the gate `recovery`.
//!
//! A second is out of band when its share of errors is above the limit of the steady error gate (0.1 % where the plan
//! has none), or above what steady time showed, where that is more; when its p99 is above the limit of the steady p99
//! gate, where the plan has one; or when the backlog is above its 95th percentile in steady time before the blow, where
//! more than one batch waits. A blow is recovered from when everything stays in band for its window, or until the next
//! blow. Seconds after the load show no errors, and no recovery either: what nobody asked is not in band.

use std::time::Duration;

use super::latency::Timing;
use super::measured::Measured;
use super::phases::Phases;
use super::spans::struck;
use super::{Case, SeriesPoint};
use crate::clock::Offset;
use crate::plan::{GateMetric, Plan, RunPhase};
use crate::timeline::Incidents;

/// The share of errors that counts as none, where the plan does not say.
const BAND: f64 = 0.001;

/// A stop or a disturbance, or the moment at which a stop let go of its victim.
struct Blow {
    id: String,
    at: Offset,
    window: Duration,
}

/// What a second must keep to.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// Share of what was due.
    errors: f64,
    p99_ms: Option<f64>,
    /// Tasks.
    backlog: Option<u64>,
}

/// How long each blow took, in seconds; `Err`: the load ended before it was recovered from.
#[derive(Debug, Clone, Default)]
pub(super) struct Recoveries(Vec<(String, Result<f64, f64>)>);

impl Recoveries {
    pub fn of(plan: &Plan, incidents: &Incidents, timing: &Timing, phases: &Phases) -> Self {
        let mut blows = blows(plan, incidents);
        blows.sort_by_key(|blow| blow.at);
        let steady = band(plan, timing);
        let times = blows.iter().map(|blow| {
            let next = blows.iter().map(|next| next.at).find(|next| *next > blow.at);
            let backlog = backlog_before(plan, incidents, phases, blow.at);
            let took = recovered(&timing.series, (blow.at, next), blow.window, Band { backlog, ..steady });
            (blow.id.clone(), took)
        });
        Recoveries(times.collect())
    }

    /// The first blow of this stop or disturbance.
    pub fn of_blow(&self, id: &str) -> Option<Result<f64, f64>> {
        self.0.iter().find(|(blow, _)| blow == id).map(|(_, took)| *took)
    }
}

pub(super) fn measured(case: &Case) -> Measured {
    let times = &case.figures.recoveries.0;
    if times.is_empty() {
        return Measured::Nothing("no stop fired: there was nothing to recover from".to_owned());
    }
    let longest = times.iter().map(|(_, took)| took.unwrap_or_else(|so_far| so_far)).fold(0.0, f64::max);
    let open = times.iter().any(|(_, took)| took.is_err());
    if open { Measured::AtLeast(longest) } else { Measured::Value(longest) }
}

/// When each stop struck, or let go of its victim, and when each disturbance did.
fn blows(plan: &Plan, incidents: &Incidents) -> Vec<Blow> {
    let window = |id: &str| plan.stops().find(|stop| stop.id == id).map(|stop| stop.window);
    let stops = incidents.steps.iter().flat_map(|step| &step.stops).flat_map(|record| {
        let (id, window) = (record.id.clone(), window(&record.id).unwrap_or_default());
        let moments = std::iter::once(struck(record)).chain(record.resumed);
        moments.map(move |at| Blow { id: id.clone(), at, window })
    });
    let disturbances = incidents.disturbances().map(|record| {
        let planned = plan.disturbances().find(|planned| planned.id == record.id);
        let window = planned.map(|planned| planned.window).unwrap_or_default();
        Blow { id: record.id.clone(), at: record.began, window }
    });
    stops.chain(disturbances).collect()
}

fn band(plan: &Plan, timing: &Timing) -> Band {
    let declared = |metric: GateMetric| {
        let gates = plan.gates.iter().filter(move |gate| gate.metric == metric);
        let steady = gates.filter(|gate| gate.phase.is_none_or(|phase| phase == RunPhase::Steady));
        steady.map(|gate| gate.limit).reduce(f64::min)
    };
    let steady = timing.outcomes(Some(RunPhase::Steady));
    let shown = steady.errors() as f64 / steady.due.max(1) as f64;
    let p99_ms = declared(GateMetric::P99).map(|seconds| seconds * 1e3);
    Band { errors: declared(GateMetric::ErrorRate).unwrap_or(BAND).max(shown), p99_ms, backlog: None }
}

/// What is no backlog: the 95th percentile of what waited in steady time before, or one batch.
fn backlog_before(plan: &Plan, incidents: &Incidents, phases: &Phases, blow: Offset) -> Option<u64> {
    let steady = |at: Offset| at < blow && phases.at(at) == RunPhase::Steady;
    let mut before: Vec<u64> = incidents.depths.iter().filter(|(at, _)| steady(*at)).map(|(_, depth)| *depth).collect();
    before.sort_unstable();
    let p95 = before.get((before.len() * 95).div_ceil(100).checked_sub(1)?)?;
    Some((*p95).max(plan.target.worker.batch.into()))
}

impl Band {
    fn holds(&self, point: &SeriesPoint) -> bool {
        let errors = (point.refused + point.unknown + point.not_sent) as f64;
        let exceeded = |limit: Option<u64>, value: Option<u64>| limit.zip(value).is_some_and(|(limit, v)| v > limit);
        errors <= self.errors * point.due as f64
            && self.p99_ms.is_none_or(|limit| point.response_ms_p99 <= limit)
            && !exceeded(self.backlog, point.depth)
    }
}

/// Seconds from the blow until everything stays in band; `Err`: the load ended before that.
fn recovered(
    series: &[SeriesPoint],
    (blow, next): (Offset, Option<Offset>),
    window: Duration,
    band: Band,
) -> Result<f64, f64> {
    let second = |at: Offset| at.as_duration().as_secs() as usize;
    let first = second(blow);
    let stays_in_band = |from: usize| {
        let watched = from + (window.as_secs() as usize).max(1);
        let until = next.map(second).filter(|next| *next > from).map_or(watched, |next| watched.min(next));
        (from..until).all(|second| series.get(second).is_some_and(|point| band.holds(point)))
    };
    let back = (first..series.len()).find(|from| stays_in_band(*from));
    let seconds = |until: usize| (until as f64 - blow.as_secs_f64()).max(0.0);
    back.map(seconds).ok_or_else(|| seconds(series.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(refused: &[u64]) -> Vec<SeriesPoint> {
        let point = |(second, refused): (usize, &u64)| SeriesPoint {
            second: second as u64,
            due: 100,
            acked: 100 - refused,
            refused: *refused,
            unknown: 0,
            not_sent: 0,
            response_ms_p50: 1.0,
            response_ms_p99: 1.0,
            depth: None,
        };
        refused.iter().enumerate().map(point).collect()
    }

    fn at(seconds: f64) -> Offset {
        Offset((seconds * 1e9) as u64)
    }

    const ERRORS: Band = Band { errors: BAND, p99_ms: None, backlog: None };

    fn after(refused: &[u64], blow: f64, next: Option<f64>) -> Result<f64, f64> {
        recovered(&series(refused), (at(blow), next.map(at)), Duration::from_secs(2), ERRORS)
    }

    #[test]
    fn a_stop_without_errors_recovers_at_once() {
        assert_eq!(after(&[0, 0, 0, 0], 1.5, None), Ok(0.0));
    }

    #[test]
    fn errors_are_back_in_band_when_they_stay_there() {
        assert_eq!(after(&[0, 5, 0, 0, 0, 0], 1.5, None), Ok(0.5));
        assert_eq!(after(&[0, 5, 0, 5, 0, 0], 1.5, None), Ok(2.5), "one good second is no recovery");
        assert_eq!(after(&[0, 0, 0, 0, 5, 5], 1.5, None), Ok(0.0), "later errors are not this stop's");
        let in_band =
            recovered(&series(&[0, 5, 5, 5]), (at(1.5), None), Duration::from_secs(2), Band { errors: 0.05, ..ERRORS });
        assert_eq!(in_band, Ok(0.0), "5 % are in this band");
    }

    #[test]
    fn errors_of_the_next_stop_are_its_own_unless_they_never_ceased() {
        assert_eq!(after(&[0, 5, 0, 5, 0, 0], 1.0, Some(3.0)), Ok(1.0));
        assert_eq!(after(&[0, 5, 5, 5, 0, 0], 1.0, Some(3.0)), Ok(3.0));
        assert_eq!(after(&[0, 5, 5, 0, 0, 0], 1.1, Some(1.4)), Ok(1.9), "two stops in one second");
    }

    #[test]
    fn errors_until_the_end_have_not_recovered() {
        assert_eq!(after(&[0, 0, 5, 5], 2.0, None), Err(2.0));
    }

    #[test]
    fn seconds_that_nobody_asked_anything_in_are_no_recovery() {
        assert_eq!(after(&[0, 0], 7.0, None), Err(0.0), "a stop after the load");
        assert_eq!(after(&[0, 0, 5, 0], 2.0, None), Err(2.0), "its window is two seconds, and one was seen");
    }

    #[test]
    fn slow_answers_and_a_backlog_are_no_recovery_though_nothing_fails() {
        let mut series = series(&[0, 0, 0, 0, 0, 0]);
        (series[1].response_ms_p99, series[2].depth) = (150.0, Some(900));
        let band = Band { p99_ms: Some(100.0), backlog: Some(300), ..ERRORS };
        let took = |band| recovered(&series, (at(1.0), None), Duration::from_secs(2), band);
        assert_eq!((took(band), took(ERRORS)), (Ok(2.0), Ok(0.0)));
    }
}
