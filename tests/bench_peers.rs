//! `mxctl bench peers`, whole and short, with mxctl alone: real servers, real load, every table. What the figures say
//! is the machine's.

mod lab;

use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::Value;

use lab::{Ended, Lab, MXCTL};
use mxctl::bench::peers::TruthCase;

/// With nobody on the PATH but whom the test puts there.
fn peers(lab: &Lab, arguments: &[&str]) -> Ended {
    let path = lab.folder().join("path");
    std::fs::create_dir_all(&path).unwrap();
    let short = ["bench", "peers", "--rounds", "1", "--duration", "1s", "--anyway"];
    let mut command = lab.mxctl(&[&short, arguments].concat());
    Ended::of(command.env("PATH", path).output().expect("mxctl starts"))
}

fn runs_of<'a>(report: &'a Value, tool: &'a str) -> impl Iterator<Item = &'a Value> {
    report["runs"].as_array().unwrap().iter().filter(move |run| run["tool"] == tool)
}

#[test]
fn a_round_of_mxctl_alone_has_every_table_and_every_run() {
    let lab = Lab::new();
    let file = lab.folder().join("runs.json");
    let ended = peers(&lab, &["--rates", "200,max", "--truth", "CO3", "--json", file.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in
        ["200 requests/s (nobody to compare with)", "As fast as it can", "CO3: 1000 requests/s for 10s", "Goals"]
    {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    // Every peer is missing, and where to get it stands beside its name.
    for peer in ["wrk2", "wrk", "oha", "vegeta", "hey", "fortio", "k6"] {
        assert!(ended.stdout.lines().any(|line| line.trim().starts_with(&format!("{peer} "))), "{}", ended.stdout);
    }
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    // With the ledger: no closed loop.
    assert_eq!((runs_of(&report, "mxctl").count(), runs_of(&report, "mxctl --no-ledger").count()), (2, 3));
    for run in report["runs"].as_array().unwrap() {
        let ran = &run["outcome"]["ran"];
        // What the server saw and what mxctl said are two counts of the same.
        assert_eq!(ran["server"]["requests"], ran["told"]["requests"], "{run:#}");
        assert!(
            ran["cpu_seconds"].as_f64().unwrap() > 0.0 && ran["peak_rss_bytes"].as_u64().unwrap() > 1 << 20,
            "{run:#}"
        );
    }
    assert_truth_is_told(&report);
}

/// Of a stall of seconds: what this machine takes itself is far less than a twentieth of it.
fn assert_truth_is_told(report: &Value) {
    let case = TruthCase::named("CO3").unwrap();
    assert!(case.stall.lasts >= Duration::from_secs(1));
    let truth = case.truth();
    let stalled: Vec<_> = report["runs"].as_array().unwrap().iter().filter(|run| run["case"] == case.name).collect();
    assert_eq!(stalled.len(), 2);
    for run in stalled {
        let told = &run["outcome"]["ran"]["told"];
        for (figure, so) in [("p99_ms", truth.p99), ("p999_ms", truth.p999), ("max_ms", truth.max)] {
            let said = told[figure].as_f64().unwrap();
            assert!((said - so).abs() <= 0.05 * so, "{figure} is {said} where {so} is so: {run:#}");
        }
    }
}

/// What breaks is named and counts in nothing; the others' figures stand.
#[test]
fn a_peer_that_fails_is_named_and_does_not_keep_others_from_being_measured() {
    let lab = Lab::new();
    let path = lab.folder().join("path");
    std::fs::create_dir_all(&path).unwrap();
    symlink(MXCTL, path.join("vegeta")).unwrap();
    let ended = peers(&lab, &["--rates", "200", "--truth", "none", "--only", "vegeta", "--output", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let failed = runs_of(&report, "vegeta").next().unwrap();
    assert!(failed["outcome"]["failed"].as_str().unwrap().contains("nothing of it arrived"), "{failed:#}");
    let figures: Vec<_> = report["figures"].as_array().unwrap().iter().map(|line| line["tool"].clone()).collect();
    assert_eq!(figures, ["mxctl", "mxctl --no-ledger"]);
    assert!(ended.stderr.contains("vegeta: failed"), "{}", ended.stderr);
}

#[test]
fn a_file_that_cannot_be_written_is_found_out_before_the_first_run() {
    let lab = Lab::new();
    let ended = peers(&lab, &["--json", "/nowhere/runs.json"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
    assert!(ended.stderr.contains("/nowhere/runs.json") && ended.stderr.contains("--json"), "{ended:?}");
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_can() {
    let lab = Lab::new();
    for (arguments, remedy) in [
        (["--only", "ab"], "wrk2, wrk, oha, vegeta, hey, fortio, k6"),
        (["--truth", "CO9"], "CO1, CO2, CO3 and none"),
        (["--rates", "fast"], "`5k`"),
        (["--duration", "1500ms"], "`1s` or more"),
    ] {
        let ended = lab.run(&[&["bench", "peers"], &arguments[..]].concat());
        assert!(ended.code == 2 && ended.stderr.contains(remedy), "{arguments:?}: {ended:?}");
    }
}
