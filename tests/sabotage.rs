//! `--sabotage`: mxctl with one part of itself made wrong sees through itself, says so wherever its run is shown, and never
//! passes. Without its guard there is no such flag.

mod lab;

use lab::{Ended, Lab, finding};

const GUARD: &str = "MXCTL_SELFTEST_GUARD";

const LOAD: &str = "
target: { strategy: in-memory, instances: 1, lease: 1s, redrive_scan: 200ms, flush_interval: 50ms, witness: true }
load: { rps: 100, duration: 3s, mix: { write-once: 80%, hot-key: 20% }, hot_keys: 2 }
";

fn guarded(lab: &Lab, arguments: &[&str]) -> Ended {
    Ended::of(lab.mxctl(arguments).env(GUARD, "1").output().expect("mxctl starts"))
}

/// A load that is sabotaged, on what would be a sound run.
fn sabotaged(lab: &Lab, by: &str) -> Ended {
    let file = lab.scenario("load", LOAD);
    guarded(lab, &["loadtest", "--scenario", &file, "--sabotage", by])
}

#[test]
fn without_its_guard_there_is_no_such_flag() {
    let lab = Lab::new();
    for command in ["loadtest", "chaos"] {
        let refused = lab.run(&[command, "--scenario", "rolling-update", "--sabotage", "cut-ledger"]).exits_with(2);
        assert!(refused.stderr.contains("unexpected argument '--sabotage'"), "{}", refused.stderr);
    }
    assert!(!lab.reports().exists());
    let pages = [
        &["loadtest", "--help"][..],
        &["chaos", "--help"],
        &["man"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["scenario", "schema"],
        &["report", "schema"],
    ];
    for page in pages {
        let told = lab.run(page).exits_with(0).stdout;
        assert!(!told.is_empty() && !told.contains("sabotage"), "{page:?} tells of it");
    }
    let help = guarded(&lab, &["chaos", "--help"]).exits_with(0).stdout;
    assert!(!help.contains("sabotage"), "{help}");
}

#[test]
fn what_is_not_known_and_what_would_spoil_nothing_is_refused() {
    let lab = Lab::new();
    let refused = sabotaged(&lab, "cut-the-ledger").exits_with(2).stderr;
    assert!(refused.contains("cut-ledger"), "{refused}");
    let refused = sabotaged(&lab, "fault-does-nothing").exits_with(2).stderr;
    assert!(refused.contains("sabotage this run by fault-does-nothing: the time line does nothing"), "{refused}");
    let refused = sabotaged(&lab, "generator-stall-at-kill").exits_with(2).stderr;
    assert!(refused.contains("the time line stops nobody"), "{refused}");
    assert!(!lab.reports().exists());
}

#[test]
fn evidence_that_is_not_whole_is_seen_and_every_report_of_the_run_says_what_was_done() {
    for (by, reason) in [
        ("cut-ledger", "the ledger is torn"),
        ("limited-reader", "rows, and 100 were read"),
        ("lagging-reader", "the marker that was committed after settling is not visible"),
    ] {
        let lab = Lab::new();
        let told = sabotaged(&lab, by).exits_with(3).stdout;
        assert!(told.contains(&format!("mxctl itself was sabotaged (`{by}`)")), "{told}");
        let report = lab.report();
        let evidence = finding(&report, "evidence");
        assert_eq!(evidence["verdict"], "INCONCLUSIVE", "{evidence:#}");
        assert!(evidence.to_string().contains(reason), "{by}: {evidence:#}");
        assert_eq!(finding(&report, "sabotage")["verdict"], "INCONCLUSIVE");
        let target = report["plan"]["target"].as_str().expect("the target in a line");
        assert!(target.ends_with(&format!("SABOTAGED {by}")), "{target}");
        let again = lab.run(&["report", "judge", "latest"]).exits_with(3).stdout;
        assert!(again.contains("mxctl itself was sabotaged") && again.contains(reason), "{again}");
    }
}

/// As the selftest does it, without the flag.
const CONTROLS: [&str; 6] = [
    "fault-does-nothing",
    "redis-fault-does-nothing",
    "wrong-target",
    "lagging-reader",
    "generator-stall-at-kill",
    "generator-below-its-rate",
];

#[test]
fn every_control_is_undecided_for_its_own_reason() {
    let lab = Lab::new();
    let ended = lab.run(&["selftest", "--only", &CONTROLS.join(",")]).exits_with(0);
    for control in CONTROLS {
        assert!(ended.stderr.contains(&format!("control as expected: {control} ")), "{control}: {}", ended.stderr);
    }
    lab::assert_nothing_is_left(lab.folder());
}
