//! The selftest, whole: seeded bugs are caught, each by what is named for it, their twins pass, and what came of it is in
//! every later report of the same executable.

mod lab;

use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::{Lab, finding};
use serde_json::Value;

/// One caught by a class, one by a check, one only where a stop holds its task long enough; and a control.
const ONLY: &str = "poison-stalls,typo-is-in-memory,dead-drain-tracker,error-pages";

/// The result, once the machine let every case be decided.
fn selftest(lab: &Lab) -> Value {
    let mut ended = lab.run(&["selftest", "--only", ONLY, "--output", "json"]);
    for _ in 0..2 {
        if ended.code == 0 || !ended.stdout.contains("\"undecided\"") {
            break;
        }
        ended = lab.run(&["selftest", "--only", ONLY, "--output", "json"]);
    }
    let ended = ended.exits_with(0);
    assert!(ended.stderr.contains("as expected: poison-stalls"), "progress: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("the result as JSON")
}

fn got<'a>(selftest: &'a Value, name: &str) -> &'a str {
    let results = selftest["results"].as_array().expect("results");
    let result = results.iter().find(|result| result["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(result["outcome"], "as-expected", "{result:#}");
    result["got"].as_str().expect("what it came to")
}

/// A load on the strategy of two of the bugs, with a witness, and no stop.
fn scenario() -> String {
    format!(
        "target: {{ strategy: redis, instances: 1, workers: 1, witness: true, {} }}
load: {{ rps: 100, duration: 2s, mix: {{ write-once: 60%, hot-key: 40% }}, hot_keys: 4 }}
settle: {{ deadline: 10s, hard_cap: 60s }}
",
        lab::QUICK_TARGET
    )
}

#[test]
fn seeded_bugs_are_caught_and_later_reports_say_which() {
    let lab = Lab::new();
    let result = selftest(&lab);
    assert!(got(&result, "poison-stalls").ends_with(" stranded"));
    assert!(got(&result, "typo-is-in-memory").contains("the service did not use redis"));
    assert_eq!(got(&result, "dead-drain-tracker"), "1 lost", "the offer that was held");
    assert!(got(&result, "error-pages").starts_with("answers: 0 of "));
    for twin in ["poison", "bursts", "graceful-memory"] {
        assert_eq!(got(&result, twin), "PASS");
    }
    lab::assert_nothing_is_left(lab.folder());

    let file = lab.scenario("later", &scenario());
    lab.run_punctually(&["loadtest", "--scenario", &file, "--require-selftest", "--quiet"]).exits_with(0);
    let standing = &lab.report()["standing"];
    assert_eq!((&standing["caught"], &standing["false_alarms"]), (&3.into(), &0.into()), "{standing:#}");
    assert_eq!(standing["covered"], serde_json::json!(["typo-is-in-memory"]), "no poison, no stop");
    let again = lab.run(&["report", "judge", "latest"]).exits_with(0);
    assert!(again.stdout.contains("caught 3 of 3 seeded bugs"), "{}", again.stdout);
}

#[test]
fn a_pass_that_is_to_rest_on_a_selftest_is_none_without_one() {
    let lab = Lab::new();
    let file = lab.scenario("unproven", &scenario().replace("strategy: redis", "strategy: in-memory"));
    let ended = lab.run(&["loadtest", "--scenario", &file, "--require-selftest"]).exits_with(3);
    assert!(ended.stdout.contains("run `mxctl selftest`"), "{}", ended.stdout);
    assert_eq!(finding(&lab.report(), "selftest")["verdict"], "INCONCLUSIVE");
}

#[test]
fn a_service_that_a_person_starts_refuses_a_seeded_bug() {
    let lab = Lab::new();
    let file = lab.scenario("application", "buffer: { bug: lifo }\n");
    let refused = lab.run(&["serve", "--config", &file]).exits_with(2);
    assert!(
        refused.stderr.contains("a seeded bug is served only where mxctl started the service"),
        "{}",
        refused.stderr
    );
}

/// Waits for the journal of the one run that a selftest has under way.
fn await_journal(lab: &Lab) {
    let shelves = || std::fs::read_dir(lab.reports().join("selftest")).into_iter().flatten().flatten();
    let runs = || shelves().flat_map(|shelf| std::fs::read_dir(shelf.path()).into_iter().flatten().flatten());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !runs().any(|run| run.path().join("journal.jsonl").exists()) {
        assert!(Instant::now() < deadline, "no journal within 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_selftest_left_is_healed_and_may_be_removed() {
    let lab = Lab::new();
    let mut command = lab.mxctl(&["selftest", "--only", "bursts"]);
    let mut selftest = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mxctl starts");
    await_journal(&lab);
    selftest.kill().and_then(|()| selftest.wait()).expect("it was alive");
    lab::assert_nothing_is_left(lab.folder());
    let pruned = lab.run(&["report", "prune", "--keep", "0"]).exits_with(0).stdout;
    assert!(pruned.contains("unhealed: `mxctl heal` first"), "{pruned}");
    let healed = lab.run(&["heal"]).exits_with(0).stdout;
    assert!(healed.contains("/selftest/") && healed.contains(": healed"), "{healed}");
    let pruned = lab.run(&["report", "prune", "--keep", "0"]).exits_with(0).stdout;
    assert!(pruned.contains("selftest/") && pruned.contains("1 of 1 runs removed"), "{pruned}");
}

#[test]
fn a_case_that_does_not_exist_is_bad_input_and_nothing_is_started() {
    let lab = Lab::new();
    let refused = lab.run(&["selftest", "--only", "no-redrife"]).exits_with(2);
    assert!(refused.stderr.contains("did you mean `no-redrive`?"), "{}", refused.stderr);
    assert!(!lab.reports().exists());
}
