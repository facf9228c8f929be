//! F2 over canned rolling updates: what makes a stop prove nothing, and what fails the claim.

use std::time::Duration;

use super::*;
use crate::checks::canned::{self, Canned, GRACEFUL_API, HARD_API, LAST_STOP};
use crate::checks::{Judgement, operations};
use crate::clock::Offset;
use crate::load::Outcome;
use crate::plan::{PausePoint, Replaced, StepKind, StopMode};
use crate::readback::{Applied, Source};
use crate::timeline::{Exposure, StopRecord};

fn stop<'a>(judgement: &'a Judgement, id: &str) -> &'a StopJudgement {
    judgement.stops.iter().find(|stop| stop.id == id).unwrap()
}

/// The stop alone becomes inconclusive, and F2 with it, for this reason.
#[track_caller]
fn proves_nothing(id: &str, change: impl FnOnce(&mut Canned), reason: &str) {
    let mut canned = canned::healthy();
    change(&mut canned);
    let judgement = canned.judge();
    let spoilt: Vec<&str> =
        judgement.stops.iter().filter(|stop| stop.verdict != Verdict::Pass).map(|stop| stop.id.as_str()).collect();
    assert_eq!(spoilt, [id]);
    let reasons = &stop(&judgement, id).reasons;
    assert!(reasons.iter().any(|told| told.contains(reason)), "{reasons:?}");
    assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

fn recorded(change: impl FnOnce(&mut StopRecord)) -> impl FnOnce(&mut Canned) {
    |canned| canned.stop(HARD_API, change)
}

#[test]
fn a_proven_and_exposed_rolling_update_passes_and_tells_its_bound() {
    let judgement = canned::healthy().judge();
    let finding = judgement.finding("F2");
    assert_eq!(finding.verdict, Verdict::Pass);
    assert!(
        finding.summary.starts_with("4 of 4 planned stops proven and exposed; 0 stranded, 0 lost"),
        "{}",
        finding.summary
    );
    assert!(finding.summary.contains("at most 53 % of such stops"), "1 − 0.05^(1/4): {}", finding.summary);
    assert_eq!(stop(&judgement, GRACEFUL_API).exposure, Some(1));
    assert!(stop(&judgement, GRACEFUL_API).acks_after_sigterm > Some(0));
    assert_eq!(stop(&judgement, HARD_API).acks_after_sigterm, None, "a hard stop has no SIGTERM");
    assert_eq!(stop(&judgement, LAST_STOP).exit, "signal 9");
}

#[test]
fn ten_exposed_stops_bound_the_rate_at_26_percent() {
    assert!((bound(10) - 0.2589).abs() < 1e-4);
    assert!((bound(1) - 0.95).abs() < 1e-12);
}

#[test]
fn a_stop_that_never_fired_proves_nothing() {
    let remove = |canned: &mut Canned| canned.evidence.incidents.steps[1].stops.retain(|stop| stop.id != LAST_STOP);
    proves_nothing(LAST_STOP, remove, "never fired");
    let with_error = |canned: &mut Canned| {
        canned.evidence.incidents.steps[1].stops.retain(|stop| stop.id != LAST_STOP);
        canned.evidence.incidents.steps[1].error = Some("the slot is empty".into());
    };
    proves_nothing(LAST_STOP, with_error, "never fired: the slot is empty");
}

#[test]
fn a_step_that_never_fired_is_inconclusive_for_each_of_its_stops() {
    let mut canned = canned::healthy();
    canned.evidence.incidents.steps.pop();
    let judgement = canned.judge();
    assert_eq!(judgement.stops.iter().filter(|stop| stop.verdict == Verdict::Inconclusive).count(), 2);
    assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
}

#[test]
fn a_stop_without_proof_or_with_a_false_one_proves_nothing() {
    proves_nothing(HARD_API, recorded(|stop| stop.proof.clear()), "without proof");
    proves_nothing(HARD_API, recorded(|stop| stop.proof[0].holds = false), "not proven: its process ended");
    proves_nothing(HARD_API, recorded(|stop| stop.error = Some("signal lost".into())), "failed to signal lost");
}

#[test]
fn a_stop_of_another_kind_or_another_slot_proves_nothing() {
    proves_nothing(HARD_API, recorded(|stop| stop.victim.slot.number = 2), "was planned");
    proves_nothing(HARD_API, recorded(|stop| stop.mode = StopMode::Graceful), "played graceful");
    proves_nothing(HARD_API, recorded(|stop| stop.exit.as_mut().unwrap().signal = Some(11)), "by the SIGKILL");
    proves_nothing(HARD_API, recorded(|stop| stop.exit = None), "not seen to end");
    proves_nothing(HARD_API, recorded(|stop| stop.replacement = None), "never became ready");
}

#[test]
fn a_victim_that_held_nothing_proves_nothing() {
    let nothing = |stop: &mut StopRecord| stop.exposure = Exposure::OffersInFlight { operations: 0 };
    proves_nothing(HARD_API, recorded(nothing), "exposure 0");
    let leases = |canned: &mut Canned| canned.stop(LAST_STOP, |stop| stop.exposure = Exposure::Leases { tasks: 0 });
    proves_nothing(LAST_STOP, leases, "exposure 0");
    let unread = |stop: &mut StopRecord| stop.exposure = Exposure::NotRead { why: "no task arrived".into() };
    proves_nothing(HARD_API, recorded(unread), "no task arrived");
}

/// It worked on between the reading and the SIGTERM, and may have finished all of it.
#[test]
fn leases_of_a_graceful_victim_that_held_no_task_are_no_exposure() {
    let unheld = |canned: &mut Canned| canned.stop(GRACEFUL_API, |stop| stop.held = None);
    proves_nothing(GRACEFUL_API, unheld, "no task was held");
    let mut canned = canned::healthy();
    canned.stop(HARD_API, |stop| stop.held = None);
    assert_eq!(canned.judge().finding("F2").verdict, Verdict::Pass, "a frozen victim stands still");
}

#[test]
fn a_stop_that_struck_after_the_load_proves_nothing() {
    let late = |canned: &mut Canned| {
        let end = Offset::from_duration(canned.plan.load_end());
        canned.stop(LAST_STOP, |stop| {
            (stop.frozen, stop.signalled) = (Some(end), Some(end.plus(Duration::from_millis(50))));
            let exit = stop.exit.as_mut().unwrap();
            exit.at = end.plus(Duration::from_millis(60));
        });
    };
    proves_nothing(LAST_STOP, late, "the load had ended");
}

/// A load of reads alone around a stop has nothing to lose.
#[test]
fn reads_are_no_acks_of_a_window() {
    let judgement = canned::healthy().judge();
    let canned = canned::healthy();
    let struck = canned.struck(HARD_API);
    let window = canned.plan.timeline[1].stops[0].window;
    let within = |a: &crate::load::Attempt| (struck.minus(window)..struck.plus(window)).contains(&a.due);
    let writes = operations::writes(&canned.evidence.ledger).filter(within);
    let acked = writes.filter(|w| w.outcome == Outcome::Acked).count() as u64;
    assert_eq!(stop(&judgement, HARD_API).acks_in_window, acked);
}

#[test]
fn a_graceful_victim_that_only_reads_reached_after_sigterm_proves_nothing() {
    let mut canned = canned::healthy();
    let (victim, signalled) = (canned.record(GRACEFUL_API).victim.id, canned.record(GRACEFUL_API).signalled);
    let late = |a: &crate::load::Attempt| a.instance == victim && a.sent > signalled && a.lane.writes();
    canned.attempts(|attempts| attempts.iter_mut().filter(|a| late(a)).for_each(canned::forget));
    let judgement = canned.judge();
    let reasons = &stop(&judgement, GRACEFUL_API).reasons;
    assert!(reasons.iter().any(|told| told.contains("no write that was sent after its SIGTERM")), "{reasons:?}");
}

#[test]
fn too_few_acks_around_a_stop_prove_nothing() {
    let demanding = |canned: &mut Canned| canned.plan.timeline[1].stops[0].window_acks_min = 2000;
    proves_nothing(HARD_API, demanding, "fewer than 2000");
}

#[test]
fn a_load_that_was_not_asked_around_a_stop_proves_nothing() {
    let mut canned = canned::healthy();
    let struck = canned.struck(HARD_API);
    canned.attempts(|attempts| {
        let near = |due| struck.since(due).max(due.since(struck)) < Duration::from_secs(2);
        for a in attempts.iter_mut().filter(|a| near(a.due) && a.op % 10 == 0) {
            a.free = a.due.plus(Duration::from_millis(50));
            (a.sent, a.done) = (Some(a.free), Some(a.free.plus(Duration::from_millis(2))));
        }
    });
    let judgement = canned.judge();
    let reasons = &stop(&judgement, HARD_API).reasons;
    assert!(reasons.iter().any(|told| told.contains("was sent in time")), "{reasons:?}");
    assert_eq!(judgement.finding("generator").verdict, Verdict::Pass, "over the whole run the rate was kept");
    assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
}

#[test]
fn an_unknown_that_the_stop_does_not_explain_proves_nothing() {
    let early = |canned: &mut Canned| {
        let (victim, struck) = (canned.record(HARD_API).victim.id, canned.struck(HARD_API));
        let before = |w: &crate::load::Attempt| w.instance == victim && w.due < struck.minus(Duration::from_secs(3));
        let op = operations::writes(&canned.evidence.ledger).filter(before).last().unwrap().op;
        canned.outcome(op, Outcome::Unknown);
    };
    proves_nothing(HARD_API, early, "1 Unknowns sent to it");
}

#[test]
fn a_graceful_victim_that_no_request_reached_after_sigterm_proves_nothing() {
    let late = |canned: &mut Canned| {
        canned.stop(GRACEFUL_API, |stop| stop.signalled = stop.exit.map(|exit| exit.at));
    };
    proves_nothing(GRACEFUL_API, late, "after its SIGTERM");
}

#[test]
fn an_end_by_sigkill_after_the_grace_with_all_data_there_is_told_and_does_not_fail() {
    let mut canned = canned::healthy();
    canned.stop(GRACEFUL_API, |stop| {
        stop.killed_after_grace = true;
        let exit = stop.exit.as_mut().unwrap();
        (exit.code, exit.signal) = (None, Some(9));
    });
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F2").verdict, Verdict::Pass);
    assert!(judgement.finding("F2").details[0].contains("did not end within its grace"));
    assert!(stop(&judgement, GRACEFUL_API).exit.contains("killed after its grace"));
}

#[test]
fn an_exit_code_of_a_graceful_victim_is_told() {
    let mut canned = canned::healthy();
    canned.stop(GRACEFUL_API, |stop| stop.exit.as_mut().unwrap().code = Some(3));
    let judgement = canned.judge();
    assert!(judgement.finding("F2").details[0].contains("ended with code 3"));
    assert_eq!(stop(&judgement, GRACEFUL_API).exit, "code 3");
}

#[test]
fn a_lost_write_fails_the_claim_and_the_stop_of_the_instance_that_acknowledged_it() {
    let mut canned = canned::healthy();
    let victim = canned.record(HARD_API).victim.id;
    let own = |w: &crate::load::Attempt| w.instance == victim && w.outcome == Outcome::Acked && w.seq == 1;
    let op = operations::writes(&canned.evidence.ledger).filter(own).last().unwrap().op;
    canned.remove_rows_of(op);
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F2").verdict, Verdict::Fail);
    assert_eq!(stop(&judgement, HARD_API).verdict, Verdict::Fail);
    assert_eq!(stop(&judgement, LAST_STOP).verdict, Verdict::Pass);
    assert!(!judgement.finding("F2").summary.contains("95 %"), "a bound belongs to zero");
}

#[test]
fn a_loss_on_unsound_evidence_is_inconclusive() {
    let mut canned = canned::healthy();
    let op = canned.once(9);
    canned.remove_rows_of(op);
    canned.row_set(|set| set.marker_seen = false);
    assert_eq!(canned.judge().finding("F2").verdict, Verdict::Inconclusive);
}

#[test]
fn a_loss_fails_the_claim_though_a_stop_proves_nothing() {
    let mut canned = canned::healthy();
    canned.stop(HARD_API, |stop| stop.exposure = Exposure::NotRead { why: "no task arrived".into() });
    let op = canned.once(9);
    canned.remove_rows_of(op);
    assert_eq!(canned.judge().finding("F2").verdict, Verdict::Fail);
}

#[test]
fn a_claim_without_a_planned_stop_is_inconclusive() {
    let mut canned = canned::load_test();
    canned.plan.claims = vec![Claim::F2];
    assert_eq!(canned.judge().finding("F2").verdict, Verdict::Inconclusive);
}

#[test]
fn stops_without_the_claim_are_judged_as_timeline() {
    let mut canned = canned::healthy();
    canned.plan.claims.clear();
    assert_eq!(canned.judge().finding("timeline").verdict, Verdict::Pass);
    canned.stop(HARD_API, |stop| stop.proof.clear());
    assert_eq!(canned.judge().finding("timeline").verdict, Verdict::Inconclusive);
}

#[test]
fn a_stop_that_nobody_planned_is_no_pass() {
    let mut canned = canned::healthy();
    canned.plan.timeline[1].stops.pop();
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
    assert!(judgement.finding("F2").details.iter().any(|told| told.contains("not planned")));
}

#[test]
fn stops_of_a_plan_without_any_are_no_pass() {
    let mut canned = canned::healthy();
    canned.plan.timeline.clear();
    canned.plan.claims.clear();
    let judgement = canned.judge();
    assert_eq!(judgement.finding("timeline").verdict, Verdict::Inconclusive);
}

#[test]
fn what_a_private_buffer_held_is_joined_with_the_ledger() {
    let canned = canned::in_memory();
    let judgement = canned.judge();
    for stop in &judgement.stops {
        assert!(stop.exposure.is_some_and(|held| (5..30).contains(&held)), "50 requests a second, 0.2 s: {stop:?}");
        assert_eq!(stop.exposure_unit, "acked, unwritten operations");
    }
}

#[test]
fn an_offer_that_a_private_buffer_s_instance_has_in_flight_is_at_stake_too() {
    let mut canned = canned::in_memory();
    let id = canned.plan.timeline[0].stops[0].id.clone();
    let unwritten = stop(&canned.judge(), &id).exposure;
    canned.plan.timeline[0].stops[0].hold = Some(PausePoint::OfferRegistered);
    canned.stop(&id, |stop| stop.held.as_mut().expect("a held task").point = PausePoint::OfferRegistered);
    let judgement = canned.judge();
    let held = stop(&judgement, &id);
    assert_eq!((held.exposure, held.verdict), (unwritten.map(|count| count + 1), Verdict::Pass));
    assert_eq!(held.exposure_unit, "operations unwritten or in flight");
}

#[test]
fn only_what_was_acknowledged_before_the_checkpoint_can_be_missing_from_it() {
    let mut canned = canned::in_memory();
    let id = canned.plan.timeline[0].stops[0].id.clone();
    let mut at = None;
    canned.stop(&id, |stop| {
        let Exposure::Unwritten(checkpoint) = &mut stop.exposure else { panic!("V4 has checkpoints") };
        (checkpoint.applied, at) = (Source::Read(Applied::default()), Some(checkpoint.at));
    });
    let victim = canned.record(&id).victim.id;
    let own = |w: &crate::load::Attempt| w.instance == victim && w.outcome == Outcome::Acked;
    let acked: Vec<_> = operations::writes(&canned.evidence.ledger).filter(own).collect();
    let before = acked.iter().filter(|w| w.done <= at).count();
    assert!(before < acked.len(), "it went on serving after the checkpoint");
    assert_eq!(stop(&canned.judge(), &id).exposure, Some(before as u64));
}

#[test]
fn a_private_buffer_whose_writes_are_all_in_the_checkpoint_was_not_exposed() {
    let mut canned = canned::in_memory();
    let id = canned.plan.timeline[0].stops[0].id.clone();
    let all: std::collections::BTreeMap<u64, u64> =
        operations::writes(&canned.evidence.ledger).map(|w| (w.key, u64::from(w.seq))).collect();
    canned.stop(&id, |stop| {
        let Exposure::Unwritten(checkpoint) = &mut stop.exposure else { panic!("V4 has checkpoints") };
        checkpoint.applied = Source::Read(all.into_iter().collect());
    });
    let judgement = canned.judge();
    assert_eq!(stop(&judgement, &id).exposure, Some(0), "a newer seq of a hot key counts as applied");
    assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
}

#[test]
fn a_checkpoint_that_could_not_be_read_or_is_another_stops_is_no_exposure() {
    for spoil in [
        |checkpoint: &mut crate::readback::Checkpoint| checkpoint.applied = Source::Gap { why: "locked".into() },
        |checkpoint: &mut crate::readback::Checkpoint| checkpoint.stop = "another".into(),
    ] {
        let mut canned = canned::in_memory();
        let id = canned.plan.timeline[0].stops[0].id.clone();
        canned.stop(&id, |stop| {
            let Exposure::Unwritten(checkpoint) = &mut stop.exposure else { panic!("V4 has checkpoints") };
            spoil(checkpoint);
        });
        let judgement = canned.judge();
        assert_eq!(stop(&judgement, &id).exposure, None);
        assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
    }
}

/// As scaling in does: its slot stays empty.
fn removed(canned: &mut Canned) {
    let step = &mut canned.plan.timeline[0];
    step.kind = StepKind::Scale;
    step.stops.iter_mut().find(|stop| stop.id == GRACEFUL_API).unwrap().replaced = Replaced::Never;
    canned.stop(GRACEFUL_API, |stop| (stop.replacement, stop.healed) = (None, None));
}

#[test]
fn an_instance_that_is_removed_drains_and_is_not_replaced() {
    let mut canned = canned::healthy();
    removed(&mut canned);
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F2").verdict, Verdict::Pass, "{}", judgement.complaints());
    let replaced = |canned: &mut Canned| {
        let replacement = canned.record(GRACEFUL_API).replacement.clone();
        removed(canned);
        canned.stop(GRACEFUL_API, |stop| stop.replacement = replacement);
    };
    proves_nothing(GRACEFUL_API, replaced, "api-1.2 fills its slot, which was to stay empty");
}
