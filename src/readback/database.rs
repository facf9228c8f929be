//! The database as the oracle reads it: with its own connection, its own queries and its own types.
//!
//! # Why two connections
//! Reads go through a read-only one. The marker is committed through another: a reader that cannot see it looks at
//! a copy that lags, and nothing that it reads proves that a row is missing.
//!
//! # Why SQLite packs what it gives
//! A run of ten minutes leaves millions of rows and sightings. Row by row, each value is copied on SQLite's thread and
//! freed on ours, and the two wait for each other most of the time. A pack is one value: a JSON array a line, in which
//! a number, a text and a null stay apart. Nothing here holds more than one pack, and the sinks take line by line.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{Applied, Row, Sighting, SightingKind};
use crate::plan::RunKey;

const BUSY: Duration = Duration::from_secs(5);
/// Lines in a pack.
const PACK: i64 = 4096;

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
    #[error("read the witness: {line} is no sighting: {source}")]
    NoSighting { line: String, source: serde_json::Error },
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

    /// A reader of every run's keys.
    pub fn of_every_run(path: &Path) -> Self {
        Database { path: path.to_owned(), range: (0, i64::MAX), first_write_once: 0 }
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
        let query = "select group_concat(line, char(10)) from (\
                     select json_array(game_character_id, min(write_seq)) as line \
                     from equipment_expectation_summary where game_character_id between ? and ? \
                     group by game_character_id having count(*) = 3 order by game_character_id limit ?)";
        let mut applied = Applied::default();
        let mut next = self.range.0;
        while let Some(pack) = pack(&mut db, query, "read a checkpoint", &[next, self.range.1]).await? {
            for line in pack.lines() {
                let (key, seq): (i64, i64) = serde_json::from_str(line).map_err(|e| nonsense(line, &e))?;
                applied.push(key as u64, seq as u64);
                next = key + 1;
            }
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
        let select = "select group_concat(line, char(10)) from (\
                      select json_array(game_character_id, preset_no, write_seq, total_expected_cost, \
                      black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost, written_by) as line \
                      from equipment_expectation_summary \
                      where (game_character_id, preset_no) > (?, ?) and game_character_id <= ? \
                      order by game_character_id, preset_no limit ?)";
        let mut last = (self.range.0 - 1, i64::MAX);
        while let Some(pack) = pack(&mut snapshot, select, "read the rows", &[last.0, last.1, self.range.1]).await? {
            for line in pack.lines() {
                let found: RowLine = serde_json::from_str(line).map_err(|e| nonsense(line, &e))?;
                sink(found.row()?)?;
                last = (found.0, found.1);
            }
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
        let select = "select group_concat(line, char(10)) from (\
                      select json_array(id, game_character_id, preset_no, old_seq, new_seq, written_by, kind) as line \
                      from expectation_write_witness \
                      where id > ? and game_character_id between ? and ? order by id limit ?)";
        let mut last = i64::MIN;
        while let Some(pack) = pack(&mut db, select, "read the witness", &[last, self.range.0, self.range.1]).await? {
            for line in pack.lines() {
                let found: SightingLine = serde_json::from_str(line)
                    .map_err(|source| DatabaseError::NoSighting { line: line.to_owned(), source })?;
                sink(found.sighting())?;
                last = found.0;
            }
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
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|source| DatabaseError::Open { path: self.path.clone(), source })
    }
}

/// The next lines that a query gives, at most [`PACK`]; `None`: there are no more.
async fn pack(
    db: &mut SqliteConnection,
    query: &'static str,
    what: &'static str,
    binds: &[i64],
) -> Result<Option<String>, DatabaseError> {
    let bound = binds.iter().fold(sqlx::query_scalar(query), |query, value| query.bind(*value));
    bound.bind(PACK).fetch_one(db).await.map_err(|source| DatabaseError::Query { what, source })
}

/// key, preset, seq, the five costs, written by.
#[derive(Deserialize)]
struct RowLine(i64, i64, i64, i64, i64, i64, i64, i64, Option<String>);

impl RowLine {
    fn row(&self) -> Result<Row<'_>, DatabaseError> {
        let RowLine(key, preset, seq, total, black, red, additional, starforce, written_by) = self;
        let preset_no = u8::try_from(*preset).ok().filter(|preset| *preset > 0).ok_or_else(|| {
            DatabaseError::Nonsense { key: *key, preset: *preset, what: format!("preset_no {preset}") }
        })?;
        Ok(Row {
            key: *key as u64,
            preset: preset_no,
            seq: *seq as u64,
            costs: [*total, *black, *red, *additional, *starforce],
            written_by: written_by.as_deref().unwrap_or_default(),
        })
    }
}

/// What is in the database and is no row.
fn nonsense(line: &str, error: &serde_json::Error) -> DatabaseError {
    let values: Vec<serde_json::Value> = serde_json::from_str(line).unwrap_or_default();
    let integer = |at: usize| values.get(at).and_then(serde_json::Value::as_i64).unwrap_or_default();
    DatabaseError::Nonsense { key: integer(0), preset: integer(1), what: error.to_string() }
}

/// order, key, preset, old seq, new seq, written by, kind.
#[derive(Deserialize)]
struct SightingLine(i64, i64, i64, Option<i64>, i64, Option<String>, String);

impl SightingLine {
    fn sighting(&self) -> Sighting<'_> {
        let SightingLine(order, key, preset, old_seq, new_seq, written_by, kind) = self;
        Sighting {
            order: *order as u64,
            key: *key as u64,
            preset: *preset as u8,
            old_seq: old_seq.map(|seq| seq as u64),
            new_seq: *new_seq as u64,
            written_by: written_by.as_deref().unwrap_or_default(),
            kind: match kind.as_str() {
                "dropped" => SightingKind::Dropped,
                _ => SightingKind::Attempted,
            },
        }
    }
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
        for (preset, cost, what) in [
            ("0", "5", "preset_no 0"),
            ("300", "5", "preset_no 300"),
            ("1", "'a lot'", "invalid type: string"),
            ("1", "1.5", "invalid type: floating"),
            ("1", "null", "invalid type: null"),
        ] {
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
    async fn no_row_falls_between_two_packs() {
        let mut lab = Lab::new().await;
        let (first, rows) = (RUN.key(0), 2 * PACK as u64 + 5);
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
        let nowhere = Database::new(&lab.folder.path().join("none.db"), RUN, HOT_KEYS);
        assert_eq!(nowhere.rows_in_range().await.unwrap(), 0);
        assert!(matches!(nowhere.movement().await, Err(DatabaseError::Open { .. })), "only here is nothing an answer");
    }
}
