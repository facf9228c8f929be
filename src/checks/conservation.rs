//! Conservation: what the plan's pacer and lanes say was due = acked + refused + unknown + not sent.
//!
//! In: the plan, from which every operation is derived again, and the ledger. Out: the counts, and wherever the
//! ledger differs from the plan. A ledger that lacks operations, or whose records are not the plan's, is evidence
//! against itself: [`Conserved`] tells [`Soundness`](super::soundness::Soundness) so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Case, Evidence, Finding};
use crate::clock::Offset;
use crate::load::ledger::Soundness;
use crate::load::pacer::{Pacer, Timetable};
use crate::load::{Attempt, Operation, Operations, Outcome};
use crate::plan::Plan;

/// How many differences are told one by one.
const TOLD: usize = 5;

/// What the plan's pacer says was due = acked + refused + unknown + not sent (all lanes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conservation {
    pub due: u64,
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub not_sent: u64,
}

impl Conservation {
    /// Whatever was due and not acknowledged.
    pub fn errors(&self) -> u64 {
        self.refused + self.unknown + self.not_sent
    }

    /// Another part's, on top.
    pub(crate) fn add(&mut self, other: &Conservation) {
        let Conservation { due, acked, refused, unknown, not_sent } = other;
        self.due += due;
        self.acked += acked;
        self.refused += refused;
        self.unknown += unknown;
        self.not_sent += not_sent;
    }
}

/// What comparing the ledger with the plan gave.
#[derive(Debug, Clone, Default)]
pub(super) struct Conserved {
    pub counts: Conservation,
    /// Operations that were due and have no record.
    pub missing: u64,
    /// Records of operations that were not due, recorded twice, or out of order.
    pub surplus: u64,
    /// Records that are not the operation that the plan has at their index, or that contradict themselves.
    pub foreign: u64,
    /// The load ended before its plan did, though nobody told it to.
    pub ended_early: bool,
    /// The first differences, one sentence each.
    differences: Vec<String>,
}

impl Conserved {
    pub fn of(plan: &Plan, evidence: &Evidence) -> Self {
        let pacer = Timetable::of(&plan.load);
        let mut conserved = Conserved::due(plan, evidence, &pacer);
        let mut walk = Walk { pacer: &pacer, plan: Operations::new(plan.run, &plan.load).peekable(), last: None };
        for attempt in evidence.ledger.attempts() {
            walk.step(&attempt, &mut conserved);
        }
        while walk.plan.next_if(|op| op.index < conserved.counts.due).is_some() {
            conserved.missing += 1;
        }
        conserved.count(evidence);
        conserved
    }

    /// An interrupted load, and one whose harness died, was due until it stopped issuing; any other as planned.
    fn due(plan: &Plan, evidence: &Evidence, pacer: &impl Pacer) -> Self {
        let planned = Offset::from_duration(plan.load_end());
        let issued = evidence.ledger.issued_until();
        let cut_short = evidence.told_to_stop() || *evidence.ledger.soundness() != Soundness::Sealed;
        let until = if cut_short { issued.min(planned) } else { planned };
        let counts = Conservation { due: pacer.due_before(until), ..Conservation::default() };
        Conserved { counts, ended_early: !cut_short && issued < planned, ..Conserved::default() }
    }

    /// Where operations were counted, and none was kept.
    pub fn counted(plan: &Plan, evidence: &Evidence, counts: Conservation) -> Self {
        let planned = Conserved::due(plan, evidence, &Timetable::of(&plan.load));
        // In a closed loop the target decides what is due.
        let due = plan.load.closed.map_or(planned.counts.due, |_| counts.due);
        let (missing, surplus) = (due.saturating_sub(counts.due), counts.due.saturating_sub(due));
        Conserved { counts: Conservation { due, ..counts }, missing, surplus, ..planned }
    }

    fn count(&mut self, evidence: &Evidence) {
        for operation in super::operations::operations(&evidence.ledger) {
            match operation.outcome {
                Outcome::Acked => self.counts.acked += 1,
                Outcome::Refused => self.counts.refused += 1,
                Outcome::Unknown => self.counts.unknown += 1,
                Outcome::NotSent => self.counts.not_sent += 1,
            }
        }
    }

    pub fn holds(&self) -> bool {
        let Conservation { due, acked, refused, unknown, not_sent } = self.counts;
        let differences = self.missing + self.surplus + self.foreign;
        due > 0 && differences == 0 && !self.ended_early && due == acked + refused + unknown + not_sent
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.differences.len() < TOLD {
            self.differences.push(what());
        }
    }
}

/// The plan's operations, walked beside the ledger's records.
struct Walk<'a> {
    pacer: &'a Timetable,
    plan: std::iter::Peekable<Operations>,
    /// The operation and attempt of the record before.
    last: Option<(Operation, u8)>,
}

impl Walk<'_> {
    fn step(&mut self, attempt: &Attempt, conserved: &mut Conserved) {
        if attempt.op >= conserved.counts.due {
            conserved.surplus += 1;
            return conserved.note(|| format!("operation {} is in the ledger and was not due", attempt.op));
        }
        match self.planned(attempt, conserved) {
            Some(planned) => self.compare(attempt, planned, conserved),
            None => {
                conserved.surplus += 1;
                conserved.note(|| format!("operation {} is in the ledger twice, or out of order", attempt.op));
            }
        }
    }

    /// The plan's operation for this record: the next one, or again the last one for its next attempt.
    fn planned(&mut self, attempt: &Attempt, conserved: &mut Conserved) -> Option<Operation> {
        if let Some((last, number)) = self.last
            && attempt.op == last.index
        {
            return (attempt.attempt == number + 1).then_some(last);
        }
        while let Some(skipped) = self.plan.next_if(|op| op.index < attempt.op) {
            conserved.missing += 1;
            conserved.note(|| format!("operation {} was due and is not in the ledger", skipped.index));
        }
        self.plan.next_if(|op| op.index == attempt.op)
    }

    fn compare(&mut self, attempt: &Attempt, planned: Operation, conserved: &mut Conserved) {
        self.last = Some((planned, attempt.attempt));
        let recorded = (attempt.lane, attempt.key, attempt.seq);
        if recorded != (planned.lane, planned.key, planned.seq) {
            conserved.foreign += 1;
            return conserved.note(|| {
                let Operation { index, lane, key, seq } = planned;
                format!("operation {index} is recorded as {recorded:?}, and by the plan is {:?}", (lane, key, seq))
            });
        }
        let due = self.pacer.due(planned.index);
        if attempt.due != due {
            conserved.foreign += 1;
            return conserved.note(|| format!("operation {} was due at {due}, not at {}", attempt.op, attempt.due));
        }
        if contradicts_itself(attempt) {
            conserved.foreign += 1;
            conserved.note(|| format!("operation {} is recorded as acknowledged, and not as sent", attempt.op));
        }
    }
}

fn contradicts_itself(attempt: &Attempt) -> bool {
    attempt.outcome == Outcome::Acked
        && !matches!((attempt.sent, attempt.done), (Some(sent), Some(done)) if sent <= done)
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let conserved = &case.figures.conserved;
    let Conservation { due, acked, refused, unknown, not_sent } = conserved.counts;
    let sum = format!("{due} due = {acked} acked + {refused} refused + {unknown} unknown + {not_sent} not sent");
    if let Soundness::Torn { why } = case.evidence.ledger.soundness() {
        return vec![Finding::inconclusive("conservation", format!("the ledger is torn: {why}"))];
    }
    if conserved.holds() {
        return vec![Finding::pass("conservation", sum).because(open_at_end(case))];
    }
    let summary = match due {
        0 => "no operation was due".to_owned(),
        _ => format!("the ledger is not what the plan says was due ({})", sum.replace(" = ", ", ")),
    };
    vec![Finding::inconclusive("conservation", summary).because(reasons(case, conserved))]
}

/// Operations that nobody saw the end of.
fn open_at_end(case: &Case) -> Vec<String> {
    let (open, grace) = (case.figures.pace.counts.open_at_end, case.plan.load.grace);
    let told = || {
        format!(
            "{open} were open when the load's grace of {grace:?} was over: those that were sent are unknown, and count at \
             their age; the others are not sent"
        )
    };
    (open > 0).then(told).into_iter().collect()
}

fn reasons(case: &Case, conserved: &Conserved) -> Vec<String> {
    let mut reasons = Vec::new();
    if conserved.ended_early {
        let ended = case.evidence.ledger.issued_until();
        reasons.push(format!("the load ended at {ended}, though nobody told it to stop before its time"));
    }
    for (count, what) in [
        (conserved.missing, "due and not in the ledger"),
        (conserved.surplus, "in the ledger and not due, or twice, or out of order"),
        (conserved.foreign, "recorded otherwise than planned"),
    ] {
        if count > 0 {
            reasons.push(format!("{count} operations are {what}"));
        }
    }
    reasons.extend(conserved.differences.iter().cloned());
    reasons
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned::{self, Canned};
    use crate::load::Lane;

    fn verdict(canned: &Canned) -> Verdict {
        canned.judge().finding("conservation").verdict
    }

    #[test]
    fn a_whole_ledger_is_conserved() {
        let judgement = canned::healthy().judge();
        assert_eq!(judgement.finding("conservation").verdict, Verdict::Pass);
        let Conservation { due, acked, refused, unknown, not_sent } = judgement.conservation;
        assert_eq!(due, acked + refused + unknown + not_sent);
        assert_eq!(due, canned::OPERATIONS);
    }

    #[test]
    fn a_missing_a_doubled_and_a_swapped_record_are_differences() {
        for change in [
            |attempts: &mut Vec<Attempt>| attempts.retain(|attempt| attempt.op != 70),
            |attempts: &mut Vec<Attempt>| attempts.insert(70, attempts[70]),
            |attempts: &mut Vec<Attempt>| attempts.swap(70, 71),
            |attempts: &mut Vec<Attempt>| attempts.truncate(canned::OPERATIONS as usize - 1),
        ] {
            let mut canned = canned::healthy();
            canned.attempts(change);
            assert_eq!(verdict(&canned), Verdict::Inconclusive);
        }
    }

    #[test]
    fn a_record_of_another_key_seq_lane_or_time_is_a_difference() {
        for change in [
            |attempt: &mut Attempt| attempt.key += 1,
            |attempt: &mut Attempt| attempt.seq += 1,
            |attempt: &mut Attempt| attempt.lane = Lane::Read,
            |attempt: &mut Attempt| attempt.due = attempt.due.plus(Duration::from_millis(1)),
            |attempt: &mut Attempt| attempt.sent = None,
        ] {
            let mut canned = canned::healthy();
            let op = canned.once(3);
            canned.attempt(op, change);
            let judgement = canned.judge();
            assert_eq!(judgement.finding("conservation").verdict, Verdict::Inconclusive);
            assert_ne!(judgement.verdict, Verdict::Fail, "a garbled ledger accuses nobody");
        }
    }

    #[test]
    fn a_second_attempt_is_no_second_operation() {
        let mut canned = canned::healthy();
        canned.attempts(|attempts| attempts.insert(71, Attempt { attempt: 2, ..attempts[70] }));
        assert_eq!(verdict(&canned), Verdict::Pass);
    }

    #[test]
    fn an_interrupted_load_is_due_until_it_stopped_issuing() {
        let mut canned = canned::healthy();
        canned.cut_load(Duration::from_secs(30));
        assert_eq!(verdict(&canned), Verdict::Inconclusive, "nobody told it to stop");
        canned.evidence.interrupted = true;
        assert_eq!(verdict(&canned), Verdict::Pass);
    }

    #[test]
    fn what_was_open_at_the_end_is_told() {
        let mut canned = canned::healthy();
        canned.attempts(|attempts| {
            for a in attempts.iter_mut().rev().take(3) {
                canned::forget(a);
                a.reason = crate::load::ledger::Reason::Open;
            }
        });
        let details = canned.judge().finding("conservation").details.concat();
        assert!(details.starts_with("3 were open when the load's grace of 4s was over"), "{details}");
        assert!(canned::healthy().judge().finding("conservation").details.is_empty());
    }

    #[test]
    fn a_torn_ledger_is_inconclusive() {
        let mut canned = canned::healthy();
        canned.tear();
        assert_eq!(verdict(&canned), Verdict::Inconclusive);
    }

    #[test]
    fn an_operation_beyond_the_plan_is_a_difference() {
        let mut canned = canned::healthy();
        canned.attempts(|attempts| {
            let last = *attempts.last().unwrap();
            attempts.push(Attempt { op: last.op + 1, ..last });
        });
        assert_eq!(verdict(&canned), Verdict::Inconclusive);
    }
}
