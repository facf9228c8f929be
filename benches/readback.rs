//! How long reading a state back takes: `cargo bench --bench readback [-- OPERATIONS]`, 900,000 by default, which are
//! ten minutes at 1,500 a second.
//!
//! In: a SQLite database with the rows and the witness that a service leaves of so many operations. Out: the seconds
//! until both stand in a run's folder, and this process's peak memory; beside them its peer: the database's own
//! `count(*)` and `sum` over the same tables.

use std::path::Path;
use std::time::{Duration, Instant};

use mxctl::archive::Archive;
use mxctl::backends::DatabaseSource;
use mxctl::plan::RunKey;
use mxctl::readback;
use mxctl::readback::database::Database;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

const OPERATIONS: u64 = 900_000;
const TRIED: u64 = 20_000;
const RUN: RunKey = RunKey { number: 17, seed: 1 };
const HOT_KEYS: u32 = 64;

/// Each write-once operation leaves three rows and three sightings, in the order of time.
const FILL: &str = "
create table equipment_expectation_summary (id integer primary key, game_character_id integer, preset_no integer,
    total_expected_cost integer, black_cube_cost integer, red_cube_cost integer, additional_cube_cost integer,
    starforce_cost integer, calculated_at text, version integer, write_seq integer, written_by text,
    unique (game_character_id, preset_no));
create table expectation_write_witness (id integer primary key autoincrement, game_character_id integer,
    preset_no integer, old_seq integer, new_seq integer, written_by text, kind text);
create temp table written as with recursive n(i) as (select FIRST union all select i + 1 from n where i < LAST)
    select i as k, p.column1 as p from n, (values (1), (2), (3)) as p;
insert into equipment_expectation_summary select null, k, p, 7466559315221546, 2035019729132622, 9016295504819473,
    4136494866887129, 169960238482270, '2026-11-24 00:12:03.123', 1, 1, 'worker-' || (1 + k % 2) || '.1' from written;
insert into expectation_write_witness select null, k, p, null, 1, 'worker-' || (1 + k % 2) || '.1', 'attempted'
    from written;
";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let benched = arguments.iter().any(|argument| argument == "--bench");
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let operations: u64 = asked.unwrap_or(if benched { OPERATIONS } else { TRIED });
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("expectation.db");
    let peer = fill(&path, operations).await;

    let archive = Archive::create(folder.path(), "readback", RUN.number, jiff::Timestamp::now()).expect("a folder");
    // The peak so far is that of filling.
    std::fs::write("/proc/self/clear_refs", "5").expect("one's own peak can be reset");
    let began = Instant::now();
    let (rows, witness) = readback::tables(&Database::new(&DatabaseSource::File(path), RUN, HOT_KEYS), &archive).await;
    let took = began.elapsed();
    let (rows, witness) = (rows.read().expect("rows").rows.len(), witness.read().expect("a witness").sightings.len());
    assert_eq!((rows, witness), (3 * operations, 3 * operations));
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel counts");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("not known", str::trim);
    println!(
        "{operations} operations: {rows} rows and {witness} sightings read back in {:.2} s, {:.1} × the database's own sum \
         of {:.2} s; peak {peak}",
        took.as_secs_f64(),
        took.as_secs_f64() / peer.as_secs_f64(),
        peer.as_secs_f64(),
    );
}

/// Fills the database; how long it takes to sum it up.
async fn fill(path: &Path, operations: u64) -> Duration {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Off);
    let mut db = options.connect().await.expect("a database");
    let (first, last) = (RUN.key(HOT_KEYS), RUN.key(HOT_KEYS) + operations - 1);
    let fill = FILL.replace("FIRST", &first.to_string()).replace("LAST", &last.to_string());
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut db).await.expect("rows and sightings");
    sum(&mut db).await
}

async fn sum(db: &mut SqliteConnection) -> Duration {
    let began = Instant::now();
    for table in ["equipment_expectation_summary", "expectation_write_witness"] {
        let query = format!("select count(*) + coalesce(sum(length(written_by)), 0) from {table}");
        let _: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut *db).await.expect("a sum");
    }
    began.elapsed()
}
