//! redis-failure: a failure of Redis loses nothing that was acknowledged.
//!
//! In: the judged disturbances and the classes. Out: FAIL where a write was lost, stranded, stale or torn, or a refused
//! one is there all the same, on sound evidence; PASS only where every planned disturbance proves something;
//! INCONCLUSIVE otherwise. One line for each: what was done, how we know, what it cost, how long it took to recover,
//! and what became of what was acknowledged.
//!
//! Errors are no loss: an outage costs answers. What they may cost is the scenario's to say, by its gates.

use super::asked;
use super::{Case, Class, Conservation, DisturbanceJudgement, Finding, Verdict};
use crate::disturbance::Sheet;
use crate::plan::Claim;

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let claimed = case.plan.claims.contains(&Claim::RedisFailure);
    let (planned, strangers) = (case.disturbances, strangers(case));
    if !claimed && planned.is_empty() && strangers.is_empty() {
        return Vec::new();
    }
    if planned.is_empty() && strangers.is_empty() {
        let summary = "no failure of Redis is planned: nothing was put to the test".to_owned();
        return vec![Finding::inconclusive(Claim::RedisFailure.word(), summary)];
    }
    let ((broken, mut void), phantoms) = (asked::broken(case), phantoms(case));
    void.extend(case.figures.soundness.void(Class::Phantom).map(|why| format!("void: phantom ({why})")));
    let missing = [missing(case), strangers].concat();
    let verdict = if broken + phantoms > 0 {
        Verdict::Fail
    } else if void.is_empty() && missing.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let lines = planned.iter().map(line).collect();
    let finding = Finding::new(Claim::RedisFailure.word(), verdict, summary(case));
    vec![finding.because([void, missing, lines].concat())]
}

fn summary(case: &Case) -> String {
    let open = |one: &&DisturbanceJudgement| one.verdict == Verdict::Inconclusive;
    let all = case.disturbances.len();
    let proven = all - case.disturbances.iter().filter(open).count();
    let phantom = format!("{} phantom of {} refused", phantoms(case), case.figures.classes.count(Class::Refused));
    format!(
        "{proven} of {all} planned failures of Redis proven, with tasks at stake; {}; {phantom}",
        asked::stake(case)
    )
}

/// Refused as not stored, and there all the same.
fn phantoms(case: &Case) -> u64 {
    let sound = case.figures.soundness.void(Class::Phantom).is_none();
    if sound { case.figures.classes.count(Class::Phantom) } else { 0 }
}

fn missing(case: &Case) -> Vec<String> {
    let open = case.disturbances.iter().filter(|one| one.verdict == Verdict::Inconclusive);
    let mut missing: Vec<String> = open.map(|one| format!("{}: {}", one.id, one.reasons.join("; "))).collect();
    missing.extend(asked::unmet_of_disturbances(case));
    missing.extend(case.figures.soundness.ledger.clone());
    missing
}

/// Done, and not planned.
fn strangers(case: &Case) -> Vec<String> {
    let planned = |id: &str| case.plan.disturbances().any(|planned| planned.id == id);
    let strange = case.evidence.incidents.disturbances().filter(|record| !planned(&record.id));
    strange
        .map(|record| format!("{}: {} was done, and it is not planned", record.id, record.disturbance.word()))
        .collect()
}

/// All of one disturbance.
fn line(one: &DisturbanceJudgement) -> String {
    let DisturbanceJudgement { id, disturbance, .. } = one;
    if one.at.is_none() {
        return format!("{id}: not done");
    }
    let Conservation { refused, unknown, not_sent, due, .. } = one.cost;
    let recovery =
        one.recovery.map_or_else(|| "no recovery seen".to_owned(), |s| format!("back in band after {s:.1} s"));
    let facts = if one.facts.is_empty() { String::new() } else { format!(" ({})", one.facts.join("; ")) };
    let Sheet { act, undo, .. } = disturbance.sheet();
    let then = if undo.is_empty() { String::new() } else { format!(", then {undo}") };
    let (shown, at_stake) = (one.shown.join(", "), one.exposure.map_or_else(|| "?".to_owned(), |n| n.to_string()));
    let lost = one.broken.map_or_else(|| "losses void".to_owned(), |n| format!("{n} acknowledged operations broken"));
    format!(
        "{id}: {act}{then}{facts}; seen: {shown}; cost of {due} operations: {refused} refused, {unknown} unknown, {not_sent} not \
         sent; {recovery}; {at_stake} tasks at stake, {lost}"
    )
}
