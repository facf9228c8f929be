//! The database as the oracle reads it: with its own connection, its own queries and its own types.
//!
//! # Why two connections
//! Reads go through a read-only one. The marker is committed through another: a reader that cannot see it looks at
//! a copy that lags, and nothing that it reads proves that a row is missing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row as _, SqliteConnection};

use super::{Row, RowSet, Sighting, SightingKind};
use crate::plan::RunKey;

const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("open the database {path}: {source}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("{what} in the database: {source}")]
    Query { what: &'static str, source: sqlx::Error },
    #[error("read the rows: row {key}/{preset} has {what}")]
    Nonsense { key: i64, preset: i64, what: String },
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

    /// (key, lowest seq of its three presets) of every key whose three rows are there, ascending.
    pub async fn applied(&self) -> Result<Vec<(u64, u64)>, DatabaseError> {
        let mut db = self.reader().await?;
        let query = "select game_character_id, min(write_seq) from equipment_expectation_summary \
                     where game_character_id between ? and ? group by game_character_id having count(*) = 3 \
                     order by game_character_id";
        let keys: Vec<(i64, i64)> = sqlx::query_as(query)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_all(&mut db)
            .await
            .map_err(|source| DatabaseError::Query { what: "read a checkpoint", source })?;
        Ok(keys.into_iter().map(|(key, seq)| (key as u64, seq as u64)).collect())
    }

    /// Commits a marker on the primary, then reads every row of the range and looks for the marker, in one
    /// read transaction.
    pub async fn rows(&self) -> Result<RowSet, DatabaseError> {
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
        let found = sqlx::query(select)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_all(&mut *snapshot)
            .await
            .map_err(query("read the rows"))?;
        let rows = found.iter().map(row).collect::<Result<_, _>>()?;
        Ok(RowSet { rows, counted, marker_seen, count_query: self.count_query() })
    }

    /// The witness's log, in order; `None` where the database has none.
    pub async fn witness(&self) -> Result<Option<Vec<Sighting>>, DatabaseError> {
        let mut db = self.reader().await?;
        let query = |what| move |source| DatabaseError::Query { what, source };
        let table = "select count(*) from sqlite_master where type = 'table' and name = 'expectation_write_witness'";
        if sqlx::query_scalar::<_, i64>(table).fetch_one(&mut db).await.map_err(query("look for the witness"))? == 0 {
            return Ok(None);
        }
        let select = "select id, game_character_id, preset_no, old_seq, new_seq, written_by, kind \
                      from expectation_write_witness where game_character_id between ? and ? order by id";
        let found = sqlx::query(select)
            .bind(self.range.0)
            .bind(self.range.1)
            .fetch_all(&mut db)
            .await
            .map_err(query("read the witness"))?;
        found.iter().map(sighting).collect::<Result<_, _>>().map(Some).map_err(query("read the witness"))
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

fn row(found: &SqliteRow) -> Result<Row, DatabaseError> {
    let integer = |column: usize| -> Result<i64, sqlx::Error> { found.try_get(column) };
    let (key, preset) = (integer(0).unwrap_or_default(), integer(1).unwrap_or_default());
    let nonsense = |what: String| DatabaseError::Nonsense { key, preset, what };
    let read = || -> Result<Row, sqlx::Error> {
        let mut costs = [0; 5];
        for (column, cost) in costs.iter_mut().enumerate() {
            *cost = integer(3 + column)?;
        }
        let written_by: Option<String> = found.try_get(8)?;
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

fn sighting(found: &SqliteRow) -> Result<Sighting, sqlx::Error> {
    let number = |column: usize| -> Result<u64, sqlx::Error> { found.try_get::<i64, _>(column).map(|n| n as u64) };
    Ok(Sighting {
        order: number(0)?,
        key: number(1)?,
        preset: number(2)? as u8,
        old_seq: found.try_get::<Option<i64>, _>(3)?.map(|n| n as u64),
        new_seq: number(4)?,
        written_by: found.try_get::<Option<String>, _>(5)?.unwrap_or_default(),
        kind: match found.try_get::<String, _>(6)?.as_str() {
            "dropped" => SightingKind::Dropped,
            _ => SightingKind::Attempted,
        },
    })
}
