//! Poison under load, in whole runs: writes that the database refuses end in the dead-letter queue with their payload,
//! the rest of their batches ends in the database, and a run whose evidence says otherwise is no PASS.

mod lab;

use lab::{Lab, class, count, finding};
use serde_json::Value;

/// 20 of 400 operations are poison; attempts are few and back-offs short, so that they are dead soon.
fn scenario(load: &str) -> String {
    format!(
        "target: {{ strategy: redis, instances: 2, workers: 2, witness: true, max_attempts: 2, {} }}
load: {{ {load}, hot_keys: 4, read_keys: recent,
         mix: {{ write-once: 70%, hot-key: 15%, read: 10%, poison: 5% }} }}
settle: {{ deadline: 10s, hard_cap: 60s }}
",
        lab::QUICK_TARGET
    )
}

/// How many of the run's operations its ledger has in this lane.
fn in_lane(lab: &Lab, lane: &str) -> u64 {
    let csv = lab.run(&["report", "export", "latest", "--ledger", "csv"]).exits_with(0).stdout;
    csv.lines().filter(|line| line.split(',').any(|field| field == lane)).count() as u64
}

fn dead_letters(lab: &Lab) -> Vec<Value> {
    let text = std::fs::read(lab.newest().join("state/final.json")).expect("a final state");
    let state: Value = serde_json::from_slice(&text).expect("final.json is JSON");
    let items = state["queue"]["Read"]["items"].as_array().expect("a queue that was read").clone();
    items.into_iter().filter(|item| item["place"] == "dead").collect()
}

#[tokio::test]
async fn poison_ends_in_the_dead_letter_queue_and_its_neighbours_in_the_database() {
    let lab = Lab::new();
    let file = lab.scenario("poison", &scenario("rps: 200, duration: 2s"));
    lab.run_punctually(&["loadtest", "--scenario", &file, "--quiet"]).exits_with(0);
    let report = lab.report();
    let planned = in_lane(&lab, "poison");
    assert_eq!((planned, class(&report, "dead")), (20, 20));
    assert_eq!(dead_letters(&lab).len(), 60, "each of them three times");

    let once = in_lane(&lab, "write-once");
    let query = report["judgement"]["count_by_hand"]["query"].as_str().expect("a query").to_owned();
    let rows = count(&lab.newest().join("target/expectation.db"), &query).await;
    assert_eq!(rows as u64, 3 * once, "every neighbour, and no poison");

    // The same folder, in which one dead letter is another one's: judged again, it is no PASS.
    let path = lab.newest().join("state/final.json");
    let text = std::fs::read_to_string(&path).expect("a final state");
    let costs = dead_letters(&lab)[7]["costs"][0].to_string();
    std::fs::write(&path, text.replace(&costs, "1")).expect("a final state that can be written");
    lab.run(&["report", "judge", "latest"]).exits_with(1);
    lab::assert_nothing_is_left(lab.folder());
}

#[test]
fn a_load_of_a_shape_asks_what_its_stages_say_each_second() {
    let lab = Lab::new();
    let parts = "{ ramp: { from: 0, to: 100, over: 2s } }, { steps: { from: 100, to: 300, by: 200, every: 1s } }";
    let file = lab.scenario("shape", &scenario(&format!("shape: [ {parts} ]")));
    lab.run_punctually(&["loadtest", "--scenario", &file, "--shards", "2", "--quiet"]).exits_with(0);
    let report = lab.report();
    assert_eq!(finding(&report, "conservation")["verdict"], "PASS");
    let series = report["judgement"]["series"].as_array().expect("a series");
    let due: Vec<u64> = series.iter().map(|second| second["due"].as_u64().expect("a count")).take(4).collect();
    assert_eq!(due, [25, 75, 100, 300]);
    lab::assert_nothing_is_left(lab.folder());
}
