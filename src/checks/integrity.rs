//! Integrity: every acknowledged write is in the database, or a newer one is; and nothing else is there.
//!
//! In: the classes and which evidence is sound. Out: FAIL where a failing class has members on sound evidence,
//! INCONCLUSIVE where a failing class is void, PASS with its own evidence otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Case, Class, Finding};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountByHand {
    pub query: String,
    /// 3 × (applied + recovered) of the write-once keys, and of those that were stranded at a checkpoint alone.
    pub expected: u64,
    pub counted: u64,
    /// What counted, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let (failed, void) = (failed(case), void(case));
    let finding = if !failed.is_empty() {
        let counts: Vec<String> = failed.iter().map(|class| told(case, *class)).collect();
        let of = format!("of {} acknowledged write operations", case.figures.classes.acked);
        Finding::fail("integrity", format!("{} ({of})", counts.join(", "))).because(void)
    } else if !void.is_empty() {
        let summary = "whether every acknowledged write is there cannot be said".to_owned();
        Finding::inconclusive("integrity", summary).because(void)
    } else if case.figures.classes.acked == 0 {
        Finding::inconclusive("integrity", "no write was acknowledged: nothing was put to the test".to_owned())
    } else {
        agreeing(case)
    };
    vec![finding.because(asides(case))]
}

/// Failing classes with members, on sound evidence.
pub(super) fn failed(case: &Case) -> Vec<Class> {
    let sound = |class: &Class| case.figures.soundness.void(*class).is_none();
    let failing = Class::ALL.into_iter().filter(|class| class.fails() && case.figures.classes.count(*class) > 0);
    failing.filter(sound).collect()
}

/// One sentence for each reason why failing classes are void. Their counts say nothing, and are told all the same.
fn void(case: &Case) -> Vec<String> {
    let failing: Vec<Class> = Class::ALL.into_iter().filter(|class| class.fails()).collect();
    case.figures.soundness.voided(&failing, |class| match case.figures.classes.count(class) {
        0 => class.word().to_owned(),
        _ => told(case, class),
    })
}

fn told(case: &Case, class: Class) -> String {
    format!("{} {}", case.figures.classes.count(class), class.word())
}

/// A pass, unless the classes and a plain count of the rows disagree: then one of them is wrong.
fn agreeing(case: &Case) -> Finding {
    match by_hand(case) {
        Some(CountByHand { expected, counted, .. }) if expected != counted => Finding::inconclusive(
            "integrity",
            format!("the write-once keys have {counted} rows, and by the classes {expected}: they must be equal"),
        ),
        _ => Finding::pass("integrity", evidence(case)),
    }
}

/// What a pass rests on.
fn evidence(case: &Case) -> String {
    let count = |class| case.figures.classes.count(class);
    let dead = match count(Class::Dead) {
        0 => String::new(),
        dead => format!(" {dead} dead as planned,"),
    };
    format!(
        "{} write operations acknowledged ({} writes): {} applied, {} superseded,{dead} 0 lost; beside them {} unknown that \
         are there, {} that are not, {} refused, {} not sent",
        case.figures.classes.acked,
        case.figures.classes.acked * 3,
        count(Class::Applied),
        count(Class::Superseded),
        count(Class::Recovered),
        count(Class::Unresolved),
        count(Class::Refused),
        count(Class::NotSent)
    )
}

fn asides(case: &Case) -> Vec<String> {
    let undecodable = case.figures.classes.undecodable;
    let aside =
        format!("{undecodable} items of the queue could not be read as tasks: a missing write may be one of them");
    (undecodable > 0).then_some(aside).into_iter().collect()
}

/// The figures of the query that a person can run.
pub(super) fn by_hand(case: &Case) -> Option<CountByHand> {
    let set = case.evidence.state.as_ref()?.rows.read()?;
    Some(CountByHand {
        query: set.count_query.clone(),
        expected: 3 * case.figures.classes.once_present,
        counted: case.figures.classes.once_rows?,
        software: set.software.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned;
    use crate::load::Outcome;

    #[test]
    fn a_pass_tells_how_many_writes_it_rests_on() {
        let judgement = canned::healthy().judge();
        let finding = judgement.finding("integrity");
        assert_eq!(finding.verdict, Verdict::Pass);
        assert!(finding.summary.contains("0 lost"), "{}", finding.summary);
    }

    #[test]
    fn a_load_test_that_loses_a_write_fails() {
        let mut canned = canned::load_test();
        assert_eq!(canned.judge().verdict, Verdict::Pass);
        let op = canned.once(5);
        canned.remove_rows_of(op);
        let judgement = canned.judge();
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert!(judgement.finding("integrity").summary.starts_with("1 lost"));
    }

    #[test]
    fn a_run_without_an_acknowledged_write_is_inconclusive() {
        let mut canned = canned::healthy();
        canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.lane.writes()).for_each(canned::refuse));
        canned.rows(Vec::clear);
        canned.sightings(Vec::clear);
        assert_eq!(canned.judge().finding("integrity").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn the_count_by_hand_is_three_rows_for_each_present_write_once_operation() {
        let mut canned = canned::healthy();
        let unknown = canned.once(4);
        canned.outcome(unknown, Outcome::Unknown);
        let by_hand = canned.judge().count_by_hand.unwrap();
        assert_eq!(by_hand.expected, by_hand.counted);
        assert_eq!(by_hand.expected, 3 * canned.once_operations());
        canned.remove_rows_of(unknown);
        let by_hand = canned.judge().count_by_hand.unwrap();
        assert_eq!(by_hand.expected, 3 * (canned.once_operations() - 1), "an unresolved one is not counted");
        assert_eq!(by_hand.expected, by_hand.counted);
    }

    #[test]
    fn a_void_class_is_reported_and_does_not_fail() {
        let mut canned = canned::healthy();
        let op = canned.once(5);
        canned.remove_rows_of(op);
        canned.row_set(|set| set.counted += 3);
        let judgement = canned.judge();
        assert_eq!(judgement.count(Class::Lost), 1);
        assert_eq!(judgement.finding("integrity").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn another_class_on_sound_evidence_fails_though_one_is_void() {
        let mut canned = canned::healthy();
        let op = canned.once(5);
        canned.outcome(op, Outcome::Refused);
        canned.blind_the_probe();
        let judgement = canned.judge();
        assert!(judgement.class(Class::Lost).void.is_some());
        assert_eq!(judgement.verdict, Verdict::Fail, "a phantom rests on the ledger");
    }
}
