//! The reader on a SQLite file that a test has filled: what it gives, and what it refuses to take for a whole.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use super::*;

const RUN: RunKey = RunKey { number: 7, seed: 1 };
const HOT_KEYS: u32 = 2;

/// As the service makes them, without what the oracle does not read.
const TABLE: &str = "create table equipment_expectation_summary (
    game_character_id integer, preset_no integer, total_expected_cost integer, black_cube_cost integer,
    red_cube_cost integer, additional_cube_cost integer, starforce_cost integer, write_seq integer,
    written_by text, unique (game_character_id, preset_no))";
const WITNESS: &str = "create table expectation_write_witness (
    id integer primary key, game_character_id integer, preset_no integer, old_seq integer, new_seq integer,
    written_by text, kind text)";

struct Lab {
    folder: tempfile::TempDir,
    service: SqliteConnection,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("expectation.db");
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut lab = Lab { folder, service: options.connect().await.unwrap() };
        lab.sql(TABLE).await;
        lab
    }

    fn reader(&self) -> Database {
        Database::new(&DatabaseSource::File(self.folder.path().join("expectation.db")), RUN, HOT_KEYS)
    }

    async fn sql(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.service).await.expect("the service's SQL");
    }

    async fn write(&mut self, key: u64, preset: impl std::fmt::Display, seq: u64) {
        let table = "equipment_expectation_summary";
        self.sql(&format!("insert into {table} values ({key}, {preset}, 5, 1, 2, 3, 4, {seq}, 'worker-1.1')")).await;
    }
}

#[tokio::test]
async fn what_answers_tells_its_version() {
    let software = Lab::new().await.reader().software().await.unwrap().expect("a version");
    assert!(software.starts_with("SQLite 3."), "{software}");
}

#[tokio::test]
async fn a_run_s_number_is_claimed_once() {
    let lab = Lab::new().await;
    assert!(lab.reader().claim().await.unwrap());
    assert!(!lab.reader().claim().await.unwrap());
}

#[tokio::test]
async fn rows_are_those_of_the_run_in_order_and_the_marker_is_seen() {
    let mut lab = Lab::new().await;
    let (first, last) = RUN.key_range();
    for (key, preset) in [(last, 1), (first, 2), (first, 1), (first - 1, 1), (last + 1, 1)] {
        lab.write(key, preset, 9).await;
    }
    let whole = Row { key: first, preset: 1, seq: 9, costs: [5, 1, 2, 3, 4], written_by: "worker-1.1" };
    let mut found = Vec::new();
    let mut sink = |row: Row<'_>| {
        assert_ne!((row.key, row.preset, row == whole), (first, 1, false));
        found.push((row.key, row.preset));
        Ok(())
    };
    let (counted, marker_seen) = lab.reader().rows(&mut sink).await.unwrap();
    assert_eq!(found, [(first, 1), (first, 2), (last, 1)]);
    assert_eq!((counted, marker_seen), (3, true));
    let count_query = lab.reader().count_query();
    let by_hand: i64 = sqlx::query_scalar(AssertSqlSafe(count_query)).fetch_one(&mut lab.service).await.unwrap();
    assert_eq!(by_hand, 1, "the hot keys have no part in it");
}

#[tokio::test]
async fn a_key_is_applied_when_its_three_rows_are_there_up_to_its_lowest_seq() {
    let mut lab = Lab::new().await;
    for (preset, seq) in [(1, 8), (2, 7), (3, 8)] {
        lab.write(RUN.key(0), preset, seq).await;
    }
    lab.write(RUN.key(1), 1, 9).await;
    assert_eq!(lab.reader().applied().await.unwrap(), Applied::from_iter([(RUN.key(0), 7)]));
}

#[tokio::test]
async fn a_newer_write_over_an_old_row_is_movement() {
    let mut lab = Lab::new().await;
    lab.write(RUN.key(0), 1, 1).await;
    let before = lab.reader().movement().await.unwrap();
    assert_eq!(lab.reader().movement().await.unwrap(), before);
    lab.sql("update equipment_expectation_summary set write_seq = 2").await;
    assert_ne!(lab.reader().movement().await.unwrap(), before);
}

#[tokio::test]
async fn what_is_no_row_is_an_error_that_names_it() {
    let key = RUN.key(0);
    for preset in ["0", "300"] {
        let mut lab = Lab::new().await;
        lab.write(key, preset, 1).await;
        let said = lab.reader().rows(&mut |_| Ok(())).await.unwrap_err().to_string();
        assert!(said.contains(&format!("row {key}/{preset} has preset_no {preset}")), "{said}");
    }
}

/// It is there, and says what nobody wrote: corrupt, not unreadable.
#[tokio::test]
async fn an_amount_that_is_none_is_a_content_that_nobody_wrote() {
    for cost in ["'a lot'", "1.5", "null"] {
        let mut lab = Lab::new().await;
        lab.write(RUN.key(0), 1, 1).await;
        lab.sql(&format!("update equipment_expectation_summary set total_expected_cost = {cost}")).await;
        let mut found = Vec::new();
        let mut sink = |row: Row<'_>| {
            found.push(row.costs[0]);
            Ok(())
        };
        lab.reader().rows(&mut sink).await.unwrap();
        assert_eq!(found, [i64::MIN], "{cost}");
    }
}

#[tokio::test]
async fn a_witness_that_was_never_kept_is_not_an_empty_one() {
    let mut lab = Lab::new().await;
    let mut nobody = |seen: Sighting<'_>| panic!("{seen:?}");
    assert!(!lab.reader().witness(&mut nobody).await.unwrap());
    lab.sql(WITNESS).await;
    assert!(lab.reader().witness(&mut nobody).await.unwrap());
    let key = RUN.key(0);
    lab.sql(&format!("insert into expectation_write_witness values (1, {key}, 2, null, 3, 'w', 'dropped')")).await;
    let kind = crate::readback::SightingKind::Dropped;
    let logged = Sighting { order: 1, key, preset: 2, old_seq: None, new_seq: 3, written_by: "w", kind };
    let mut count = 0;
    let mut sink = |seen: Sighting<'_>| {
        count += u32::from(seen == logged);
        Ok(())
    };
    lab.reader().witness(&mut sink).await.unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn no_row_falls_between_two_packs() {
    let mut lab = Lab::new().await;
    let (first, rows) = (RUN.key(0), 2 * u64::from(super::super::dialect::PACK) + 5);
    lab.sql(&format!(
        "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < {rows}) \
         insert into equipment_expectation_summary select {first} + i / 3, 1 + i % 3, 5, 1, 2, 3, 4, i, 'a\nb' from n"
    ))
    .await;
    let mut expected = 0;
    let mut sink = |row: Row<'_>| {
        let place = (first + expected / 3, 1 + (expected % 3) as u8, expected, "a\nb");
        assert_eq!((row.key, row.preset, row.seq, row.written_by), place);
        expected += 1;
        Ok(())
    };
    assert_eq!(lab.reader().rows(&mut sink).await.unwrap(), (rows, true));
    assert_eq!(expected, rows);
}

#[tokio::test]
async fn what_cannot_be_written_down_ends_the_reading() {
    let mut lab = Lab::new().await;
    lab.write(RUN.key(0), 1, 1).await;
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let error = lab.reader().rows(&mut |_| Err(full())).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Sink(_)), "{error}");
}

#[tokio::test]
async fn before_the_service_made_its_table_there_are_no_rows() {
    let mut lab = Lab::new().await;
    lab.write(RUN.key(0), 1, 1).await;
    assert_eq!(lab.reader().rows_in_range().await.unwrap(), 1);
    lab.sql("drop table equipment_expectation_summary").await;
    assert_eq!(lab.reader().rows_in_range().await.unwrap(), 0);
    let nowhere = Database::new(&DatabaseSource::File(lab.folder.path().join("none.db")), RUN, HOT_KEYS);
    assert_eq!(nowhere.rows_in_range().await.unwrap(), 0);
    assert!(matches!(nowhere.movement().await, Err(DatabaseError::Open { .. })), "only here is nothing an answer");
}
