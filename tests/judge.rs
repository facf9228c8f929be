//! Judging from a folder alone, at a length at which every count can be checked: what is found is exactly what was put
//! there. `benches/judge.rs` does the same with five million operations, and measures.

mod synthetic;

use mxctl::checks::{Class, Verdict};
use mxctl::rejudge;
use mxctl::report::RunReport;

const OPERATIONS: u64 = 50_000;

fn count(report: &RunReport, class: Class) -> u64 {
    report.judgement.classes.iter().find(|counted| counted.class == class).expect("every class is counted").count
}

fn complaints(report: &RunReport) -> String {
    let bad = report.judgement.findings.iter().filter(|finding| finding.verdict != Verdict::Pass);
    bad.map(|finding| format!("{}: {} {:?}\n", finding.check, finding.summary, finding.details)).collect()
}

#[test]
fn a_long_run_without_a_flaw_passes_with_every_write_counted() {
    let reports = tempfile::tempdir().unwrap();
    let written = synthetic::write(reports.path(), OPERATIONS, 0);
    let report = rejudge::judge(&written.run).unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{}", complaints(&report));
    let judgement = &report.judgement;
    assert_eq!(judgement.conservation.due, written.due);
    assert_eq!((judgement.conservation.acked, judgement.conservation.unknown), (written.acked, written.unknown));
    assert_eq!(judgement.order, Some(written.order));
    let by_hand = judgement.count_by_hand.as_ref().unwrap();
    assert_eq!(by_hand.expected, by_hand.counted);
}

#[test]
fn the_lost_writes_are_exactly_those_that_are_missing() {
    let reports = tempfile::tempdir().unwrap();
    let written = synthetic::write(reports.path(), OPERATIONS, 7);
    let report = rejudge::judge(&written.run).unwrap();
    assert_eq!((report.verdict, count(&report, Class::Lost)), (Verdict::Fail, 7), "{}", complaints(&report));
    let exhibits = report.judgement.exhibits.iter().filter(|exhibit| exhibit.class == Class::Lost);
    assert!(exhibits.clone().count() == 7 && exhibits.clone().all(|exhibit| exhibit.presets == [1, 2, 3]));
    let others = [Class::Unexpected, Class::Corrupt, Class::Phantom, Class::Stranded, Class::Stale, Class::Torn];
    assert!(others.into_iter().all(|class| count(&report, class) == 0));
}
