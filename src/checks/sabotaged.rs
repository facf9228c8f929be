//! Sabotage: a part of mxctl was exchanged for one that is wrong, so that mxctl can prove that it notices.
//!
//! In: the plan. Out: INCONCLUSIVE where it sabotages the run, nothing otherwise. It can only withhold a pass: whatever
//! such a run shows, it says nothing of the product.

use super::{Case, Finding};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Some(sabotage) = case.plan.sabotage else { return Vec::new() };
    let summary = format!("mxctl itself was sabotaged (`{}`): this run proves nothing of the product", sabotage.word());
    vec![Finding::inconclusive("sabotage", summary)]
}

#[cfg(test)]
mod tests {
    use crate::checks::Verdict;
    use crate::checks::canned;
    use crate::plan::Sabotage;

    #[test]
    fn a_sabotaged_run_is_never_a_pass_whatever_it_shows() {
        for sabotage in Sabotage::ALL {
            let mut canned = canned::healthy();
            canned.plan.sabotage = Some(sabotage);
            let judgement = canned.judge();
            assert_eq!(judgement.verdict, Verdict::Inconclusive);
            assert!(judgement.finding("sabotage").summary.contains(sabotage.word()));
        }
    }

    #[test]
    fn any_other_run_says_nothing_of_it() {
        assert!(canned::healthy().judge().findings.iter().all(|finding| finding.check != "sabotage"));
    }
}
