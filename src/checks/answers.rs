//! The floor under every run: enough of what was due was acknowledged outside fault windows, of all operations and of
//! the writes alone.
//!
//! In: outcomes per phase. Out: INCONCLUSIVE below the floor: a run of error pages proves nothing, neither that data
//! is kept nor how fast the target is. A mix of many reads must not hide that the writes are refused.

use super::{Case, Conservation, Finding};
use crate::plan::RunPhase;

/// What was due outside the windows of faults; where the faults left no such time, in the whole run.
fn undisturbed(case: &Case) -> (Conservation, &'static str) {
    let steady = case.figures.timing.outcomes(Some(RunPhase::Steady));
    match steady.due {
        0 => (case.figures.timing.outcomes(None), "in the whole run, as no time was outside fault windows"),
        _ => (steady, "outside fault windows"),
    }
}

/// The same of the writes alone.
fn undisturbed_writes(case: &Case) -> Conservation {
    match case.figures.timing.outcomes(Some(RunPhase::Steady)).due {
        0 => case.figures.timing.written(None),
        _ => case.figures.timing.written(Some(RunPhase::Steady)),
    }
}

pub(super) fn holds(case: &Case) -> bool {
    let reaches = |counts: &Conservation| counts.acked as f64 >= case.plan.load.acked_floor * counts.due as f64;
    let (all, writes) = (undisturbed(case).0, undisturbed_writes(case));
    all.due > 0 && reaches(&all) && reaches(&writes)
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let (counts, when) = undisturbed(case);
    let Conservation { due, acked, refused, unknown, not_sent } = counts;
    let summary = format!(
        "{acked} of {due} operations were acknowledged {when} (floor {} %)",
        case.plan.load.acked_floor * 100.0
    );
    if holds(case) {
        return vec![Finding::pass("answers", summary)];
    }
    let others = format!("{refused} were refused, {unknown} are unknown, {not_sent} were not sent");
    let writes = undisturbed_writes(case);
    let of_writes = format!("of {} writes, {} were acknowledged", writes.due, writes.acked);
    let reasons = case.figures.timing.reasons.in_words();
    vec![Finding::inconclusive("answers", summary).because([others, of_writes].into_iter().chain(reasons).collect())]
}

#[cfg(test)]
mod tests {
    use crate::checks::Verdict;
    use crate::checks::canned;
    use crate::load::Outcome;

    #[test]
    fn a_run_of_error_pages_proves_nothing() {
        let mut canned = canned::healthy();
        canned.attempts(|attempts| attempts.iter_mut().for_each(|a| a.outcome = Outcome::Unknown));
        let judgement = canned.judge();
        assert_eq!(judgement.finding("answers").verdict, Verdict::Inconclusive);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "neither a pass nor a failed gate");
    }

    #[test]
    fn many_reads_do_not_hide_that_writes_are_refused() {
        let mut canned = canned::load_test();
        canned.plan.gates.clear();
        // All that is not acknowledged is 8 % of the load, and 16 % of its writes.
        canned.attempts(|attempts| {
            for a in attempts.iter_mut() {
                a.lane = if a.op % 2 == 0 { crate::load::Lane::Read } else { a.lane };
            }
            attempts.iter_mut().filter(|a| a.op % 12 == 1).for_each(canned::refuse);
        });
        assert_eq!(canned.judge().finding("answers").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn errors_inside_fault_windows_do_not_count_against_the_floor() {
        let mut canned = canned::healthy();
        let phases = super::super::phases::Phases::of(&canned.plan, &canned.evidence.incidents);
        canned.attempts(|attempts| {
            for a in attempts.iter_mut().filter(|a| phases.at(a.due) == super::RunPhase::Fault) {
                canned::refuse(a);
            }
        });
        assert_eq!(canned.judge().finding("answers").verdict, Verdict::Pass);
    }

    #[test]
    fn one_in_eight_refused_is_below_the_floor_and_one_in_twenty_is_not() {
        for (one_in, expected) in [(8, Verdict::Inconclusive), (20, Verdict::Pass)] {
            let mut canned = canned::healthy();
            canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % one_in == 0).for_each(canned::refuse));
            assert_eq!(canned.judge().finding("answers").verdict, expected);
        }
    }
}
