//! Settled: was the target at rest when its state was read?
//!
//! In: how the wait for quiet ended. Out: INCONCLUSIVE where it did not end in a quiet that can be believed. What is
//! stranded in a target that is stuck is for [`integrity`](super::integrity) to say.

use super::{Case, Finding};
use crate::backends::{SettleEnd, SettleOutcome};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Some(state) = &case.evidence.state else {
        return vec![Finding::inconclusive("settled", "the run ended before its state was read".to_owned())];
    };
    let settle = &state.settle;
    match (problem(settle), &case.figures.soundness.queue) {
        (Some(problem), _) => vec![Finding::inconclusive("settled", problem)],
        (None, Some(blind)) => vec![Finding::inconclusive("settled", format!("it looks quiet, but {blind}"))],
        (None, None) => vec![Finding::pass("settled", quiet(settle))],
    }
}

fn quiet(settle: &SettleOutcome) -> String {
    format!("everything drained {:.1?} after the load; quiet was seen after {:.1?}", settle.drain, settle.waited)
}

fn problem(settle: &SettleOutcome) -> Option<String> {
    let SettleOutcome { end, drain, waited, .. } = settle;
    match end {
        SettleEnd::Quiet => None,
        SettleEnd::Stuck => {
            Some(format!("stuck: something is left, and nothing has moved since {drain:.1?} after the load"))
        }
        SettleEnd::Undrained => Some(format!("undrained: still draining when the wait ended after {waited:.1?}")),
        SettleEnd::Blind => Some(format!("blind: a probe failed until the wait ended after {waited:.1?}")),
        SettleEnd::Aborted => Some(format!("aborted: the wait for quiet was cut off after {waited:.1?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned;

    #[test]
    fn a_quiet_target_has_settled() {
        assert_eq!(canned::healthy().judge().finding("settled").verdict, Verdict::Pass);
        assert_eq!(canned::in_memory().judge().finding("settled").verdict, Verdict::Pass);
    }

    #[test]
    fn every_other_end_is_inconclusive() {
        for end in [SettleEnd::Stuck, SettleEnd::Undrained, SettleEnd::Blind, SettleEnd::Aborted] {
            let mut canned = canned::healthy();
            canned.state().settle.end = end;
            let judgement = canned.judge();
            assert_eq!(judgement.finding("settled").verdict, Verdict::Inconclusive, "{end:?}");
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{end:?}");
        }
    }

    #[test]
    fn the_quiet_of_a_probe_that_never_saw_anything_proves_nothing() {
        let mut canned = canned::healthy();
        canned.blind_the_probe();
        assert_eq!(canned.judge().finding("settled").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_run_without_a_state_has_not_settled() {
        let mut canned = canned::healthy();
        canned.evidence.state = None;
        assert_eq!(canned.judge().finding("settled").verdict, Verdict::Inconclusive);
    }
}
