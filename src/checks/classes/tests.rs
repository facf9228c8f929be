//! Each row of the table of classes, and the order between them.

use std::time::Duration;

use super::*;
use crate::checks::canned::{self, Canned};
use crate::checks::{Judgement, Verdict};
use crate::readback::{Applied, Place, Row, Sighting, SightingKind, WitnessLog};
use crate::timeline::Exposure;

/// Judges a healthy run with one change.
fn judged(change: impl FnOnce(&mut Canned)) -> Judgement {
    let mut canned = canned::healthy();
    change(&mut canned);
    canned.judge()
}

/// The only failing class with members, and its count.
#[track_caller]
fn only(judgement: &Judgement) -> (Class, u64) {
    let failing: Vec<_> = judgement.classes.iter().filter(|c| c.fails && c.count > 0).collect();
    assert_eq!(failing.len(), 1, "{failing:?}");
    assert_eq!(judgement.verdict, Verdict::Fail);
    (failing[0].class, failing[0].count)
}

fn none_fails(judgement: &Judgement) -> bool {
    judgement.classes.iter().all(|c| !c.fails || c.count == 0)
}

fn exhibit(judgement: &Judgement, class: Class) -> &Exhibit {
    judgement.exhibits.iter().find(|exhibit| exhibit.class == class).unwrap()
}

#[test]
fn an_untouched_run_has_applied_superseded_and_recovered_operations() {
    let canned = canned::healthy();
    let judgement = canned.judge();
    assert!(none_fails(&judgement));
    let hot = operations::writes(&canned.evidence.ledger).filter(|op| op.key < canned.plan.run.key(4)).count() as u64;
    assert_eq!(
        judgement.count(Class::Superseded) + 4,
        hot,
        "all but the newest of each hot key (none of them Unknown)"
    );
    assert!(judgement.count(Class::Recovered) > 0, "requests to the frozen instance that arrived all the same");
    assert_eq!(judgement.count(Class::Unresolved), 0);
}

#[test]
fn a_row_that_nobody_attempted_is_unexpected() {
    let judgement = judged(|c| {
        let (key, written_by) = (c.plan.run.key(70_000), "intruder");
        let costs = content::costs(key, 1, 1);
        c.rows(|rows| rows.push(Row { key, preset: 1, seq: 1, costs, written_by }));
    });
    assert_eq!(only(&judgement), (Class::Unexpected, 1));
    assert!(exhibit(&judgement, Class::Unexpected).last_seen.contains("intruder"));
}

#[test]
fn a_preset_that_no_request_has_is_unexpected() {
    let judgement = judged(|c| {
        let op = c.once(3);
        let key = c.of(op).key;
        c.rows(|rows| rows.push(Row { key, preset: 4, seq: 1, costs: [1; 5], written_by: "worker-2.1" }));
    });
    assert_eq!(only(&judgement), (Class::Unexpected, 1));
}

#[test]
fn the_row_of_an_operation_that_was_never_sent_is_unexpected() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::NotSent);
    });
    assert_eq!(only(&judgement), (Class::Unexpected, 3));
}

#[test]
fn a_row_with_other_content_is_corrupt_whoever_asked_for_it() {
    for outcome in [Outcome::Acked, Outcome::Unknown, Outcome::Refused] {
        let judgement = judged(|c| {
            let op = c.once(3);
            c.outcome(op, outcome);
            c.row(op, 2, |row| row.costs[4] += 1);
        });
        assert_eq!(only(&judgement), (Class::Corrupt, 1));
        assert_eq!(exhibit(&judgement, Class::Corrupt).presets, [2]);
    }
}

#[test]
fn swapped_columns_are_corrupt_and_named() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.row(op, 1, |row| row.costs.swap(1, 2));
    });
    assert_eq!(only(&judgement), (Class::Corrupt, 1));
    let told = &exhibit(&judgement, Class::Corrupt).last_seen;
    assert!(told.contains("black_cube_cost is ") && told.contains("red_cube_cost is "), "{told}");
    assert!(!told.contains("total"), "{told}");
}

#[test]
fn a_refused_operation_that_is_visible_anywhere_is_a_phantom() {
    let in_rows = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::Refused);
    });
    assert_eq!(only(&in_rows), (Class::Phantom, 1));
    let in_queue = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::Refused);
        c.remove_rows_of(op);
        c.sightings(|seen| seen.clear());
        c.plan.target.witness = false;
        c.enqueue(op, 1, Place::Ready);
    });
    assert_eq!(only(&in_queue), (Class::Phantom, 1));
    let to_the_witness = judged(|c| {
        let op = c.hot(3);
        c.outcome(op, Outcome::Refused);
    });
    assert_eq!(only(&to_the_witness), (Class::Phantom, 1));
}

#[test]
fn a_refused_operation_that_is_nowhere_is_refused() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::Refused);
        c.remove_rows_of(op);
        let key = c.of(op).key;
        c.sightings(|seen| seen.retain(|s| s.key != key));
    });
    assert!(none_fails(&judgement));
    assert_eq!(judgement.count(Class::Refused), 1);
}

#[test]
fn an_acknowledged_operation_that_still_waits_is_stranded_with_its_place() {
    for (place, told) in [
        (Place::Ready, "queue: ready"),
        (Place::Leased, "queue: leased by worker-2.1"),
        (Place::Delayed, "queue: delayed"),
        (Place::Dead, "queue: in the dead-letter queue (too many attempts)"),
    ] {
        let judgement = judged(|c| {
            let op = c.once(3);
            c.remove_row(op, 3);
            c.enqueue(op, 3, place);
        });
        assert_eq!(only(&judgement), (Class::Stranded, 1));
        let exhibit = exhibit(&judgement, Class::Stranded);
        assert!(exhibit.last_seen.starts_with(told), "{}", exhibit.last_seen);
        assert_eq!(exhibit.presets, [3]);
    }
}

#[test]
fn a_write_that_waits_behind_an_older_row_is_stranded_and_not_stale() {
    let judgement = judged(|c| {
        let op = c.newest_hot();
        let older = u64::from(c.of(op).seq) - 1;
        c.rewrite(op, 1, older);
        c.enqueue(op, 1, Place::Leased);
    });
    assert_eq!(only(&judgement), (Class::Stranded, 1));
}

#[test]
fn an_acknowledged_operation_that_is_applied_and_still_queued_is_stranded() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.enqueue(op, 1, Place::Leased);
    });
    assert_eq!(only(&judgement), (Class::Stranded, 1));
}

#[test]
fn a_missing_write_of_an_instance_that_still_holds_tasks_is_stranded_and_of_any_other_lost() {
    let mut canned = canned::in_memory();
    let alive = canned.evidence.incidents.roster.last().unwrap().clone();
    let of = |canned: &Canned, id| {
        let mut writes = operations::writes(&canned.evidence.ledger);
        writes.find(|op| op.instance == id && op.key >= canned.plan.run.key(4)).unwrap().op
    };
    let op = of(&canned, alive.id);
    canned.remove_rows_of(op);
    let Source::Read(counters) = &mut canned.state().counters else { panic!("canned counters are read") };
    counters.iter_mut().find(|own| own.instance == alive.name).unwrap().private_buffer = 3;
    let judgement = canned.judge();
    assert_eq!(only(&judgement), (Class::Stranded, 1));
    assert!(exhibit(&judgement, Class::Stranded).last_seen.contains("in its own memory"));

    let dead = canned.evidence.incidents.steps[0].stops[0].victim.id;
    let op = of(&canned, dead);
    canned.remove_rows_of(op);
    assert_eq!(canned.judge().count(Class::Lost), 1);
}

#[test]
fn one_missing_row_of_three_is_lost() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.remove_row(op, 2);
    });
    assert_eq!(only(&judgement), (Class::Lost, 1));
    let exhibit = exhibit(&judgement, Class::Lost);
    assert_eq!(exhibit.presets, [2]);
    assert!(exhibit.instance.is_some() && exhibit.acked.is_some());
}

#[test]
fn the_missing_rows_of_a_hot_key_lose_every_acknowledged_operation_of_it() {
    let mut canned = canned::healthy();
    let op = canned.hot(0);
    let key = canned.of(op).key;
    canned.remove_rows_of(op);
    let acked = operations::writes(&canned.evidence.ledger).filter(|w| w.key == key && w.outcome == Outcome::Acked);
    let acked = acked.count() as u64;
    assert_eq!(canned.judge().count(Class::Lost), acked);
}

#[test]
fn a_superseded_write_that_the_witness_never_saw_is_lost() {
    let mut canned = canned::healthy();
    let op = canned.hot(5);
    let (key, seq) = (canned.of(op).key, u64::from(canned.of(op).seq));
    let own = move |s: &Sighting| (s.key, s.new_seq) == (key, seq);
    canned.sightings(|seen| seen.retain(|s| !(own(s) && s.preset == 1)));
    let judgement = canned.judge();
    assert_eq!(only(&judgement), (Class::Lost, 1));
    assert!(exhibit(&judgement, Class::Lost).last_seen.contains("never saw"));

    let dropped = Sighting {
        order: 1 << 40,
        key,
        preset: 1,
        old_seq: None,
        new_seq: seq,
        written_by: "worker-2.1",
        kind: SightingKind::Dropped,
    };
    canned.sightings(|seen| seen.push(dropped));
    assert!(none_fails(&canned.judge()), "dropped by name is seen");
}

#[test]
fn without_a_witness_a_newer_row_supersedes() {
    let mut canned = canned::load_test();
    let before = canned.judge().count(Class::Superseded);
    canned.state().witness = Source::Read(WitnessLog::default());
    let judgement = canned.judge();
    assert_eq!(judgement.count(Class::Superseded), before, "a witness that nobody planned is no witness");
    assert!(none_fails(&judgement));
}

#[test]
fn a_row_with_a_newer_seq_that_nobody_attempted_hides_nothing() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.rewrite(op, 1, 9);
    });
    assert_eq!(judgement.count(Class::Unexpected), 1);
    assert_eq!(judgement.count(Class::Lost), 1);
    let told = &exhibit(&judgement, Class::Lost).last_seen;
    assert!(told.contains("seq 9, which nobody attempted"), "{told}");
}

#[test]
fn an_older_row_under_an_acknowledged_write_is_stale_and_told_to_be_regressed() {
    let judgement = judged(|c| {
        let op = c.newest_hot();
        let older = u64::from(c.of(op).seq) - 1;
        c.rewrite(op, 2, older);
    });
    assert_eq!(only(&judgement), (Class::Stale, 1));
    assert!(exhibit(&judgement, Class::Stale).last_seen.contains("regressed"));
}

#[test]
fn an_unknown_operation_of_which_a_part_is_there_is_torn() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::Unknown);
        c.remove_row(op, 2);
    });
    assert_eq!(only(&judgement), (Class::Torn, 1));
    assert_eq!(exhibit(&judgement, Class::Torn).presets, [2]);
}

#[test]
fn an_unknown_operation_whose_rest_is_still_queued_is_unresolved() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::Unknown);
        c.remove_row(op, 2);
        c.enqueue(op, 2, Place::Leased);
    });
    assert!(none_fails(&judgement));
    assert_eq!(judgement.count(Class::Unresolved), 1);
}

#[test]
fn a_newer_row_counts_as_there_for_an_unknown_write_of_a_hot_key() {
    let mut canned = canned::healthy();
    let (last, before) = (canned.newest_hot(), canned.judge().count(Class::Recovered));
    let Attempt { key, seq, .. } = canned.of(last);
    let second = operations::writes(&canned.evidence.ledger).find(|w| (w.key, w.seq) == (key, seq - 1)).unwrap().op;
    canned.outcome(second, Outcome::Unknown);
    canned.outcome(last, Outcome::Unknown);
    canned.rewrite(last, 1, u64::from(seq) - 1);
    let judgement = canned.judge();
    assert_eq!(judgement.count(Class::Torn), 1, "the newest alone: its preset 1 is older");
    assert_eq!(judgement.count(Class::Recovered), before + 1, "the one before: once there, twice behind a newer row");
}

#[test]
fn an_unknown_write_behind_newer_rows_is_recovered_if_the_witness_saw_it_and_unresolved_if_nobody_looked() {
    let mut canned = canned::healthy();
    let op = canned.hot(5);
    let before = canned.judge().count(Class::Recovered);
    canned.outcome(op, Outcome::Unknown);
    assert_eq!(canned.judge().count(Class::Recovered), before + 1);

    let mut canned = canned::load_test();
    canned.outcome(op, Outcome::Unknown);
    assert_eq!(canned.judge().count(Class::Unresolved), 1);
}

#[test]
fn an_unknown_operation_that_is_nowhere_is_unresolved() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::Unknown);
        c.remove_rows_of(op);
    });
    assert!(none_fails(&judgement));
    assert_eq!(judgement.count(Class::Unresolved), 1);
}

#[test]
fn an_operation_that_was_not_sent_and_is_nowhere_is_not_sent() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.outcome(op, Outcome::NotSent);
        c.remove_rows_of(op);
    });
    assert!(none_fails(&judgement));
    assert_eq!(judgement.count(Class::NotSent), 1);
}

#[test]
fn reads_stand_outside_the_classes() {
    let judgement = judged(|c| {
        c.attempts(|attempts| attempts.iter_mut().filter(|a| !a.lane.writes()).take(5).for_each(canned::forget));
    });
    assert!(none_fails(&judgement));
    assert_eq!(judgement.conservation.unknown, canned::healthy().judge().conservation.unknown + 5);
}

#[test]
fn no_more_than_ten_of_a_class_are_shown_in_the_order_of_the_ledger() {
    let judgement = judged(|c| {
        for n in (0..25).rev() {
            let op = c.once(n);
            c.remove_row(op, 1);
        }
    });
    assert_eq!(judgement.count(Class::Lost), 25);
    let ops: Vec<u64> = judgement.exhibits.iter().filter_map(|exhibit| exhibit.op).collect();
    assert_eq!(ops.len(), 10);
    assert!(ops.is_sorted());
}

#[test]
fn a_lost_write_of_a_victim_tells_of_its_end_and_of_the_checkpoint() {
    let mut canned = canned::in_memory();
    let id = canned.plan.timeline[0].stops[0].id.clone();
    let victim = canned.record(&id).victim.clone();
    canned.stop(&id, |stop| stop.mode = crate::plan::StopMode::Hard);
    let signalled = canned.record(&id).signalled.unwrap();
    let last = operations::writes(&canned.evidence.ledger)
        .filter(|w| w.instance == victim.id && w.done.is_some_and(|d| d <= signalled.minus(Duration::from_millis(50))))
        .filter(|w| w.key >= canned.plan.run.key(4))
        .last()
        .unwrap();
    canned.remove_rows_of(last.op);
    assert!(
        exhibit(&canned.judge(), Class::Lost).last_seen.ends_with("; written once, and not in the database at the end")
    );
    canned.sightings(|seen| seen.retain(|s| s.key != last.key));
    let judgement = canned.judge();
    let told = &exhibit(&judgement, Class::Lost).last_seen;
    let expected = format!(
        "acknowledged by {} 0.1 s before it was killed, not in the database at the checkpoint of {id}",
        victim.name
    );
    assert_eq!(*told, format!("{expected}, never seen again"));

    canned.stop(&id, |stop| {
        let Exposure::Unwritten(checkpoint) = &mut stop.exposure else { panic!("V4 has checkpoints") };
        let Source::Read(applied) = &mut checkpoint.applied else { panic!("canned checkpoints are read") };
        *applied = Applied::from_iter([(last.key, 1)]);
    });
    let judgement = canned.judge();
    let told = &exhibit(&judgement, Class::Lost).last_seen;
    assert!(told.contains(", in the database at the checkpoint of"), "{told}");
}

#[test]
fn items_that_nobody_can_read_are_told_beside_the_losses() {
    let judgement = judged(|c| {
        let op = c.once(3);
        c.remove_rows_of(op);
        c.queue(|queue| {
            queue.items.push(QueuedItem { task: None, place: Place::Dead, holder: None, cause: None, costs: None })
        });
    });
    assert_eq!(only(&judgement), (Class::Lost, 1));
    assert!(judgement.finding("integrity").details.iter().any(|detail| detail.contains("1 items")));
}
