//! Whole judgements: what a verdict is worth, whatever one thing is changed in the evidence.

use proptest::prelude::*;

use super::canned::{self, Canned};
use super::*;
use crate::content::costs;
use crate::load::Outcome;
use crate::plan::Claim;
use crate::readback::Row;

#[test]
fn every_canned_run_passes_until_something_is_spoilt() {
    for (name, canned) in [
        ("healthy", canned::healthy()),
        ("in memory", canned::in_memory()),
        ("load test", canned::load_test()),
        ("scale-out", canned::scale_out()),
        ("redis-failure", canned::redis_failure()),
    ] {
        let judgement = canned.judge();
        assert_eq!(judgement.verdict, Verdict::Pass, "{name}:\n{}", judgement.complaints());
    }
}

#[test]
fn a_check_that_crashes_is_inconclusive_and_named() {
    let mut findings = Vec::new();
    let found = guarded("F2", &mut findings, Vec::<u8>::new, || panic!("index {} out of range", 7));
    assert!(found.is_empty());
    assert_eq!((findings[0].check.as_str(), findings[0].verdict), ("F2", Verdict::Inconclusive));
    assert!(findings[0].summary.contains("index 7 out of range"));
}

#[test]
fn figures_that_could_not_be_worked_out_support_no_verdict() {
    let mut canned = canned::scale_out();
    canned.plan.claims = vec![Claim::F1, Claim::F2, Claim::RedisFailure, Claim::DatabaseFailure];
    let figures = Figures {
        phases: Default::default(),
        conserved: Default::default(),
        soundness: soundness::Soundness::unknown(),
        classes: Default::default(),
        order: None,
        timing: Default::default(),
        pace: Default::default(),
        stops: Vec::new(),
        disturbances: Vec::new(),
        recoveries: Default::default(),
        checkpoints: Vec::new(),
        efficiency: Vec::new(),
        strangers: None,
    };
    let (plan, evidence) = (&canned.plan, &canned.evidence);
    let stops = Stops { plan, evidence, figures: &figures }.judge();
    let starts = starts::judge(plan, evidence, &figures.classes);
    let case = Case { plan, evidence, figures: &figures, starts: &starts, stops: &stops, disturbances: &[] };
    for (name, check) in CHECKS {
        let verdicts: Vec<Verdict> = check(&case).iter().map(|finding| finding.verdict).collect();
        assert!(!verdicts.contains(&Verdict::Fail), "{name}");
        let others = ["sabotage", "clocks", "seeded bug", "attempts", "interrupted", "instances", "backlog", "metrics"];
        let rests_on_figures = !others.contains(&name);
        assert!(!rests_on_figures || verdicts.contains(&Verdict::Inconclusive), "{name}: {verdicts:?}");
    }
}

#[test]
fn fail_outranks_inconclusive_outranks_pass() {
    assert!(Verdict::Fail > Verdict::Inconclusive && Verdict::Inconclusive > Verdict::Pass);
}

#[test]
fn every_planned_gate_has_a_finding_of_its_name() {
    let canned = canned::healthy();
    let judgement = canned.judge();
    for gate in &canned.plan.gates {
        assert_eq!(judgement.finding(&gate.name()).verdict, Verdict::Pass);
    }
}

/// What the ledger, the rows and the sightings may go through.
#[derive(Debug, Clone)]
enum Change {
    Outcome(usize, Outcome),
    Remove(usize),
    Rewrite(usize, u64),
    Garble(usize),
    Move(usize),
    Add(u64, u8, u64),
    Unseen(usize),
    Enqueue(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let any_at = 0usize..100_000;
    let outcome = prop::sample::select(vec![Outcome::Acked, Outcome::Refused, Outcome::Unknown, Outcome::NotSent]);
    prop_oneof![
        (any_at.clone(), outcome).prop_map(|(at, outcome)| Change::Outcome(at, outcome)),
        any_at.clone().prop_map(Change::Remove),
        (any_at.clone(), 0u64..400).prop_map(|(at, seq)| Change::Rewrite(at, seq)),
        any_at.clone().prop_map(Change::Garble),
        any_at.clone().prop_map(Change::Move),
        (0u64..9000, 1u8..5, 0u64..3).prop_map(|(index, preset, seq)| Change::Add(index, preset, seq)),
        any_at.clone().prop_map(Change::Unseen),
        (any_at, 1u8..4).prop_map(|(at, preset)| Change::Enqueue(at, preset)),
    ]
}

fn apply(canned: &mut Canned, change: &Change) {
    let place = |at: usize, len: usize| at % len.max(1);
    let row = |rows: &mut Vec<Row<'static>>, at: usize, change: fn(&mut Row<'static>, u64), to: u64| {
        let at = place(at, rows.len());
        change(&mut rows[at], to);
    };
    match *change {
        Change::Outcome(at, outcome) => canned.outcome(at as u64 % canned::OPERATIONS, outcome),
        Change::Remove(at) => canned.rows(|rows| _ = rows.remove(place(at, rows.len()))),
        Change::Rewrite(at, seq) => canned.rows(|rows| row(rows, at, |row, seq| row.seq = seq, seq)),
        Change::Garble(at) => canned.rows(|rows| row(rows, at, |row, _| row.costs.swap(0, 1), 0)),
        Change::Move(at) => canned.rows(|rows| row(rows, at, |row, by| row.key += by, 1)),
        Change::Add(index, preset, seq) => {
            let key = canned.plan.run.key(index as u32);
            let written_by = "nobody";
            canned.rows(|rows| rows.push(Row { key, preset, seq, costs: costs(key, seq, preset), written_by }));
        }
        Change::Unseen(at) => canned.sightings(|seen| _ = seen.remove(place(at, seen.len()))),
        Change::Enqueue(at, preset) => {
            let op = at as u64 % canned::OPERATIONS;
            canned.enqueue(op, preset, crate::readback::Place::Ready);
        }
    }
}

/// The rows whose seq an acknowledged operation wrote.
fn acked_rows(canned: &Canned) -> Vec<(u64, u8)> {
    let acked: std::collections::BTreeSet<(u64, u64)> = operations::writes(&canned.evidence.ledger)
        .filter(|op| op.outcome == Outcome::Acked)
        .map(|op| (op.key, u64::from(op.seq)))
        .collect();
    canned
        .all_rows()
        .iter()
        .filter(|row| acked.contains(&(row.key, row.seq)))
        .map(|row| (row.key, row.preset))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A partition: whatever the evidence, each write operation is in exactly one class.
    #[test]
    fn the_classes_add_up_to_the_write_operations(
        changes in prop::collection::vec(change(), 0..12),
        torn: bool,
        rows_read: bool,
        queue_read: bool,
    ) {
        let mut canned = canned::healthy();
        changes.iter().for_each(|change| apply(&mut canned, change));
        if torn { canned.tear() }
        if !rows_read { canned.state().rows = crate::readback::Source::Gap { why: "locked".into() } }
        if !queue_read { canned.state().queue = crate::readback::Source::Gap { why: "refused".into() } }
        let judgement = canned.judge();
        let classes: u64 = judgement.classes.iter().filter(|c| c.class != Class::Unexpected).map(|c| c.count).sum();
        prop_assert_eq!(classes, operations::writes(&canned.evidence.ledger).count() as u64);
        prop_assert!(judgement.findings.iter().all(|finding| !finding.summary.contains("crashed")));
    }

    /// The worst bug that we can ship is a false PASS: take or change any one row of an acknowledged operation.
    #[test]
    fn no_row_of_an_acknowledged_operation_can_be_taken_or_changed_without_a_failure(
        at in 0usize..100_000,
        how in 0u8..7,
        amount in 1u64..500,
        v4: bool,
    ) {
        let mut canned = if v4 { canned::in_memory() } else { canned::healthy() };
        let rows = acked_rows(&canned);
        let (key, preset) = rows[at % rows.len()];
        canned.rows(|rows| {
            let index = rows.iter().position(|row| (row.key, row.preset) == (key, preset)).unwrap();
            let row = &mut rows[index];
            match how {
                0 => _ = rows.remove(index),
                1 => row.seq += amount,
                2 => row.seq = row.seq.saturating_sub(amount),
                3 => { row.seq = row.seq.saturating_sub(amount); row.costs = costs(key, row.seq, preset) }
                4 => row.costs[(amount % 5) as usize] += amount as i64,
                5 => row.costs.swap((amount % 5) as usize, ((amount + 1) % 5) as usize),
                _ => row.key += (1 << 20) + amount,
            }
        });
        let judgement = canned.judge();
        prop_assert_eq!(judgement.verdict, Verdict::Fail, "{}", judgement.complaints());
        prop_assert!(!judgement.exhibits.is_empty());
    }
}
