//! redis-failure, database-failure: a failure of what the service depends on loses nothing that was acknowledged.
//!
//! In: the judged disturbances and the classes. Out: FAIL where a write was lost, stranded, stale or torn, or a refused
//! one is there all the same, on sound evidence; PASS only where every planned disturbance proves something;
//! INCONCLUSIVE otherwise. One line for each: what was done, how we know, what it cost, how long it took to recover,
//! and what became of what was acknowledged.
//!
//! Errors are no loss: an outage costs answers. What they may cost is the scenario's to say, by its gates.

use super::asked;
use super::{Case, Class, Conservation, DisturbanceJudgement, Finding, Verdict};
use crate::disturbance::{Sheet, Subject};
use crate::plan::Claim;

pub(super) fn of_redis(case: &Case) -> Vec<Finding> {
    check(Subject::Redis, case)
}

pub(super) fn of_database(case: &Case) -> Vec<Finding> {
    check(Subject::Database, case)
}

fn check(of: Subject, case: &Case) -> Vec<Finding> {
    let claim = Claim::of_failures(of);
    let (planned, strangers) = (planned(of, case), strangers(of, case));
    if !case.plan.claims.contains(&claim) && planned.is_empty() && strangers.is_empty() {
        return Vec::new();
    }
    if planned.is_empty() && strangers.is_empty() {
        let summary = format!("no failure of {} is planned: nothing was put to the test", of.name());
        return vec![Finding::inconclusive(claim.word(), summary)];
    }
    let ((broken, mut void), phantoms) = (asked::broken(case), phantoms(case));
    void.extend(case.figures.soundness.void(Class::Phantom).map(|why| format!("void: phantom ({why})")));
    let missing = [missing(of, case), strangers].concat();
    let verdict = if broken + phantoms > 0 {
        Verdict::Fail
    } else if void.is_empty() && missing.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let lines = planned.iter().map(|one| line(one)).collect();
    vec![Finding::new(claim.word(), verdict, summary(of, case)).because([void, missing, lines].concat())]
}

/// The judged disturbances of this.
fn planned<'a>(of: Subject, case: &Case<'a>) -> Vec<&'a DisturbanceJudgement> {
    case.disturbances.iter().filter(|one| one.disturbance.subject() == of).collect()
}

fn summary(of: Subject, case: &Case) -> String {
    let all = planned(of, case);
    let proven = all.iter().filter(|one| one.verdict != Verdict::Inconclusive).count();
    let phantom = format!("{} phantom of {} refused", phantoms(case), case.figures.classes.count(Class::Refused));
    format!(
        "{proven} of {} planned failures of {} proven, with tasks at stake; {}; {phantom}",
        all.len(),
        of.name(),
        asked::stake(case)
    )
}

/// Refused as not stored, and there all the same.
fn phantoms(case: &Case) -> u64 {
    let sound = case.figures.soundness.void(Class::Phantom).is_none();
    if sound { case.figures.classes.count(Class::Phantom) } else { 0 }
}

fn missing(of: Subject, case: &Case) -> Vec<String> {
    let open = planned(of, case).into_iter().filter(|one| one.verdict == Verdict::Inconclusive);
    let mut missing: Vec<String> = open.map(|one| format!("{}: {}", one.id, one.reasons.join("; "))).collect();
    missing.extend(asked::unmet_of_disturbances(case, of));
    missing.extend(case.figures.soundness.ledger.clone());
    missing
}

/// Done, and not planned.
fn strangers(of: Subject, case: &Case) -> Vec<String> {
    let planned = |id: &str| case.plan.disturbances().any(|planned| planned.id == id);
    let done = case.evidence.incidents.disturbances().filter(|record| record.disturbance.subject() == of);
    done.filter(|record| !planned(&record.id))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned::{self, Canned};
    use crate::clock::Offset;
    use crate::load::{Attempt, Outcome};
    use crate::plan::{Disturbance, RunPhase, StepKind};
    use crate::timeline::DisturbanceRecord;

    /// The verdict of the claim and of the whole, after a change; and all that the claim says.
    fn judged(change: impl FnOnce(&mut Canned)) -> (Verdict, Verdict, String) {
        let mut canned = canned::redis_failure();
        change(&mut canned);
        let judgement = canned.judge();
        let finding = judgement.finding("redis-failure");
        (finding.verdict, judgement.verdict, format!("{}\n{}", finding.summary, finding.details.join("\n")))
    }

    #[track_caller]
    fn assert_inconclusive(reason: &str, change: impl FnOnce(&mut DisturbanceRecord)) {
        let (claim, whole, told) = judged(|canned| canned.disturbance(change));
        assert_eq!((claim, whole), (Verdict::Inconclusive, Verdict::Inconclusive), "{told}");
        assert!(told.contains(reason), "{told}");
    }

    fn second(n: u64) -> Offset {
        Offset(n * 1_000_000_000)
    }

    #[test]
    fn a_failure_that_is_proven_and_loses_nothing_passes_though_it_costs_answers() {
        let (claim, whole, told) = judged(|_| ());
        assert_eq!(
            (claim, whole),
            (Verdict::Pass, Verdict::Pass),
            "{told}\n{}",
            canned::redis_failure().judge().complaints()
        );
        let line = "SIGKILL, then a new process on the same port and data; seen: the process was ended by SIGKILL: yes, own \
                    writes: connections are refused: yes;";
        assert!(told.contains(line) && told.contains("312 tasks at stake, 0 acknowledged operations broken"), "{told}");
        let judgement = canned::redis_failure().judge();
        let one = &judgement.disturbances[0];
        assert!(one.cost.refused > 200 && one.recovery == Some(3.0), "{one:#?}");
    }

    #[test]
    fn a_write_lost_in_it_fails_and_is_counted_for_it() {
        let (claim, whole, told) = judged(|canned| {
            let op = canned
                .evidence
                .ledger
                .attempts()
                .filter(|a| a.lane.makes_rows() && a.due < second(20))
                .last()
                .unwrap()
                .op;
            canned.remove_rows_of(op);
        });
        assert_eq!((claim, whole), (Verdict::Fail, Verdict::Fail));
        assert!(told.contains("1 acknowledged operations broken"), "{told}");
    }

    #[test]
    fn a_refused_write_that_is_there_fails() {
        let (claim, _, told) = judged(|canned| {
            let op = canned.once(5);
            canned.attempt(op, canned::refuse);
        });
        assert_eq!(claim, Verdict::Fail, "{told}");
        assert!(told.contains("1 phantom"), "{told}");
    }

    #[test]
    fn what_is_not_proven_proves_nothing() {
        assert_inconclusive("not proven: own writes", |record| record.proof[2].holds = false);
        assert_inconclusive("it has no proof of mechanism", |record| drop(record.proof.remove(1)));
        assert_inconclusive("it has no proof of symptom", |record| drop(record.proof.remove(2)));
        assert_inconclusive("it has no proof of heal", |record| drop(record.proof.pop()));
        assert_inconclusive("it was not seen to be undone", |record| record.healed = None);
        assert_inconclusive("it did not last for 2s", |record| record.undone = Some(second(21)));
        assert_inconclusive("it failed to start it", |record| record.error = Some("start it".into()));
        assert_inconclusive("redis-pause was played", |record| {
            record.disturbance = crate::plan::Disturbance::RedisPause
        });
    }

    #[test]
    fn an_empty_buffer_had_nothing_to_lose() {
        assert_inconclusive("exposure 0", |record| record.exposure = Some(0));
        assert_inconclusive("was not read", |record| record.exposure = None);
    }

    #[test]
    fn one_that_never_fired_is_missing_evidence() {
        let (claim, _, told) = judged(|canned| {
            canned.evidence.incidents.steps[0].disturbance = None;
            canned.evidence.incidents.steps[0].error = Some("find a Redis".into());
        });
        assert_eq!(claim, Verdict::Inconclusive);
        assert!(told.contains("it never fired: find a Redis"), "{told}");
    }

    #[test]
    fn one_that_nobody_planned_is_no_pass() {
        let (claim, _, told) = judged(|canned| canned.disturbance(|record| record.id = "9:redis-oom".into()));
        assert_eq!(claim, Verdict::Inconclusive);
        assert!(told.contains("9:redis-oom: redis-kill was done, and it is not planned"), "{told}");
    }

    #[test]
    fn acks_while_nothing_can_be_stored_are_kept_elsewhere() {
        let (claim, _, told) = judged(|canned| {
            let during = |a: &&mut crate::load::Attempt| a.due > second(21) && a.due < second(22) && a.lane.writes();
            canned.attempts(|attempts| {
                attempts.iter_mut().filter(during).for_each(|a| a.outcome = crate::load::Outcome::Acked);
            });
        });
        assert_eq!(claim, Verdict::Fail, "their rows are not there, either");
        assert!(told.contains("1:redis-kill"), "{told}");
        let mut canned = canned::redis_failure();
        let cleared =
            canned.evidence.ledger.attempts().find(|a| a.due > second(21) && a.lane == crate::load::Lane::HotKey);
        canned.attempt(cleared.unwrap().op, |a| a.outcome = crate::load::Outcome::Acked);
        let judgement = canned.judge();
        assert!(
            judgement.disturbances[0].reasons.iter().any(|why| why.starts_with("1 writes were acknowledged while"))
        );
    }

    /// The same blow, of the database: PostgreSQL killed and started again.
    fn of_the_database(canned: &mut Canned) {
        let struck = Disturbance::DatabaseKill;
        canned.plan.claims = vec![Claim::DatabaseFailure];
        canned.plan.timeline[0].kind = StepKind::Disturb(struck);
        canned.plan.timeline[0].disturbance.as_mut().unwrap().disturbance = struck;
        canned.disturbance(|record| record.disturbance = struck);
    }

    #[test]
    fn a_failure_of_the_database_passes_where_writes_were_acknowledged_meanwhile() {
        let mut canned = canned::redis_failure();
        of_the_database(&mut canned);
        let judgement = canned.judge();
        assert!(judgement.findings.iter().all(|found| found.check != "redis-failure"));
        let reasons = &judgement.disturbances[0].reasons;
        assert_eq!(judgement.finding("database-failure").verdict, Verdict::Inconclusive, "{reasons:?}");
        assert!(reasons.iter().any(|why| why.starts_with("no write was acknowledged while it lasted")), "{reasons:?}");

        let acked = |a: &Attempt| a.lane.makes_rows() && a.outcome == Outcome::Acked && a.due < second(20);
        let late = canned.evidence.ledger.attempts().filter(acked).last().unwrap().op;
        canned.attempt(late, |a| (a.sent, a.done) = (Some(second(21)), Some(second(21))));
        let judgement = canned.judge();
        assert_eq!(judgement.disturbances[0].verdict, Verdict::Pass, "{:?}", judgement.disturbances[0].reasons);
        let finding = judgement.finding("database-failure");
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        assert!(finding.summary.starts_with("1 of 1 planned failures of the database proven"), "{finding:?}");
    }

    #[test]
    fn a_write_lost_in_a_failure_of_the_database_fails() {
        let mut canned = canned::redis_failure();
        of_the_database(&mut canned);
        let lost = canned.evidence.ledger.attempts().filter(|a| a.lane.makes_rows() && a.due < second(20)).last();
        let op = lost.unwrap().op;
        canned.remove_rows_of(op);
        assert_eq!(canned.judge().finding("database-failure").verdict, Verdict::Fail);
    }

    #[test]
    fn errors_of_an_outage_are_the_fault_s_and_void_nothing() {
        let canned = canned::redis_failure();
        let judgement = canned.judge();
        for check in ["answers", "generator", "error_rate.steady"] {
            assert_eq!(judgement.finding(check).verdict, Verdict::Pass, "{check}");
        }
        let phases = super::super::phases::Phases::of(&canned.plan, &canned.evidence.incidents);
        assert_eq!(
            [19, 21, 24, 29].map(|s| phases.at(second(s))),
            [RunPhase::Steady, RunPhase::Fault, RunPhase::Recovery, RunPhase::Steady]
        );
    }

    #[test]
    fn too_little_load_around_it_shows_nothing() {
        let (claim, _, told) =
            judged(|canned| canned.plan.timeline[0].disturbance.as_mut().unwrap().window_acks_min = 5_000);
        assert_eq!(claim, Verdict::Inconclusive);
        assert!(told.contains("before it, fewer than 5000") && told.contains("after it, fewer than 5000"), "{told}");
    }

    #[test]
    fn a_claim_without_a_failure_is_no_pass() {
        let (claim, _, told) = judged(|canned| {
            canned.plan.timeline.clear();
            canned.evidence.incidents.steps.clear();
        });
        assert_eq!(claim, Verdict::Inconclusive, "{told}");
    }
}
