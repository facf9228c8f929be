//! The database as the oracle reads it: with its own connection, its own queries and its own types.
//!
//! # Why two connections
//! Reads go through a read-only one. The marker is committed through another: a reader that cannot see it looks at
//! a copy that lags, and nothing that it reads proves that a row is missing.
//!
//! # Why rows and sightings are handed on one by one
//! A run of ten minutes leaves millions of them. Nothing here holds more than the one that it hands on.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection};

use super::{Applied, Row, Sighting, SightingKind};
use crate::plan::RunKey;

const BUSY: Duration = Duration::from_secs(5);
/// Rows that wait between SQLite's thread and us: at its default of 50 the two wake each other all the time.
const ROWS_WAITING: usize = 2048;

/// Takes a row. An error of its own ends the reading.
pub type RowSink<'s> = dyn FnMut(Row<'_>) -> io::Result<()> + Send + 's;
/// Takes a sighting, as [`RowSink`] a row.
pub type SightingSink<'s> = dyn FnMut(Sighting<'_>) -> io::Result<()> + Send + 's;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("open the database {path}: {source}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("{what} in the database: {source}")]
    Query { what: &'static str, source: sqlx::Error },
    #[error("read the rows: row {key}/{preset} has {what}")]
    Nonsense { key: i64, preset: i64, what: String },
    #[error("write down what was read: {0}")]
    Sink(#[from] io::Error),
}

/// A reader of one run's key range.
pub struct Database {
    path: PathBuf,
    /// First and last key, inclusive. A run number of at most 2^31 − 1 keeps both in `i64`.
    range: (i64, i64),
    first_write_once: i64,
}

impl Database {
    pub fn new(path: &Path, run: RunKey, hot_keys: u32) -> Self {
        let (first, last) = run.key_range();
        Database {
            path: path.to_owned(),
            range: (first as i64, last as i64),
            first_write_once: run.key(hot_keys) as i64,
        }
    }

    /// The query that a person can run by hand: rows of the write-once keys.
    pub fn count_query(&self) -> String {
        format!(
            "select count(*) from equipment_expectation_summary where game_character_id between {} and {}",
            self.first_write_once, self.range.1
        )
    }

    /// How many rows the key range holds; also 0 where the table does not exist yet.
    pub async fn rows_in_range(&self) -> Result<u64, DatabaseError> {
        if !self.path.exists() {
            return Ok(0);
        }
        let mut db = self.reader().await?;
        let query = "select count(*) from equipment_expectation_summary where game_character_id between ? and ?";
        let counted =
            sqlx::query_scalar::<_, i64>(query).bind(self.range.0).bind(self.range.1).fetch_one(&mut db).await;
        match counted {
            Ok(count) => Ok(count as u64),
            Err(e) if e.to_string().contains("no such table") => Ok(0),
            Err(source) => Err(DatabaseError::Query { what: "count the rows", source }),
        }
    }

    /// A figure that changes whenever a row of the run does: (rows, sum of their seqs).
    pub async fn movement(&self) -> Result<(i64, i64), DatabaseError> {
        let mut db = self.reader().await?;
        let query = "select count(*), coalesce(sum(write_seq), 0) from equipment_expectation_summary \
                     where game_character_id between ? and ?";
        sqlx::query_as(query)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_one(&mut db)
            .await
            .map_err(|source| DatabaseError::Query { what: "look for movement", source })
    }

    /// Every key whose three rows are there.
    pub async fn applied(&self) -> Result<Applied, DatabaseError> {
        let mut db = self.reader().await?;
        let query = "select game_character_id, min(write_seq) from equipment_expectation_summary \
                     where game_character_id between ? and ? group by game_character_id having count(*) = 3 \
                     order by game_character_id";
        let failed = |source| DatabaseError::Query { what: "read a checkpoint", source };
        let mut keys = sqlx::query_as(query).bind(self.range.0).bind(self.range.1).fetch(&mut db);
        let mut applied = Applied::default();
        while let Some((key, seq)) = keys.try_next().await.map_err(failed)? {
            let (key, seq): (i64, i64) = (key, seq);
            applied.push(key as u64, seq as u64);
        }
        Ok(applied)
    }

    /// Commits a marker on the primary, then reads every row of the range, ascending by key and preset, and looks for
    /// the marker, in one read transaction: what `count(*)` says there, and whether the marker is visible.
    pub async fn rows(&self, sink: &mut RowSink<'_>) -> Result<(u64, bool), DatabaseError> {
        let marker = self.commit_marker().await?;
        let mut db = self.reader().await?;
        let query = |what| move |source| DatabaseError::Query { what, source };
        let mut snapshot = db.begin().await.map_err(query("begin to read"))?;
        let marker_seen = sqlx::query_scalar::<_, i64>("select count(*) from mxctl_marker where marker = ?")
            .bind(marker)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(query("look for the marker"))?
            == 1;
        let count = "select count(*) from equipment_expectation_summary where game_character_id between ? and ?";
        let counted = sqlx::query_scalar::<_, i64>(count)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(query("count the rows"))? as u64;
        let select = "select game_character_id, preset_no, write_seq, total_expected_cost, black_cube_cost, \
                      red_cube_cost, additional_cube_cost, starforce_cost, written_by \
                      from equipment_expectation_summary where game_character_id between ? and ? \
                      order by game_character_id, preset_no";
        let mut found = sqlx::query(select).bind(self.range.0).bind(self.range.1).fetch(&mut *snapshot);
        while let Some(next) = found.try_next().await.map_err(query("read the rows"))? {
            sink(row(&next)?)?;
        }
        Ok((counted, marker_seen))
    }

    /// Reads the witness's log, in any order; false where the database has none.
    pub async fn witness(&self, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        let mut db = self.reader().await?;
        let query = |what| move |source| DatabaseError::Query { what, source };
        let table = "select count(*) from sqlite_master where type = 'table' and name = 'expectation_write_witness'";
        if sqlx::query_scalar::<_, i64>(table).fetch_one(&mut db).await.map_err(query("look for the witness"))? == 0 {
            return Ok(false);
        }
        let select = "select id, game_character_id, preset_no, old_seq, new_seq, written_by, kind \
                      from expectation_write_witness where game_character_id between ? and ? order by id";
        let mut found = sqlx::query(select).bind(self.range.0).bind(self.range.1).fetch(&mut db);
        while let Some(next) = found.try_next().await.map_err(query("read the witness"))? {
            sink(sighting(&next).map_err(query("read the witness"))?)?;
        }
        Ok(true)
    }

    async fn commit_marker(&self) -> Result<i64, DatabaseError> {
        let query = |source| DatabaseError::Query { what: "commit the marker", source };
        let mut db = self.open(false).await?;
        let table = "create table if not exists mxctl_marker (marker integer primary key autoincrement, run integer)";
        sqlx::query(table).execute(&mut db).await.map_err(query)?;
        let insert = "insert into mxctl_marker (run) values (?) returning marker";
        sqlx::query_scalar(insert).bind(self.range.0 >> 32).fetch_one(&mut db).await.map_err(query)
    }

    async fn reader(&self) -> Result<SqliteConnection, DatabaseError> {
        self.open(true).await
    }

    async fn open(&self, read_only: bool) -> Result<SqliteConnection, DatabaseError> {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(read_only)
            .busy_timeout(BUSY)
            .row_buffer_size(ROWS_WAITING)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|source| DatabaseError::Open { path: self.path.clone(), source })
    }
}

fn row(found: &SqliteRow) -> Result<Row<'_>, DatabaseError> {
    let integer = |column: usize| -> Result<i64, sqlx::Error> { found.try_get(column) };
    let (key, preset) = (integer(0).unwrap_or_default(), integer(1).unwrap_or_default());
    let nonsense = |what: String| DatabaseError::Nonsense { key, preset, what };
    let read = || -> Result<Row<'_>, sqlx::Error> {
        let mut costs = [0; 5];
        for (column, cost) in costs.iter_mut().enumerate() {
            *cost = integer(3 + column)?;
        }
        let written_by: Option<&str> = found.try_get(8)?;
        Ok(Row {
            key: key as u64,
            preset: preset as u8,
            seq: integer(2)? as u64,
            costs,
            written_by: written_by.unwrap_or_default(),
        })
    };
    if !(1..=i64::from(u8::MAX)).contains(&preset) {
        return Err(nonsense(format!("preset_no {preset}")));
    }
    read().map_err(|e| nonsense(e.to_string()))
}

fn sighting(found: &SqliteRow) -> Result<Sighting<'_>, sqlx::Error> {
    let number = |column: usize| -> Result<u64, sqlx::Error> { found.try_get::<i64, _>(column).map(|n| n as u64) };
    Ok(Sighting {
        order: number(0)?,
        key: number(1)?,
        preset: number(2)? as u8,
        old_seq: found.try_get::<Option<i64>, _>(3)?.map(|n| n as u64),
        new_seq: number(4)?,
        written_by: found.try_get::<Option<&str>, _>(5)?.unwrap_or_default(),
        kind: match found.try_get::<&str, _>(6)? {
            "dropped" => SightingKind::Dropped,
            _ => SightingKind::Attempted,
        },
    })
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

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
            Database::new(&self.folder.path().join("expectation.db"), RUN, HOT_KEYS)
        }

        async fn sql(&mut self, sql: &str) {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.service).await.expect("the service's SQL");
        }

        async fn write(&mut self, key: u64, preset: impl std::fmt::Display, seq: u64) {
            let table = "equipment_expectation_summary";
            self.sql(&format!("insert into {table} values ({key}, {preset}, 5, 1, 2, 3, 4, {seq}, 'worker-1.1')"))
                .await;
        }
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
        for (preset, cost, what) in
            [("0", "5", "preset_no 0"), ("300", "5", "preset_no 300"), ("1", "'a lot'", "mismatched")]
        {
            let mut lab = Lab::new().await;
            lab.write(key, preset, 1).await;
            lab.sql(&format!("update equipment_expectation_summary set total_expected_cost = {cost}")).await;
            let said = lab.reader().rows(&mut |_| Ok(())).await.unwrap_err().to_string();
            assert!(said.contains(&format!("row {key}/{preset} has ")) && said.contains(what), "{said}");
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
        let kind = SightingKind::Dropped;
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
        let nowhere = Database::new(&lab.folder.path().join("none.db"), RUN, HOT_KEYS);
        assert_eq!(nowhere.rows_in_range().await.unwrap(), 0);
        assert!(matches!(nowhere.movement().await, Err(DatabaseError::Open { .. })), "only here is nothing an answer");
    }
}
