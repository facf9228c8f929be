//! Recovery: from the start of a stop until the errors are back in band.
//!
//! In: the series, and when each stop struck. Out: the longest recovery of all stops, for the gate `recovery`.
//!
//! A second is out of band when its share of errors is above the limit of the steady error gate (0.1 % where the plan
//! has none), or above what steady time showed, where that is more. A stop has recovered at the end of the last
//! such second before the next stop; where the next one begins out of band, the first one has not recovered yet.

use super::gates::Measured;
use super::stops::struck;
use super::{Case, Conservation, SeriesPoint};
use crate::clock::Offset;
use crate::plan::{GateMetric, RunPhase};

/// The share of errors that counts as none, where the plan does not say.
const BAND: f64 = 0.001;

pub(super) fn measured(case: &Case) -> Measured {
    let mut blows: Vec<Offset> =
        case.evidence.incidents.steps.iter().flat_map(|step| &step.stops).map(struck).collect();
    blows.sort();
    if blows.is_empty() {
        return Measured::Nothing("no stop fired: there was nothing to recover from".to_owned());
    }
    let ends = blows.iter().skip(1).copied().map(Some).chain([None]);
    let (mut longest, mut open) = (0.0f64, None::<f64>);
    for (blow, next) in blows.iter().zip(ends) {
        match recovered(&case.figures.timing.series, *blow, next, band(case)) {
            Ok(seconds) => longest = longest.max(seconds),
            Err(seconds) => open = Some(open.unwrap_or(0.0).max(seconds)),
        }
    }
    match open {
        Some(at_least) => Measured::AtLeast(at_least.max(longest)),
        None => Measured::Value(longest),
    }
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

/// Seconds from the blow to the last second out of band; `Err`: it was out of band when the load ended.
fn recovered(series: &[SeriesPoint], blow: Offset, next: Option<Offset>, band: f64) -> Result<f64, f64> {
    let index = |at: Offset| (at.as_duration().as_secs() as usize).min(series.len());
    let (from, until) = (index(blow), next.map_or(series.len(), index));
    let out = |point: &SeriesPoint| (point.refused + point.unknown + point.not_sent) as f64 > band * point.due as f64;
    let last = (from..until.max(from)).rev().find(|second| out(&series[*second]));
    let Some(mut last) = last else { return Ok(0.0) };
    while last + 1 >= until && series.get(last + 1).is_some_and(out) {
        last += 1;
    }
    let seconds = (last + 1) as f64 - blow.as_secs_f64();
    if last + 1 == series.len() { Err(seconds) } else { Ok(seconds) }
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

    #[test]
    fn a_stop_without_errors_recovers_at_once() {
        assert_eq!(recovered(&series(&[0, 0, 0, 0]), at(1.5), None, BAND), Ok(0.0));
    }

    #[test]
    fn recovery_ends_with_the_last_second_out_of_band() {
        assert_eq!(recovered(&series(&[0, 5, 0, 5, 0, 0]), at(1.5), None, BAND), Ok(2.5));
        assert_eq!(recovered(&series(&[0, 5, 0, 5, 0, 0]), at(1.5), None, 0.05), Ok(0.0), "5 % are in this band");
    }

    #[test]
    fn errors_of_the_next_stop_are_its_own_unless_they_never_ceased() {
        assert_eq!(recovered(&series(&[0, 5, 0, 5, 0, 0]), at(1.0), Some(at(3.0)), BAND), Ok(1.0));
        assert_eq!(recovered(&series(&[0, 5, 5, 5, 0, 0]), at(1.0), Some(at(3.0)), BAND), Ok(3.0));
    }

    #[test]
    fn errors_until_the_end_have_not_recovered() {
        assert_eq!(recovered(&series(&[0, 0, 5, 5]), at(2.0), None, BAND), Err(2.0));
    }

    #[test]
    fn a_stop_after_the_load_sees_no_errors() {
        assert_eq!(recovered(&series(&[0, 0]), at(7.0), None, BAND), Ok(0.0));
    }
}
