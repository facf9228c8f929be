//! One scenario, seed and run number twice: the same plan and the same operations, byte by byte.

mod lab;

use mxctl::load::Operations;
use mxctl::load::pacer::Timetable;
use mxctl::plan::{Given, Plan};
use mxctl::scenario::{Overrides, Scenario, Source};
use proptest::prelude::*;

use lab::Lab;

fn plan(name: &str, given: Given) -> Plan {
    let source = Source::load(name).expect("it ships");
    Plan::resolve(Scenario::read(&source), Overrides::default(), given).expect("a sound scenario")
}

/// Every operation of a plan, as text: lane, key and seq in the order in which they are due.
fn operations(plan: &Plan) -> String {
    let total = Timetable::of(&plan.load).total();
    (0..total)
        .zip(Operations::new(plan.run, &plan.load))
        .map(|(at, operation)| format!("{at} {operation:?}\n"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_same_seed_and_run_number_give_the_same_plan_and_operations(seed: u64, run_number in 1u32..1 << 31) {
        let given = Given { run_number, seed };
        for name in ["loadtest", "rolling-update"] {
            let (one, other) = (plan(name, given), plan(name, given));
            prop_assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&other).unwrap());
            prop_assert_eq!(operations(&one), operations(&other));
        }
    }
}

#[test]
fn another_seed_gives_another_order_of_as_many_operations() {
    let [one, other] = [1, 2].map(|seed| operations(&plan("rolling-update", Given { run_number: 7, seed })));
    assert_ne!(one, other);
    assert_eq!(one.lines().count(), other.lines().count());
}

/// What a real run left: its plan, and its ledger in the columns that do not depend on the moment.
struct Left {
    plan: Vec<u8>,
    operations: Vec<[String; 4]>,
}

fn real_run(seed: &str) -> Left {
    let lab = Lab::new();
    let yaml = format!(
        "name: twice\ntarget: {{ strategy: in-memory, instances: 1, {} }}\n\
         load: {{ rps: 200, mix: {{ write-once: 70%, hot-key: 20%, read: 10% }} }}\n",
        lab::QUICK_TARGET
    );
    let file = lab.scenario("twice", &yaml);
    let line = ["loadtest", "--scenario", &file, "--duration", "2s", "--run-number", "7", "--seed", seed, "--quiet"];
    // Where other tests take the processor, a run may find its own lag too long to judge: it asked the same all the same.
    let ended = lab.run(&line);
    assert!([0, 3].contains(&ended.code), "{}{}", ended.stdout, ended.stderr);
    let csv = lab.run(&["report", "export", "latest", "--ledger", "csv"]).exits_with(0).stdout;
    lab::assert_nothing_is_left(lab.folder());
    Left { plan: std::fs::read(lab.newest().join("plan.json")).unwrap(), operations: what_was_asked(&csv) }
}

fn what_was_asked(csv: &str) -> Vec<[String; 4]> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let places = ["op", "lane", "key", "seq"].map(|name| headers.iter().position(|h| h == name).expect("a column"));
    reader.records().map(|record| places.map(|at| record.as_ref().unwrap()[at].to_owned())).collect()
}

#[test]
fn two_real_runs_of_one_seed_ask_the_same() {
    // Side by side, each in a reports folder of its own: runs do not meet.
    let [one, same, other] = std::thread::scope(|scope| {
        ["3", "3", "4"].map(|seed| scope.spawn(move || real_run(seed))).map(|run| run.join().expect("a run"))
    });
    assert_eq!(String::from_utf8(one.plan).unwrap(), String::from_utf8(same.plan).unwrap());
    assert_eq!(one.operations.len(), 400);
    assert_eq!(one.operations, same.operations);
    assert_ne!(one.operations, other.operations);
}
