//! Attempts: is the number of attempts bounded, as the plan says it is?
//!
//! In: how many attempts each instance counted as failed, the operations planned as poison, the plan's bound. Out: FAIL
//! where more attempts failed than all poison together may take; PASS within that. Only poison fails by itself, so that
//! without any there is nothing to say.
//!
//! # What it rests on
//! An untorn ledger, and a run without stops: the counter of a process ends with it, and an instance that was frozen fails
//! a task that is no longer its own.

use super::{Case, Finding, metrics, operations};
use crate::load::{Lane, Outcome};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Ok((counters, _)) = metrics::comparable(case) else { return Vec::new() };
    let soundness = &case.figures.soundness;
    let stored = |outcome| matches!(outcome, Outcome::Acked | Outcome::Unknown);
    let poison = operations::writes(&case.evidence.ledger).filter(|w| w.lane == Lane::Poison && stored(w.outcome));
    let (poison, most) = (3 * poison.count() as u64, u64::from(case.plan.target.worker.max_attempts));
    let failed: u64 = counters.iter().map(|own| own.failed_attempts).sum();
    if poison == 0 {
        return Vec::new();
    }
    let told = format!("{failed} attempts failed; {poison} poison tasks may take {most} each");
    vec![match (failed <= poison * most, soundness.records.as_ref().or(soundness.ledger.as_ref())) {
        (_, Some(why)) => Finding::inconclusive("attempts", format!("{told}; {why}")),
        (true, None) => Finding::pass("attempts", told),
        (false, None) => Finding::fail("attempts", told),
    }]
}

#[cfg(test)]
mod tests {
    use crate::checks::canned::{self, Canned};
    use crate::checks::{Judgement, Verdict};
    use crate::readback::Source;

    fn judged(failed: u64, change: impl FnOnce(&mut Canned)) -> Judgement {
        let mut canned = canned::poisoned_load();
        let Source::Read(counters) = &mut canned.state().counters else { panic!("canned counters are read") };
        counters[0].failed_attempts = failed;
        change(&mut canned);
        canned.judge()
    }

    fn verdict(judgement: &Judgement) -> Option<Verdict> {
        judgement.findings.iter().find(|finding| finding.check == "attempts").map(|finding| finding.verdict)
    }

    #[test]
    fn poison_may_take_its_attempts_and_no_more() {
        assert_eq!(verdict(&judged(100, |_| ())), Some(Verdict::Pass));
        let judgement = judged(1_000_000, |_| ());
        assert_eq!((verdict(&judgement), judgement.verdict), (Some(Verdict::Fail), Verdict::Fail));
    }

    #[test]
    fn a_ledger_that_may_lack_poison_accuses_nobody() {
        assert_eq!(verdict(&judged(1_000_000, Canned::tear)), Some(Verdict::Inconclusive));
    }

    #[test]
    fn instances_that_were_stopped_are_not_counted() {
        let judgement = canned::poisoned().judge();
        assert_eq!(verdict(&judgement), None);
    }

    #[test]
    fn without_poison_or_counters_there_is_nothing_to_say() {
        assert_eq!(verdict(&canned::load_test().judge()), None);
        assert_eq!(verdict(&judged(100, |c| c.state().counters = Source::Gap { why: "no answer".into() })), None);
    }
}
