//! Metrics: does `processed_tasks_total` agree with the database?
//!
//! In: what every instance said of itself at the end, and the rows. Out: INCONCLUSIVE where fewer tasks were counted
//! as committed than rows exist: each row was committed by at least one. Only runs without a stop are compared: a
//! counter ends with its process.

use super::{Case, Finding};
use crate::readback::{Counters, RowSet};

/// The counters and the rows, where they can be compared; `Err`: why not.
pub(super) fn comparable<'a>(case: &Case<'a>) -> Result<(&'a [Counters], &'a RowSet), String> {
    let not = |why: &str| Err(format!("processed_tasks_total is not compared with the rows: {why}"));
    if case.evidence.incidents.steps.iter().any(|step| !step.stops.is_empty()) || case.plan.stops().next().is_some() {
        return not("instances were stopped, and a counter ends with its process");
    }
    let Some(state) = &case.evidence.state else { return not("the run ended before its state was read") };
    match (state.counters.read(), state.rows.read()) {
        (Some(counters), Some(set)) => Ok((counters, set)),
        (None, _) => not(state.counters.why_not().unwrap_or_default()),
        (_, None) => not(state.rows.why_not().unwrap_or_default()),
    }
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Ok((counters, set)) = comparable(case) else { return Vec::new() };
    let processed: u64 = counters.iter().map(|own| own.processed_tasks).sum();
    let rows = set.rows.len();
    let told = format!("the instances count {processed} tasks as committed; the database has {rows} rows");
    match processed >= rows {
        true => vec![Finding::pass("metrics", told)],
        false => vec![Finding::inconclusive("metrics", format!("{told}, each of which took at least one"))],
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::Verdict;
    use crate::checks::canned;
    use crate::readback::Source;

    #[test]
    fn as_many_tasks_as_rows_agree() {
        assert_eq!(canned::load_test().judge().finding("metrics").verdict, Verdict::Pass);
    }

    #[test]
    fn fewer_tasks_than_rows_contradict_the_database() {
        let mut canned = canned::load_test();
        let Source::Read(counters) = &mut canned.state().counters else { panic!("canned counters are read") };
        counters.iter_mut().for_each(|own| own.processed_tasks = 5);
        assert_eq!(canned.judge().finding("metrics").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn counters_of_killed_instances_are_not_compared() {
        let judgement = canned::healthy().judge();
        assert!(judgement.findings.iter().all(|finding| finding.check != "metrics"));
        assert!(judgement.not_assessed.iter().any(|sentence| sentence.contains("processed_tasks_total")));
    }
}
