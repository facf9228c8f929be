//! Backlog: does the buffer grow under a steady load?
//!
//! In: the buffer's depths over the longest undisturbed stretch of the load at one rate (under a ramp a buffer may well
//! grow: more is written between two flushes). Out: the slope, by least squares over
//! means of one second (a flush empties the buffer several times a second: single readings are a saw-tooth, and not
//! independent), with its standard error.
//!
//! FAIL only where all hold: the slope is above three standard errors; at that slope the buffer is full within an
//! hour; and what gathered over the stretch is more than one second's writes. Such a target does not carry this load,
//! it only has not filled up yet. Anything less is reported and passes; too few readings are *not assessed*.

use std::time::Duration;

use super::spans::Span;
use super::{Case, Finding};
use crate::clock::Offset;

/// Tasks that the target's buffer takes before it refuses (its default; a plan does not set another).
const CAPACITY: f64 = 100_000.0;

const HORIZON: Duration = Duration::from_secs(3600);

/// Standard errors above zero from which on a slope is no accident.
const SIGNIFICANT: f64 = 3.0;

/// Seconds of readings below which a slope says nothing.
const SECONDS_MIN: usize = 8;

/// A line through the depths, in tasks and seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    pub slope: f64,
    pub error: f64,
    pub seconds: f64,
}

pub(super) fn trend(case: &Case) -> Option<Trend> {
    let stretch = case.figures.phases.longest_steady();
    fit(&means_by_second(&case.evidence.incidents.depths, stretch))
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Some(trend) = trend(case) else { return Vec::new() };
    let Trend { slope, error, seconds } = trend;
    let told = format!("{slope:+.1} ± {error:.1} tasks/s over {seconds:.0} s of steady load");
    let finding = match (grows(case, trend), case.figures.pace.carries_gates(&case.plan.load)) {
        (false, _) => Finding::pass("backlog", told),
        (true, true) => {
            let full = CAPACITY / slope;
            Finding::fail("backlog", format!("{told}: the buffer of {CAPACITY} tasks would be full in {full:.0} s"))
        }
        (true, false) => Finding::inconclusive(
            "backlog",
            format!("{told}; void, as the generator did not ask what the plan asks for"),
        ),
    };
    vec![finding]
}

fn grows(case: &Case, trend: Trend) -> bool {
    let (load, (from, _)) = (&case.plan.load, case.figures.phases.longest_steady());
    let share = f64::from(1000 - load.mix.read) / 1000.0;
    let writes = load.shape.rps_at(Duration::from_nanos(from.0)) * share * 3.0;
    trend.slope > SIGNIFICANT * trend.error
        && trend.slope * HORIZON.as_secs_f64() >= CAPACITY
        && trend.slope * trend.seconds > writes
}

fn means_by_second(depths: &[(Offset, u64)], (from, to): Span) -> Vec<(f64, f64)> {
    let within = depths.iter().filter(|(at, _)| (from..to).contains(at));
    let readings: Vec<(u64, u64)> = within.map(|(at, depth)| (at.since(from).as_secs(), *depth)).collect();
    let mean = |second: &[(u64, u64)]| {
        let sum: u64 = second.iter().map(|(_, depth)| depth).sum();
        (second[0].0 as f64 + 0.5, sum as f64 / second.len() as f64)
    };
    readings.chunk_by(|a, b| a.0 == b.0).map(mean).collect()
}

/// Least squares; the slope's standard error from the residuals.
fn fit(points: &[(f64, f64)]) -> Option<Trend> {
    if points.len() < SECONDS_MIN {
        return None;
    }
    let n = points.len() as f64;
    let (mean_x, mean_y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let residual = |(x, y): &(f64, f64)| (y - mean_y - slope * (x - mean_x)).powi(2);
    let error = (points.iter().map(residual).sum::<f64>() / (n - 2.0) / spread).sqrt();
    Some(Trend { slope, error, seconds: points[points.len() - 1].0 - points[0].0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned;

    fn verdict(depth: impl Fn(u64) -> u64) -> Option<Verdict> {
        let mut canned = canned::load_test();
        let tenths = (0..canned::SECONDS * 10).map(|i| (Offset(i * 100_000_000), depth(i)));
        canned.evidence.incidents.depths = tenths.collect();
        canned.judge().findings.iter().find(|f| f.check == "backlog").map(|f| f.verdict)
    }

    #[test]
    fn a_level_saw_tooth_passes() {
        assert_eq!(verdict(|i| (i % 3) * 200), Some(Verdict::Pass));
    }

    #[test]
    fn a_backlog_that_would_fill_the_buffer_fails() {
        assert_eq!(verdict(|i| i * 10 + (i % 3) * 200), Some(Verdict::Fail));
    }

    #[test]
    fn a_slope_that_is_significant_and_small_is_reported_and_passes() {
        assert_eq!(verdict(|i| i / 10 + (i % 2)), Some(Verdict::Pass));
    }

    #[test]
    fn a_growing_backlog_under_a_load_that_was_not_asked_is_inconclusive() {
        let mut canned = canned::load_test();
        canned.evidence.incidents.depths = (0..600).map(|i| (Offset(i * 100_000_000), i * 10)).collect();
        canned.attempts(|attempts| {
            for a in attempts.iter_mut().filter(|a| a.op % 20 == 0) {
                a.woke = a.due.plus(Duration::from_millis(500));
                (a.free, a.sent, a.done) = (a.woke, Some(a.woke), Some(a.woke));
            }
        });
        assert_eq!(canned.judge().finding("backlog").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn too_few_readings_are_not_assessed() {
        let mut canned = canned::load_test();
        canned.evidence.incidents.depths.clear();
        let judgement = canned.judge();
        assert!(judgement.findings.iter().all(|finding| finding.check != "backlog"));
        assert!(judgement.not_assessed.iter().any(|sentence| sentence.contains("backlog")));
    }

    #[test]
    fn a_line_is_found_with_its_error() {
        let exact: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), 3.0 * f64::from(i) + 7.0)).collect();
        let trend = fit(&exact).unwrap();
        assert!((trend.slope - 3.0).abs() < 1e-9 && trend.error < 1e-9);
        assert_eq!(fit(&exact[..5]), None);
    }
}
