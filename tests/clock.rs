//! `clock_offset`: a node whose own clock is wrong spoils nothing, and the report shows how wrong it was. One whose clock is
//! right after all proves nothing.

mod lab;

use lab::{Lab, finding, inside};
use mxctl::checks::{self, Verdict};
use mxctl::plan::ClockOffset;
use mxctl::rejudge::{self, Recovered};
use mxctl::watch::Unwatched;

fn scenario(clocks: &str) -> String {
    format!(
        "target: {{ strategy: redis, instances: 1, workers: 2, {}, clock_offset: {{ {clocks} }} }}
load: {{ rps: 100, duration: 3s, mix: {{ write-once: 60%, hot-key: 40% }}, hot_keys: 4 }}
settle: {{ deadline: 10s, hard_cap: 60s }}
",
        lab::QUICK_TARGET
    )
}

#[test]
fn wrong_clocks_spoil_nothing_and_the_report_says_how_wrong_they_were() {
    let lab = Lab::new();
    let file = lab.scenario("clocks", &scenario("worker-1: -30s, worker-2: 1h"));
    lab.run_punctually(&["loadtest", "--scenario", &file]).exits_with(0);
    let report = lab.report();
    let clocks = finding(&report, "clocks");
    assert_eq!(clocks["verdict"], "PASS");
    let told = clocks["summary"].as_str().expect("a sentence");
    assert!(told.contains("worker-1.1's own clock was seen -30.0 s from mxctl's"), "{told}");
    assert!(told.contains("worker-2.1's own clock was seen +3600.0 s from mxctl's"), "{told}");
    let target = report["plan"]["target"].as_str().expect("the target in a line");
    assert!(target.contains("clock of worker-1 -30s, worker-2 +1h"), "{target}");
}

#[tokio::test]
async fn a_clock_that_is_right_after_all_proves_nothing() {
    let lab = Lab::new();
    let plan = inside::plan(&lab, &scenario(""));
    let folder = inside::run(&lab, plan.clone(), &Unwatched).await.folder;
    let Recovered { evidence, .. } = rejudge::recover(&folder).expect("a whole run");
    let mut struck = plan;
    let slot = struck.target.slots[0].clone();
    struck.target.clock_offsets = vec![ClockOffset { slot, ahead_ms: 30_000 }];
    let judgement = checks::judge(&struck, &evidence);
    let clocks = judgement.findings.iter().find(|finding| finding.check == "clocks").expect("a finding");
    assert_eq!((judgement.verdict, clocks.verdict), (Verdict::Inconclusive, Verdict::Inconclusive));
    assert!(clocks.details[0].contains("s from mxctl's, and +30s is planned"), "{clocks:#?}");
}
