//! A seeded bug: the service was made wrong on purpose, so that mxctl can prove itself.
//!
//! In: the plan. Out: INCONCLUSIVE where it seeds a bug, nothing otherwise. It can only withhold a pass: whatever such a
//! run shows, it says nothing of the product.

use super::{Case, Finding};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Some(bug) = &case.plan.target.seeded_bug else { return Vec::new() };
    let summary =
        format!("the bug `{bug}` was seeded into the service: this run proves mxctl, and nothing of the product");
    vec![Finding::inconclusive("seeded bug", summary)]
}

#[cfg(test)]
mod tests {
    use crate::checks::Verdict;
    use crate::checks::canned;

    #[test]
    fn a_run_with_a_seeded_bug_is_never_a_pass_whatever_it_shows() {
        let mut canned = canned::healthy();
        canned.plan.target.seeded_bug = Some("lifo".into());
        let judgement = canned.judge();
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert!(judgement.finding("seeded bug").summary.contains("`lifo`"));
    }

    #[test]
    fn a_run_without_one_says_nothing_of_it() {
        assert!(canned::healthy().judge().findings.iter().all(|finding| finding.check != "seeded bug"));
    }
}
