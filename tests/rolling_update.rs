//! The main job, whole: a rolling update under load, judged from the database.
//!
//! The scenarios are short forms of the shipped one: the same stops, fewer of them, and shorter times.

mod lab;

use lab::{Ended, Lab, class, count, finding};
use serde_json::Value;

fn scenario(strategy: &str) -> String {
    format!(
        "name: short-rolling-update
target: {{ strategy: {strategy}, instances: 2, {}, database: sqlite, {} }}
load: {{ rps: 200, duration: 24s, mix: {{ write-once: 80%, hot-key: 15%, read: 5% }} }}
timeline:
  - rolling-update: {{ at: 2s, of: [api, worker], mode: graceful, grace: 10s, window: 2s, window_acks: 100 }}
  - rolling-update: {{ at: 10s, of: [api, worker], mode: hard, window: 2s, window_acks: 100 }}
gates: {{ F2: pass, error_rate.steady: 0.5% }}
",
        if strategy == "redis" { "workers: 2" } else { "witness: true" },
        lab::QUICK_TARGET,
    )
}

fn stops(report: &Value) -> &Vec<Value> {
    report["judgement"]["stops"].as_array().expect("stops")
}

#[tokio::test]
async fn on_redis_every_instance_is_replaced_and_nothing_is_lost() {
    let lab = Lab::new();
    let file = lab.scenario("v5", &scenario("redis"));
    let ended = lab.run_punctually(&["chaos", "--scenario", &file]).exits_with(0);
    assert!(ended.stdout.contains("PASS"), "{}", ended.stdout);
    let report = lab.report();

    assert_eq!(stops(&report).len(), 8, "two api instances and two workers, each gracefully and hard");
    for stop in stops(&report) {
        assert_eq!(stop["verdict"], "PASS", "{stop:#}");
        assert!(stop["exposure"].as_u64() > Some(0), "{stop:#}");
        assert!(stop["proof"].as_array().unwrap().iter().all(|p| p[1] == true), "{stop:#}");
        if stop["mode"] == "graceful" && stop["victim"].as_str().unwrap().starts_with("api") {
            assert!(stop["acks_after_sigterm"].as_u64() > Some(0), "{stop:#}");
        }
    }
    for failing in ["lost", "stranded", "stale", "torn", "corrupt", "phantom", "unexpected"] {
        assert_eq!(class(&report, failing), 0, "{failing}");
    }
    assert_eq!(finding(&report, "F2")["verdict"], "PASS");

    // The query that the report prints, run by hand.
    let by_hand = &report["judgement"]["count_by_hand"];
    let database = lab.newest().join("target/expectation.db");
    let rows = count(&database, by_hand["query"].as_str().unwrap()).await;
    assert_eq!(by_hand["expected"].as_i64(), Some(rows));
    lab::assert_nothing_is_left(lab.folder());

    // The same verdict from the folder alone.
    let again = lab.run(&["report", "judge", "latest"]).exits_with(0);
    assert!(again.stdout.contains("PASS"), "{}", again.stdout);

    // A PASS that could not be told is no exit 0.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let untold = lab.mxctl(&["report", "judge", "latest"]).stdout(full).stderr(std::process::Stdio::piped()).spawn();
    let untold = Ended::of(untold.unwrap().wait_with_output().unwrap()).exits_with(2);
    assert!(untold.stderr.contains("failed to print the report"), "{}", untold.stderr);
}

#[tokio::test]
async fn in_memory_a_hard_stop_loses_exactly_what_is_counted_by_hand() {
    let lab = Lab::new();
    let file = lab.scenario("v4", &scenario("in-memory"));
    let ended = lab.run(&["chaos", "--scenario", &file]).exits_with(1);
    assert!(ended.stdout.contains("FAIL"), "{}", ended.stdout);
    let report = lab.report();
    let lost = class(&report, "lost");
    assert!(lost > 0);

    let csv = lab.run(&["report", "export", "latest", "--ledger", "csv"]).exits_with(0).stdout;
    let by_hand = lost_by_hand(&csv, &lab.newest().join("target/expectation.db")).await;
    assert_eq!(lost, by_hand, "counted from the exported ledger and the database");

    // Nothing of it is the graceful part's: every lost write was acknowledged by an instance that was killed.
    let killed: Vec<_> = stops(&report).iter().filter(|s| s["mode"] == "hard").map(|s| s["victim"].clone()).collect();
    for exhibit in report["judgement"]["exhibits"].as_array().unwrap() {
        assert!(killed.contains(&exhibit["instance"]), "{exhibit:#}");
    }
    lab::assert_nothing_is_left(lab.folder());
}

/// Acked operations of the ledger that the database does not have, counted without mxctl: write-once keys whose
/// three rows are not there; hot keys whose rows are older, or whose seq the witness never saw.
async fn lost_by_hand(csv: &str, database: &std::path::Path) -> u64 {
    let mut connection = lab::database(database).await;
    let seen: Vec<(i64, i64)> = sqlx::query_as(
        "select game_character_id, new_seq from expectation_write_witness \
         group by 1, 2 having count(distinct preset_no) = 3",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let seen: std::collections::HashSet<(i64, i64)> = seen.into_iter().collect();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    let (lane, key, seq, outcome) = (column("lane"), column("key"), column("seq"), column("outcome"));
    let acked_writes = reader.records().map(|r| r.unwrap()).filter(|r| &r[outcome] == "acked" && &r[lane] != "read");
    acked_writes.filter(|r| !seen.contains(&(r[key].parse().unwrap(), r[seq].parse().unwrap()))).count() as u64
}
