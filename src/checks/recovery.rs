//! Recovery: from the start of a stop until the errors are back in band.
//!
//! In: the series, and when each stop struck; a paused instance that goes on is a blow of its own. Out: the longest recovery of all stops, for the gate `recovery`.
//!
//! A second is out of band when its share of errors is above the limit of the steady error gate (0.1 % where the plan
//! has none), or above what steady time showed, where that is more. A stop has recovered when the errors stay in band
//! for its window, or until the next stop. Seconds after the load show no errors, and no recovery either: what nobody
//! asked is not in band.

use std::time::Duration;

use super::gates::Measured;
use super::windows::struck;
use super::{Case, Conservation, SeriesPoint};
use crate::clock::Offset;
use crate::plan::{GateMetric, RunPhase};

/// The share of errors that counts as none, where the plan does not say.
const BAND: f64 = 0.001;

pub(super) fn measured(case: &Case) -> Measured {
    let mut blows: Vec<(Offset, Duration)> = blows(case).collect();
    blows.sort();
    if blows.is_empty() {
        return Measured::Nothing("no stop fired: there was nothing to recover from".to_owned());
    }
    let (series, band) = (&case.figures.timing.series, band(case));
    let next = |at: Offset| blows.iter().map(|(next, _)| *next).find(|next| *next > at);
    let times = blows.iter().map(|(blow, window)| recovered(series, *blow, *window, next(*blow), band));
    let (mut longest, mut open) = (0.0f64, false);
    for time in times {
        open |= time.is_err();
        longest = longest.max(time.unwrap_or_else(|so_far| so_far));
    }
    if open { Measured::AtLeast(longest) } else { Measured::Value(longest) }
}

/// When each stop struck, or let go of its victim, and its window.
fn blows(case: &Case) -> impl Iterator<Item = (Offset, Duration)> {
    let window = |id: &str| case.plan.stops().find(|stop| stop.id == id).map(|stop| stop.window);
    let records = case.evidence.incidents.steps.iter().flat_map(|step| &step.stops);
    records.flat_map(move |record| {
        let window = window(&record.id).unwrap_or_default();
        std::iter::once(struck(record)).chain(record.resumed).map(move |blow| (blow, window))
    })
}

fn band(case: &Case) -> f64 {
    let gates = case.plan.gates.iter().filter(|gate| gate.metric == GateMetric::ErrorRate);
    let declared = gates.filter(|gate| gate.phase.is_none_or(|phase| phase == RunPhase::Steady)).map(|gate| gate.limit);
    let steady = case.figures.timing.outcomes(Some(RunPhase::Steady));
    declared.reduce(f64::min).unwrap_or(BAND).max(errors(&steady) / steady.due.max(1) as f64)
}

fn errors(counts: &Conservation) -> f64 {
    (counts.refused + counts.unknown + counts.not_sent) as f64
}

/// Seconds from the blow until the errors stay in band; `Err`: the load ended before that.
fn recovered(
    series: &[SeriesPoint],
    blow: Offset,
    window: Duration,
    next: Option<Offset>,
    band: f64,
) -> Result<f64, f64> {
    let second = |at: Offset| at.as_duration().as_secs() as usize;
    let in_band =
        |point: &SeriesPoint| (point.refused + point.unknown + point.not_sent) as f64 <= band * point.due as f64;
    let first = second(blow);
    let stays_in_band = |from: usize| {
        let watched = from + (window.as_secs() as usize).max(1);
        let until = next.map(second).filter(|next| *next > from).map_or(watched, |next| watched.min(next));
        (from..until).all(|second| series.get(second).is_some_and(in_band))
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

    fn after(refused: &[u64], blow: f64, next: Option<f64>) -> Result<f64, f64> {
        recovered(&series(refused), at(blow), Duration::from_secs(2), next.map(at), BAND)
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
        let in_band = recovered(&series(&[0, 5, 5, 5]), at(1.5), Duration::from_secs(2), None, 0.05);
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
}
