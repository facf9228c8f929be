//! F1 judged over canned scale-outs: what passes, what fails, and each missing piece of evidence by name.

use std::time::Duration;

use super::super::canned::{self, Canned, FRAGMENTED, FROZEN_API, FROZEN_WORKER};
use super::super::{CheckpointJudgement, Class, Judgement, StopJudgement, operations};
use super::*;
use crate::clock::Offset;
use crate::load::{Attempt, Outcome};
use crate::plan::StopMode;
use crate::readback::{BufferSize, Source};
use crate::timeline::{Exposure, StopRecord};

const FIRST_START: &str = "1:scale/api-2";

fn stop<'a>(judgement: &'a Judgement, id: &str) -> &'a StopJudgement {
    judgement.stops.iter().find(|stop| stop.id == id).unwrap()
}

fn checkpoint<'a>(judgement: &'a Judgement, id: &str) -> &'a CheckpointJudgement {
    judgement.checkpoints.iter().find(|checkpoint| checkpoint.stop == id).unwrap()
}

/// The claim becomes inconclusive, for this reason.
#[track_caller]
fn proves_nothing(change: impl FnOnce(&mut Canned), reason: &str) {
    let mut canned = canned::scale_out();
    change(&mut canned);
    let judgement = canned.judge();
    let finding = judgement.finding("F1");
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{}", judgement.complaints());
    assert!(finding.details.iter().any(|told| told.contains(reason)), "{:?}", finding.details);
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.complaints());
}

fn frozen(change: impl FnOnce(&mut StopRecord)) -> impl FnOnce(&mut Canned) {
    |canned| canned.stop(FROZEN_WORKER, change)
}

#[test]
fn a_shared_buffer_that_hands_over_what_the_frozen_held_passes_and_tells_its_figures() {
    let judgement = canned::scale_out().judge();
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.complaints());
    let summary = &judgement.finding("F1").summary;
    assert!(
        summary.starts_with(
            "2 of 2 scale-ups under a backlog; 2 of 2 frozen instances (leased tasks 37, offers in flight 1); "
        ),
        "{summary}"
    );
    assert!(
        summary.contains("every write acknowledged 8.0 s before was in the database at 2 checkpoints"),
        "{summary}"
    );
    let looked_at = checkpoint(&judgement, FROZEN_WORKER).looked_at;
    assert!((1800..2000).contains(&looked_at), "20 s of 100 operations a second, 95 % of them writes: {looked_at}");
    assert_eq!(stop(&judgement, FROZEN_WORKER).exit, "resumed");
    assert_eq!(stop(&judgement, FROZEN_API).exit, "signal 9");
    assert!(judgement.findings.iter().all(|finding| finding.check != "F2" && finding.check != "timeline"));
}

#[test]
fn what_a_frozen_instance_keeps_to_itself_is_stranded_though_it_is_there_at_the_end() {
    let judgement = canned::fragmented().judge();
    let finding = judgement.finding("F1");
    assert_eq!(finding.verdict, Verdict::Fail);
    let (of, count) = &checkpoint(&judgement, FRAGMENTED).missing[0];
    assert_eq!(of, "all-2.1");
    let told =
        format!("{count} acknowledged write operations of all-2.1 were not in the database 8.1 s after it was frozen");
    assert!(finding.summary.starts_with(&told), "{}", finding.summary);
    assert!(judgement.count(Class::Stranded) > *count, "another one was frozen later");
    assert_eq!(stop(&judgement, FRAGMENTED).verdict, Verdict::Fail);
    let exhibit = &judgement.exhibits[0];
    assert_eq!((exhibit.class, exhibit.presets.as_slice()), (Class::Stranded, &[1, 2, 3][..]));
    let seen = "s before the freeze, not in the database at the checkpoint of 2:pause/all-2, 8.1 s after the freeze; there \
                at the end";
    assert!(
        exhibit.last_seen.starts_with("acknowledged by all-2.1 0.") && exhibit.last_seen.ends_with(seen),
        "{exhibit:?}"
    );
}

/// The point of a checkpoint: nothing else of this evidence tells V4 from V5.
#[test]
fn without_its_checkpoints_v4_would_pass() {
    let mut canned = canned::fragmented();
    assert_eq!(canned.judge().verdict, Verdict::Fail);
    for id in [FRAGMENTED, "3:pause/all-1"] {
        canned.stop(id, |stop| stop.checkpoint = None);
    }
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Inconclusive, "what nobody looked at is no pass");
    assert!(judgement.classes.iter().all(|class| !class.fails || class.count == 0), "at the end nothing is missing");

    // The same ledger and the same end, for a plan that never thought of looking.
    (canned.plan.claims, canned.plan.gates) = (Vec::new(), Vec::new());
    canned.plan.timeline.retain(|step| step.stops.is_empty());
    canned.evidence.incidents.steps.retain(|step| step.stops.is_empty());
    let judgement = canned.judge();
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.complaints());
}

#[test]
fn a_checkpoint_that_could_not_be_read_leaves_the_frozen_instance_unjudged() {
    let unread = |canned: &mut Canned| {
        canned.checkpoint(FROZEN_WORKER, |c| c.applied = Source::Gap { why: "database is locked".into() });
    };
    proves_nothing(unread, "2:pause/worker-1: the checkpoint was not read: database is locked");
    proves_nothing(
        frozen(|stop| stop.checkpoint = None),
        "2:pause/worker-1: no checkpoint was read while it was frozen",
    );
}

#[test]
fn a_checkpoint_of_another_stop_says_nothing_of_this_one() {
    let another = |canned: &mut Canned| canned.checkpoint(FROZEN_WORKER, |c| c.stop = FROZEN_API.into());
    proves_nothing(another, "the checkpoint belongs to another stop");
}

#[test]
fn a_checkpoint_before_the_deadline_proves_nothing() {
    let early = |canned: &mut Canned| {
        let frozen = canned.record(FROZEN_WORKER).frozen.unwrap();
        canned.checkpoint(FROZEN_WORKER, |c| c.at = frozen.plus(Duration::from_millis(7_900)));
    };
    proves_nothing(early, "7.9 s after the freeze, too early: the deadline is 8.0 s");
}

#[test]
fn a_thaw_before_the_checkpoint_proves_nothing() {
    let thawed = |canned: &mut Canned| canned.stop(FROZEN_WORKER, |stop| stop.resumed = stop.frozen);
    proves_nothing(thawed, "worker-1.1 was no longer frozen when the checkpoint was read");
    let killed = |canned: &mut Canned| canned.stop(FROZEN_API, |stop| stop.signalled = stop.frozen);
    proves_nothing(killed, "api-2.1 was no longer frozen when the checkpoint was read");
}

#[test]
fn void_checkpoints_accuse_nobody() {
    let mut canned = canned::fragmented();
    for id in [FRAGMENTED, "3:pause/all-1"] {
        canned.stop(id, |stop| stop.proof[0].holds = false);
        canned.checkpoint(id, |checkpoint| checkpoint.sizes.clear());
    }
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Inconclusive);
    assert!(!checkpoint(&judgement, FRAGMENTED).missing.is_empty(), "the counts are told");
    assert_eq!(judgement.count(Class::Stranded), 0);
}

#[test]
fn a_checkpoint_that_shows_no_write_at_all_may_have_looked_at_nothing() {
    let blind =
        |canned: &mut Canned| canned.checkpoint(FROZEN_WORKER, |c| c.applied = Source::Read(Default::default()));
    proves_nothing(blind, "it may have looked at nothing");
}

#[test]
fn a_checkpoint_that_had_nothing_to_look_at_proves_nothing() {
    let nothing = |canned: &mut Canned| {
        let until = canned.record(FROZEN_API).frozen.unwrap().plus(Duration::from_secs(1));
        let writes = |a: &&mut Attempt| a.lane.writes() && a.done <= Some(until);
        canned.attempts(|attempts| attempts.iter_mut().filter(writes).for_each(canned::forget));
    };
    let mut canned = canned::scale_out();
    nothing(&mut canned);
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Inconclusive);
    let reasons = &stop(&judgement, FROZEN_API).reasons;
    assert!(reasons.iter().any(|told| told.contains("looked at nothing")), "{reasons:?}");
}

/// Takes what a worker held, and the others never took over, from the checkpoint.
fn keep_leases(canned: &mut Canned) -> u64 {
    let (frozen, at) = (canned.record(FROZEN_WORKER).frozen.unwrap(), canned.struck(FROZEN_WORKER));
    let leased = |a: &Attempt| a.done > Some(at.minus(Duration::from_secs(1))) && a.done <= Some(frozen);
    let once = canned.plan.run.key(canned.plan.load.hot_keys);
    let kept: Vec<u64> = operations::writes(&canned.evidence.ledger)
        .filter(|a| leased(a) && a.key >= once && a.outcome == Outcome::Acked)
        .map(|a| a.key)
        .collect();
    let writes: Vec<Attempt> = operations::writes(&canned.evidence.ledger).collect();
    canned.checkpoint(FROZEN_WORKER, |checkpoint| {
        let mut applied = std::collections::BTreeMap::new();
        for a in writes.iter().filter(|a| a.done <= Some(checkpoint.at) && !kept.contains(&a.key)) {
            applied.insert(a.key, u64::from(a.seq));
        }
        checkpoint.applied = Source::Read(applied.into_iter().collect());
    });
    kept.len() as u64
}

#[test]
fn leases_that_nobody_took_over_in_time_fail_a_shared_buffer_too() {
    let mut canned = canned::scale_out();
    let kept = keep_leases(&mut canned);
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Fail, "{}", judgement.complaints());
    assert_eq!(judgement.count(Class::Stranded), kept);
    let summary = &judgement.finding("F1").summary;
    assert!(summary.contains("8.1 s after worker-1.1 was frozen"), "who acknowledged it held it no more: {summary}");
}

/// Late in a queue that everybody sees is not fragmented.
#[test]
fn a_shared_buffer_that_still_drained_accuses_nobody() {
    let drained = |canned: &mut Canned| {
        keep_leases(canned);
        canned.checkpoint(FROZEN_WORKER, |checkpoint| {
            checkpoint.sizes.iter_mut().for_each(|size| (size.reported, size.around) = (5000, Some((5000, 5000))));
        });
    };
    proves_nothing(drained, "the shared buffer still drained: 5000 tasks were ready");
    let unknown = |canned: &mut Canned| {
        keep_leases(canned);
        canned.evidence.incidents.depths.clear();
        canned.checkpoint(FROZEN_WORKER, |checkpoint| checkpoint.sizes.iter_mut().for_each(|size| size.around = None));
    };
    proves_nothing(unknown, "nothing tells whether the shared buffer still drained then");
}

#[test]
fn a_hot_key_with_a_newer_write_is_there() {
    let mut canned = canned::scale_out();
    let newest = canned.newest_hot();
    let (key, seq) = (canned.of(newest).key, u64::from(canned.of(newest).seq));
    let judgement = canned.judge();
    assert_eq!(judgement.count(Class::Stranded), 0);
    let writes: Vec<Attempt> = operations::writes(&canned.evidence.ledger).collect();
    let last_looked_at = |canned: &Canned| {
        let at = canned.record(FROZEN_WORKER).checkpoint.as_ref().unwrap().at.minus(Duration::from_secs(8));
        let of_key = writes.iter().filter(|a| a.key == key && a.outcome == Outcome::Acked && a.done <= Some(at));
        of_key.map(|a| u64::from(a.seq)).max().unwrap()
    };
    assert!(last_looked_at(&canned) < seq, "it was written again afterwards");
    // One seq less than what had to be there.
    let older = last_looked_at(&canned) - 1;
    canned.checkpoint(FROZEN_WORKER, |checkpoint| {
        let applied = checkpoint.applied.read().unwrap();
        let all: std::collections::BTreeMap<u64, u64> =
            writes.iter().filter_map(|a| Some((a.key, applied.seq(a.key)?))).collect();
        let all = all.into_iter().map(|(of, seq)| if of == key { (of, older) } else { (of, seq) });
        checkpoint.applied = Source::Read(all.collect());
    });
    assert_eq!(canned.judge().count(Class::Stranded), 1);
}

#[test]
fn a_pause_of_another_instance_or_without_proof_proves_nothing() {
    proves_nothing(frozen(|stop| stop.victim.slot.number = 2), "and worker-1 was planned");
    proves_nothing(frozen(|stop| stop.proof.clear()), "it fired without proof");
    proves_nothing(frozen(|stop| stop.frozen = None), "it was not seen to stand still");
    proves_nothing(frozen(|stop| stop.mode = StopMode::Hard), "it was played hard, and planned pause");
    proves_nothing(|canned| canned.evidence.incidents.steps[1].stops.clear(), "2:pause/worker-1: it never fired");
}

/// V4's stops are broken, and for no other reason.
#[test]
fn requests_that_a_frozen_instance_left_open_are_explained() {
    let judgement = canned::fragmented().judge();
    let frozen = stop(&judgement, FRAGMENTED);
    assert!(frozen.failed > Some(0), "{frozen:?}");
    assert_eq!(frozen.reasons.len(), 1, "{frozen:?}");
    assert!(frozen.reasons[0].ends_with("operations that it acknowledged are stranded"));
    let early = |canned: &mut Canned| {
        let (victim, struck) = (canned.record(FROZEN_API).victim.id, canned.struck(FROZEN_API));
        let before = |w: &Attempt| w.instance == victim && w.due < struck.minus(Duration::from_secs(3));
        let op = operations::writes(&canned.evidence.ledger).filter(before).last().unwrap().op;
        canned.outcome(op, Outcome::Unknown);
    };
    proves_nothing(early, "1 Unknowns sent to it");
}

#[test]
fn a_frozen_instance_that_held_nothing_proves_nothing() {
    proves_nothing(frozen(|stop| stop.exposure = Exposure::Leases { tasks: 0 }), "exposure 0");
    let unread = |stop: &mut StopRecord| stop.exposure = Exposure::NotRead { why: "no task arrived".into() };
    proves_nothing(frozen(unread), "no task arrived");
}

#[test]
fn a_paused_instance_goes_on_and_answers_again() {
    proves_nothing(frozen(|stop| stop.resumed = None), "it was never told to go on");
    proves_nothing(frozen(|stop| stop.healed = None), "it never answered as ready again");
    let exit = crate::backends::Exit { at: Offset(29_000_000_000), code: None, signal: Some(11) };
    proves_nothing(frozen(move |stop| stop.exit = Some(exit)), "its process ended, and it was only paused");
}

#[test]
fn a_start_without_a_backlog_could_fragment_nothing() {
    proves_nothing(|canned| canned.start(FIRST_START, |start| start.backlog = Some(0)), "1:scale/api-2: backlog 0");
    proves_nothing(
        |canned| canned.start(FIRST_START, |start| start.backlog = None),
        "the backlog at its begin was not read",
    );
}

#[test]
fn a_start_that_is_not_shown_to_have_taken_effect_proves_nothing() {
    let start = |change: fn(&mut crate::timeline::incident::StartRecord)| {
        move |canned: &mut Canned| canned.start(FIRST_START, change)
    };
    proves_nothing(start(|start| start.proof.clear()), "it fired without proof");
    proves_nothing(start(|start| start.proof[0].holds = false), "not proven: a process fills the slot");
    proves_nothing(start(|start| start.ready = None), "it never became ready");
    proves_nothing(start(|start| start.ready = Some(start.began.plus(Duration::from_secs(25)))), "later than 20s");
    proves_nothing(start(|start| start.error = Some("bind a port".into())), "it failed to bind a port");
    proves_nothing(|canned| drop(canned.evidence.incidents.steps[0].starts.remove(0)), "1:scale/api-2: it never fired");
}

#[test]
fn an_instance_that_acknowledged_nothing_was_no_scale_out() {
    let idle = |canned: &mut Canned| {
        let ids: Vec<_> = canned.evidence.incidents.roster.iter().map(|i| (i.name.clone(), i.id)).collect();
        let id = |name: &str| ids.iter().find(|(of, _)| of == name).unwrap().1;
        let (idle, busy) = (id("api-3.1"), id("api-1.1"));
        canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.instance == idle).for_each(|a| a.instance = busy));
    };
    proves_nothing(idle, "1:scale/api-3: it never acknowledged a write");
}

#[test]
fn a_step_that_did_not_see_its_condition_hold_proves_nothing() {
    let unseen = |canned: &mut Canned| canned.evidence.incidents.steps[0].condition = None;
    proves_nothing(unseen, "1:scale did not see its condition hold: buffer_size >= 50");
    let less = |canned: &mut Canned| canned.evidence.incidents.steps[0].condition.as_mut().unwrap().value = 49;
    proves_nothing(less, "1:scale did not see its condition hold");
}

#[test]
fn a_claim_without_a_scale_up_or_a_pause_after_it_was_not_put_to_the_test() {
    let claimed = |canned: &mut Canned| {
        canned.plan.timeline.remove(0);
        canned.evidence.incidents.steps.remove(0);
    };
    let mut canned = canned::scale_out();
    claimed(&mut canned);
    let judgement = canned.judge();
    let finding = judgement.finding("F1");
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.details[0].contains("no scale-up is planned"), "{:?}", finding.details);

    let mut canned = canned::scale_out();
    canned.plan.timeline.truncate(1);
    canned.evidence.incidents.steps.truncate(1);
    let judgement = canned.judge();
    let finding = judgement.finding("F1");
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.details[0].contains("no pause is planned after the scale-up"), "{:?}", finding.details);
}

fn sizes(canned: &mut Canned, change: impl Fn(&mut BufferSize)) {
    for id in [FROZEN_WORKER, FROZEN_API] {
        canned.checkpoint(id, |checkpoint| checkpoint.sizes.iter_mut().for_each(&change));
    }
}

#[test]
fn a_buffer_size_of_each_nodes_own_fails() {
    let mut canned = canned::scale_out();
    sizes(&mut canned, |size| {
        if size.instance == "api-1.1" {
            size.scope = "instance".into();
        }
    });
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Fail);
    assert_eq!(judgement.finding("F1").summary, "buffer_size is each node's own (api-1.1)");
}

#[test]
fn one_instance_that_always_disagrees_fails_and_one_unlucky_reading_does_not() {
    let mut canned = canned::scale_out();
    let apart = |size: &mut BufferSize| {
        if size.instance == "api-3.1" {
            size.reported = 4000;
        }
    };
    canned.checkpoint(FROZEN_API, |checkpoint| checkpoint.sizes.iter_mut().for_each(apart));
    assert_eq!(canned.judge().finding("F1").verdict, Verdict::Pass);
    sizes(&mut canned, apart);
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Fail);
    let told = "buffer_size on api-3.1 was 4000, and the shared buffer held 60, then 120";
    assert_eq!(judgement.finding("F1").summary, told);
}

#[test]
fn a_reading_within_a_batch_and_the_busiest_second_agrees() {
    // A batch of 256 tasks, and at most 100 operations of three tasks in a second.
    for (reported, verdict) in [(120 + 256 + 270, Verdict::Pass), (120 + 256 + 301, Verdict::Fail)] {
        let mut canned = canned::scale_out();
        sizes(&mut canned, |size| size.reported = reported);
        assert_eq!(canned.judge().finding("F1").verdict, verdict, "{reported}");
    }
}

#[test]
fn an_instance_whose_buffer_size_nobody_read_is_missing_evidence() {
    let unread = |canned: &mut Canned| {
        for id in [FROZEN_WORKER, FROZEN_API] {
            canned.checkpoint(id, |checkpoint| checkpoint.sizes.retain(|size| size.instance != "worker-2.1"));
        }
    };
    proves_nothing(unread, "buffer_size of worker-2.1 was never read");
    let nobody = |canned: &mut Canned| {
        for id in [FROZEN_WORKER, FROZEN_API] {
            canned.checkpoint(id, |checkpoint| checkpoint.sizes.clear());
        }
    };
    proves_nothing(nobody, "no reading of buffer_size was taken");
}

#[test]
fn a_zombie_that_writes_late_fails_though_every_checkpoint_was_clean() {
    let mut canned = canned::scale_out();
    let newest = canned.newest_hot();
    let seq = u64::from(canned.of(newest).seq);
    for preset in [1, 2, 3] {
        canned.rewrite(newest, preset, seq - 1);
    }
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Fail, "{}", judgement.complaints());
    let summary = &judgement.finding("F1").summary;
    assert!(summary.contains("1 write operations of") && summary.ends_with("are stale at the end"), "{summary}");
}

#[test]
fn a_loss_or_a_torn_operation_fails_the_claim_on_sound_evidence_only() {
    let mut canned = canned::scale_out();
    let op = canned.once(9);
    canned.remove_rows_of(op);
    assert!(canned.judge().finding("F1").summary.contains("are lost at the end"));
    canned.row_set(|set| set.marker_seen = false);
    assert_eq!(canned.judge().finding("F1").verdict, Verdict::Inconclusive);
    let mut canned = canned::scale_out();
    let op = canned.once(9);
    canned.outcome(op, Outcome::Unknown);
    canned.remove_row(op, 2);
    assert!(canned.judge().finding("F1").summary.contains("are torn at the end"));
}

/// The checkpoint is evidence of its own: what was read at the end does not matter to it.
#[test]
fn a_stranded_write_fails_though_the_end_was_never_read() {
    let mut canned = canned::fragmented();
    canned.evidence.state = None;
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Fail);
    assert!(judgement.exhibits[0].last_seen.ends_with("; the end was not read"), "{:?}", judgement.exhibits[0]);
}

#[test]
fn a_torn_ledger_is_no_pass_and_what_it_shows_stranded_stays_so() {
    proves_nothing(Canned::tear, "the ledger is torn");
    let mut canned = canned::fragmented();
    canned.tear();
    assert_eq!(canned.judge().finding("F1").verdict, Verdict::Fail);
}

#[test]
fn unclaimed_starts_and_pauses_are_judged_as_timeline() {
    let mut canned = canned::scale_out();
    canned.plan.claims.clear();
    canned.start(FIRST_START, |start| start.backlog = Some(0));
    let judgement = canned.judge();
    let finding = judgement.finding("timeline");
    assert_eq!(finding.verdict, Verdict::Pass, "{:?}", finding.details);
    assert!(finding.summary.starts_with("2 of 2 planned stops proven and exposed; 2 of 2 planned starts proven"));
    canned.start(FIRST_START, |start| start.ready = None);
    assert_eq!(canned.judge().finding("timeline").verdict, Verdict::Inconclusive);
}

#[test]
fn each_claim_asks_for_its_own_steps() {
    let mut canned = canned::scale_out();
    canned.plan.claims = vec![Claim::F1, Claim::F2];
    let judgement = canned.judge();
    assert_eq!(judgement.finding("F1").verdict, Verdict::Pass);
    assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive, "a pause is no rolling update");
    assert!(judgement.finding("F2").summary.contains("no stop is planned"));
}
