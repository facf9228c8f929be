//! A run that was told to stop is reported, and never a PASS.

use super::{Case, Finding};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let ended = case.evidence.ledger.issued_until();
    let mut reasons = Vec::new();
    if case.evidence.interrupted {
        reasons.push(format!("the run was told to stop; its load had been issued until {ended}"));
    }
    if case.evidence.incidents.interrupted {
        reasons.push("the timeline was told to stop before it was over".to_owned());
    }
    match reasons.is_empty() {
        true => vec![Finding::pass("interrupted", "the run came to its own end".to_owned())],
        false => {
            let summary = "the run was interrupted: what it had not done yet proves nothing".to_owned();
            vec![Finding::inconclusive("interrupted", summary).because(reasons)]
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::Verdict;
    use crate::checks::canned;

    #[test]
    fn an_interrupted_run_never_passes() {
        let mut canned = canned::healthy();
        assert_eq!(canned.judge().verdict, Verdict::Pass);
        canned.evidence.interrupted = true;
        assert_eq!(canned.judge().verdict, Verdict::Inconclusive);
        canned.evidence.interrupted = false;
        canned.evidence.incidents.interrupted = true;
        assert_eq!(canned.judge().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_loss_in_an_interrupted_run_is_still_a_loss() {
        let mut canned = canned::healthy();
        canned.evidence.interrupted = true;
        let op = canned.once(5);
        canned.remove_rows_of(op);
        assert_eq!(canned.judge().verdict, Verdict::Fail);
    }
}
