//! Order: what the witness says of duplicates and of older writes after newer ones.
//!
//! In: the sightings. Out: the counts, reported; at least once and out of order are within what a versioned upsert
//! makes harmless, so they fail only where a scenario claims otherwise. Without a witness they are not observable,
//! which is not 0.

use super::soundness::Soundness;
use super::witness::Witness;
use super::{Case, Evidence, Finding, OrderCounts};
use crate::plan::Plan;

pub(super) fn counts(plan: &Plan, evidence: &Evidence, soundness: &Soundness) -> Option<OrderCounts> {
    let log = evidence.state.as_ref()?.witness.read()?;
    (plan.target.witness && soundness.witness.is_none()).then(|| Witness::of(plan, &log.sightings).order())
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    if !case.plan.target.witness {
        return Vec::new();
    }
    let finding = match (&case.figures.soundness.witness, case.figures.order) {
        (Some(why), _) => Finding::inconclusive("order", why.clone()),
        (None, None) => {
            Finding::inconclusive("order", "the witness was asked for, and there is none to read".to_owned())
        }
        (None, Some(OrderCounts { duplicates, reordered, dropped_as_superseded })) => Finding::pass(
            "order",
            format!(
                "{duplicates} writes were seen more than once, {reordered} after a newer one of their key, \
                 {dropped_as_superseded} were dropped by name as superseded"
            ),
        ),
    };
    vec![finding]
}

#[cfg(test)]
mod tests {
    use crate::checks::Verdict;
    use crate::checks::canned;
    use crate::readback::{Sighting, Source};

    #[test]
    fn a_redelivered_write_is_counted_and_does_not_fail() {
        let mut canned = canned::healthy();
        canned.sightings(|sightings| {
            let order = sightings.len() as u64 + 1;
            let again = Sighting { order, old_seq: Some(sightings[9].new_seq), ..sightings[9] };
            sightings.push(again);
        });
        let judgement = canned.judge();
        assert_eq!(judgement.order.unwrap().duplicates, 1);
        assert_eq!(judgement.verdict, Verdict::Pass);
    }

    #[test]
    fn a_witness_that_cannot_be_read_is_inconclusive() {
        let mut canned = canned::healthy();
        canned.state().witness = Source::Gap { why: "no such table".into() };
        let judgement = canned.judge();
        assert_eq!(judgement.finding("order").verdict, Verdict::Inconclusive);
        assert_eq!(judgement.order, None);
    }

    #[test]
    fn without_a_witness_order_is_not_observable_and_not_zero() {
        let judgement = canned::load_test().judge();
        assert_eq!(judgement.order, None);
        assert!(judgement.findings.iter().all(|finding| finding.check != "order"));
        assert!(judgement.not_assessed.iter().any(|sentence| sentence.contains("witness")));
    }
}
