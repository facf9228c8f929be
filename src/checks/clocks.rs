//! Clocks: was the clock that was to be wrong, wrong, and by how much?
//!
//! In: the plan's offsets, and what every instance told of its own clock at the end, beside mxctl's. Out: PASS where each is
//! as planned, INCONCLUSIVE where one is not, or was not told. It can only withhold a pass: a fault that was not shown
//! proves nothing.

use super::{Case, Finding};
use crate::plan::ClockOffset;
use crate::readback::Counters;
use crate::scenario::Shift;

/// Between the question and the answer, and in the rounding of both.
const TOLERANCE_MS: u64 = 1000;

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let planned = &case.plan.target.clock_offsets;
    if planned.is_empty() {
        return Vec::new();
    }
    let counters = case.evidence.state.as_ref().and_then(|state| state.counters.read()).map_or(&[][..], Vec::as_slice);
    let told: Vec<Result<String, String>> = planned.iter().map(|planned| look(planned, counters)).collect();
    let unproven: Vec<String> = told.iter().filter_map(|told| told.clone().err()).collect();
    match unproven.is_empty() {
        true => vec![Finding::pass("clocks", told.into_iter().flatten().collect::<Vec<_>>().join("; "))],
        false => {
            let summary = format!("{} of {} clocks are not proven to be as planned", unproven.len(), planned.len());
            vec![Finding::inconclusive("clocks", summary).because(unproven)]
        }
    }
}

/// Mechanism: whoever fills the slot at the end says what time it is.
fn look(planned: &ClockOffset, counters: &[Counters]) -> Result<String, String> {
    let of_slot = format!("{}.", planned.slot);
    let Some(own) = counters.iter().rfind(|own| own.instance.starts_with(&of_slot)) else {
        return Err(format!("nobody told the clock of {}", planned.slot));
    };
    let (name, planned_ms) = (&own.instance, planned.ahead_ms);
    match own.clock_ahead_ms {
        None => Err(format!("{name} told no clock of its own")),
        Some(seen) if seen.abs_diff(planned_ms) <= TOLERANCE_MS => {
            Ok(format!("{name}'s own clock was seen {:+.1} s from mxctl's", seen as f64 / 1e3))
        }
        Some(seen) => Err(format!(
            "{name}'s own clock was seen {:+.1} s from mxctl's, and {} is planned",
            seen as f64 / 1e3,
            Shift(planned_ms)
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::canned::{self, Canned};
    use crate::checks::{Judgement, Verdict};
    use crate::plan::{ClockOffset, Role, Slot};
    use crate::readback::Source;

    fn judged(change: impl FnOnce(&mut Canned)) -> Judgement {
        let mut canned = canned::load_test();
        let slot = Slot { role: Role::Worker, number: 1 };
        canned.plan.target.clock_offsets = vec![ClockOffset { slot, ahead_ms: -30_000 }];
        change(&mut canned);
        canned.judge()
    }

    fn seen(canned: &mut Canned, ahead_ms: Option<i64>) {
        let Source::Read(counters) = &mut canned.state().counters else { panic!("canned counters are read") };
        let own = counters.iter_mut().find(|own| own.instance.starts_with("worker-1.")).expect("a worker");
        own.clock_ahead_ms = ahead_ms;
    }

    #[test]
    fn a_clock_that_was_seen_as_wrong_as_planned_is_proven() {
        let finding = judged(|canned| seen(canned, Some(-30_004))).finding("clocks").clone();
        assert_eq!(finding.verdict, Verdict::Pass);
        assert!(finding.summary.contains("-30.0 s from mxctl's"), "{}", finding.summary);
    }

    #[test]
    fn a_clock_that_is_right_or_was_not_told_proves_nothing() {
        for ahead_ms in [Some(3), Some(30_000), None] {
            let judgement = judged(|canned| seen(canned, ahead_ms));
            assert_eq!(judgement.finding("clocks").verdict, Verdict::Inconclusive, "{ahead_ms:?}");
            assert_eq!(judgement.verdict, Verdict::Inconclusive);
        }
        let gap = |canned: &mut Canned| canned.state().counters = Source::Gap { why: "connection refused".into() };
        assert_eq!(judged(gap).finding("clocks").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn where_every_clock_is_right_nothing_is_said() {
        assert!(canned::load_test().judge().findings.iter().all(|finding| finding.check != "clocks"));
    }
}
