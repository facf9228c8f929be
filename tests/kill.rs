//! `kill`: SIGKILL at a pause point of one's choice.

mod lab;

use lab::{Lab, class, finding};

#[test]
fn killed_between_commit_and_ack_a_batch_is_written_twice_and_nothing_is_lost() {
    let lab = Lab::new();
    let yaml = format!(
        "target: {{ strategy: redis, instances: 1, workers: 2, {} }}
load: {{ rps: 100, duration: 6s, mix: {{ write-once: 100% }} }}
timeline:
  - kill: {{ at: 2s, of: worker-1, hold: worker.committed, window: 1s, window_acks: 50 }}
",
        lab::QUICK_TARGET
    );
    let file = lab.scenario("kill", &yaml);
    lab.run_punctually(&["chaos", "--scenario", &file]).exits_with(0);
    let report = lab.report();
    assert_eq!(finding(&report, "F2")["verdict"], "PASS");
    assert_eq!(class(&report, "lost"), 0);

    // The victim's leases were committed and not acknowledged: each of them, and nothing else, is delivered again,
    // and the witness sees it twice. That also shows that the kill struck where it was meant to.
    let exposure = report["judgement"]["stops"][0]["exposure"].as_u64().expect("an exposure");
    assert!(exposure > 0);
    assert_eq!(report["judgement"]["order"]["duplicates"].as_u64(), Some(exposure));
    lab::assert_nothing_is_left(lab.folder());
}
