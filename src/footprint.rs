//! What a run takes on the disk, worked out before it starts: a disk that fills up under a run ruins its evidence.
//!
//! In: a plan. Out: bytes, rounded up: the ledger, which is exact, and an estimate of all else.
//!
//! # Where the figures come from
//! A run of 14,000 operations on V5 with SQLite and a witness (10,900 write-once, 2,100 hot-key, 280 poison; 39,900
//! tasks) left, in bytes: 42.6 M of append-only file (1,070 a task), 5.7 M of database (110 a row, 55 a sighting),
//! and for each poison operation 1,400 in `final.json` and 2,700 in the workers' logs. The constants are those, rounded
//! up. `rows.table` takes 64 a row, `witness.table` 40 a sighting, and as much again while it is sorted.

use crate::load::ledger;
use crate::load::pacer::Timetable;
use crate::plan::{Database, Plan};

/// Configurations, logs, reports.
const BASE: u64 = 1 << 20;
/// Depths, the series, log lines.
const PER_SECOND: u64 = 4_000;
/// In the database, and as much again in its write-ahead log until that is checkpointed; in `rows.table`.
const PER_ROW: u64 = 2 * 120 + 64;
/// The same of what the witness logs of a task.
const PER_SIGHTING: u64 = 2 * 60 + 2 * 40;
/// A task in Redis's append-only file: pushed, leased, acknowledged.
const PER_TASK_IN_AOF: u64 = 1_100;
/// Redis rewrites a file that has doubled and is beyond 64 MiB to what is in it, the old one beside the new.
const AOF_MOST: u64 = 160 << 20;
/// Dead letters read back, and a line in a log for each attempt.
const PER_POISON: u64 = 4_500;

/// One operation writes its three presets.
const TASKS: u64 = 3;

pub fn disk_bytes(plan: &Plan) -> u64 {
    let (load, operations) = (&plan.load, Timetable::of(&plan.load).total());
    let of = |permille: u16| (operations * u64::from(permille)).div_ceil(1000);
    let (once, hot, poison) = (of(load.mix.write_once), of(load.mix.hot_key), of(load.mix.poison));
    let rows = TASKS * (once + hot.min(load.hot_keys.into()));
    let sightings = if plan.target.witness { TASKS * (once + hot) } else { 0 };
    let aof = if plan.target.strategy.shared() { TASKS * (once + hot + poison) * PER_TASK_IN_AOF } else { 0 };
    BASE + ledger::disk_bytes(operations, load.shards)
        + load.duration().as_secs() * PER_SECOND
        + rows * PER_ROW
        + sightings * PER_SIGHTING
        + aof.min(AOF_MOST)
        + poison * PER_POISON
        + of_server(plan.target.database)
}

/// What a database takes before its first row.
fn of_server(database: Database) -> u64 {
    match database {
        Database::Sqlite => 0,
        Database::Postgres => 80 << 20,
        Database::MariaDb => 180 << 20,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::Given;
    use crate::scenario::{Overrides, Scenario, Source};

    fn bytes(yaml: &str) -> u64 {
        let source = Arc::new(Source { name: "test.yml".into(), text: yaml.into() });
        let given = Given { run_number: 7, seed: 1 };
        disk_bytes(&Plan::resolve(Scenario::read(&source), Overrides::default(), given).unwrap())
    }

    /// The run of the figures above: 56.4 M bytes were in its folder when it had ended, and its ledger had been 4.2 M
    /// before it was cut to its length.
    #[test]
    fn the_run_that_was_measured_fits_without_much_to_spare() {
        let estimate = bytes(
            "target: { strategy: redis, instances: 2, workers: 2, witness: true }
load: { shape: [ { ramp: { from: 0, to: 400, over: 10s } }, { hold: { rps: 400, for: 30s } } ],
        mix: { write-once: 78%, hot-key: 15%, read: 5%, poison: 2% } }",
        );
        assert!((60_000_000..90_000_000).contains(&estimate), "{estimate}");
    }

    #[test]
    fn a_longer_load_takes_more_and_reads_take_next_to_nothing() {
        let [short, long, reads] =
            ["load: { duration: 30s }", "load: { duration: 60s }", "load: { duration: 60s, mix: { read: 100% } }"]
                .map(bytes);
        assert!(short < long && reads < short, "{short} {long} {reads}");
    }

    #[test]
    fn the_append_only_file_of_a_long_load_stays_bounded() {
        let of = |strategy: &str, hours: u32| {
            bytes(&format!("target: {{ strategy: {strategy} }}\nload: {{ duration: {hours}h, rps: 100 }}"))
        };
        assert_eq!(of("redis", 1) - of("in-memory", 1), of("redis", 9) - of("in-memory", 9));
    }
}
