//! SQLite: a file in WAL mode, one connection that writes, a few that read.
//!
//! # Why `BEGIN IMMEDIATE`
//! A transaction that starts as a reader and then writes can find the lock taken and may not wait for it: it fails at
//! once, whatever the busy time-out. One that asks for the lock first, waits.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, SqliteConnection};
use tokio::time::Instant;

use super::batch::{Batch, in_powers_of_two};
use super::{Applied, Signature, StoreError, StoredPreset};
use crate::config::{DatabaseConfig, DatabaseKind};
use crate::task::{Costs, ExpectationWriteTask, Money};

/// The API lets a negative amount pass (it is a decimal), and the table refuses it: that is what a poison task looks
/// like, one that no retry can help.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS equipment_expectation_summary (
    id                   INTEGER PRIMARY KEY,
    game_character_id    INTEGER NOT NULL,
    preset_no            INTEGER NOT NULL CHECK (preset_no BETWEEN 1 AND 3),
    total_expected_cost  INTEGER NOT NULL CHECK (total_expected_cost >= 0),
    black_cube_cost      INTEGER NOT NULL CHECK (black_cube_cost >= 0),
    red_cube_cost        INTEGER NOT NULL CHECK (red_cube_cost >= 0),
    additional_cube_cost INTEGER NOT NULL CHECK (additional_cube_cost >= 0),
    starforce_cost       INTEGER NOT NULL CHECK (starforce_cost >= 0),
    calculated_at        TEXT    NOT NULL,
    version              INTEGER NOT NULL,
    write_seq            INTEGER NOT NULL,
    written_by           TEXT    NOT NULL,
    UNIQUE (game_character_id, preset_no)
);";

/// BEFORE INSERT fires for every upsert, also for one that then loses the version test.
const WITNESS_SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS expectation_write_witness (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    game_character_id INTEGER NOT NULL,
    preset_no         INTEGER NOT NULL,
    old_seq           INTEGER,
    new_seq           INTEGER NOT NULL,
    written_by        TEXT    NOT NULL,
    kind              TEXT    NOT NULL CHECK (kind IN ('attempted', 'dropped'))
);
CREATE TRIGGER IF NOT EXISTS expectation_write_attempted BEFORE INSERT ON equipment_expectation_summary
BEGIN
    INSERT INTO expectation_write_witness (game_character_id, preset_no, old_seq, new_seq, written_by, kind)
    VALUES (NEW.game_character_id, NEW.preset_no,
            (SELECT write_seq FROM equipment_expectation_summary
              WHERE game_character_id = NEW.game_character_id AND preset_no = NEW.preset_no),
            NEW.write_seq, NEW.written_by, 'attempted');
END;";

const UPSERT_HEAD: &str = "INSERT INTO equipment_expectation_summary
    (game_character_id, preset_no, total_expected_cost, black_cube_cost, red_cube_cost, additional_cube_cost,
     starforce_cost, calculated_at, version, write_seq, written_by) ";

const UPSERT_TAIL: &str = " ON CONFLICT (game_character_id, preset_no) DO UPDATE SET
    total_expected_cost = excluded.total_expected_cost, black_cube_cost = excluded.black_cube_cost,
    red_cube_cost = excluded.red_cube_cost, additional_cube_cost = excluded.additional_cube_cost,
    starforce_cost = excluded.starforce_cost, calculated_at = excluded.calculated_at, version = version + 1,
    write_seq = excluded.write_seq, written_by = excluded.written_by
    WHERE excluded.write_seq > write_seq";

const DROPPED_HEAD: &str =
    "INSERT INTO expectation_write_witness (game_character_id, preset_no, new_seq, written_by, kind) ";

const READ: &str = "SELECT preset_no, write_seq, total_expected_cost, black_cube_cost, red_cube_cost,
    additional_cube_cost, starforce_cost
    FROM equipment_expectation_summary WHERE game_character_id = ? ORDER BY preset_no";

/// Nine parameters a row: far below SQLite's 32,766.
const LONGEST_STATEMENT: usize = 256;
const READERS: u32 = 4;
const OPEN_RETRY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    signature: Signature,
}

impl Sqlite {
    pub async fn open(config: &DatabaseConfig, signature: Signature) -> Result<Self, StoreError> {
        let DatabaseKind::Sqlite { file } = &config.url.kind;
        let writer = pool(1, config.busy_timeout).connect_lazy_with(writing(file, config.busy_timeout));
        let readers = pool(READERS, config.busy_timeout).connect_lazy_with(reading(file, config.busy_timeout));
        let store = Sqlite { writer, readers, signature };
        store.create_schema_within(config.busy_timeout).await?;
        Ok(store)
    }

    /// Several instances may open a new file at once, and the change to WAL mode does not wait for its lock.
    async fn create_schema_within(&self, limit: Duration) -> Result<(), StoreError> {
        let deadline = Instant::now() + limit;
        loop {
            match self.create_schema().await {
                Err(error) if is_locked(&error) && Instant::now() < deadline => tokio::time::sleep(OPEN_RETRY).await,
                ended => return ended.map_err(classify),
            }
        }
    }

    async fn create_schema(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        if self.signature.witness {
            sqlx::raw_sql(WITNESS_SCHEMA).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    pub async fn apply(&self, tasks: &[&ExpectationWriteTask]) -> Result<Applied, StoreError> {
        let batch = Batch::of(tasks);
        self.write(&batch).await.map_err(classify)?;
        Ok(Applied { upserted: batch.rows.len(), dropped: batch.dropped.len() })
    }

    async fn write(&self, batch: &Batch<'_>) -> Result<(), sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for rows in in_powers_of_two(&batch.rows, LONGEST_STATEMENT) {
            self.upsert(&mut transaction, rows).await?;
        }
        if self.signature.witness {
            for tasks in in_powers_of_two(&batch.dropped, LONGEST_STATEMENT) {
                self.record_dropped(&mut transaction, tasks).await?;
            }
        }
        transaction.commit().await
    }

    async fn upsert(&self, writer: &mut SqliteConnection, rows: &[&ExpectationWriteTask]) -> Result<(), sqlx::Error> {
        let mut sql = QueryBuilder::new(UPSERT_HEAD);
        sql.push_values(rows, |mut row, task| {
            row.push_bind(task.key).push_bind(task.preset);
            for amount in amounts(&task.costs) {
                row.push_bind(amount);
            }
            row.push("strftime('%Y-%m-%d %H:%M:%f', 'now')").push("1");
            row.push_bind(task.seq as i64).push_bind(&self.signature.instance);
        });
        sql.push(UPSERT_TAIL).build().execute(writer).await.map(drop)
    }

    async fn record_dropped(
        &self,
        writer: &mut SqliteConnection,
        tasks: &[&ExpectationWriteTask],
    ) -> Result<(), sqlx::Error> {
        let mut sql = QueryBuilder::new(DROPPED_HEAD);
        sql.push_values(tasks, |mut row, task| {
            row.push_bind(task.key).push_bind(task.preset).push_bind(task.seq as i64);
            row.push_bind(&self.signature.instance).push("'dropped'");
        });
        sql.build().execute(writer).await.map(drop)
    }

    pub async fn read(&self, key: i64) -> Result<Vec<StoredPreset>, StoreError> {
        let rows = sqlx::query(READ).bind(key).fetch_all(&self.readers).await.map_err(classify)?;
        rows.iter().map(stored_preset).collect::<Result<_, _>>().map_err(classify)
    }

    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn pool(connections: u32, wait: Duration) -> SqlitePoolOptions {
    // A file needs no ping before each use.
    SqlitePoolOptions::new().max_connections(connections).acquire_timeout(wait).test_before_acquire(false)
}

fn reading(file: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).busy_timeout(busy_timeout).pragma("query_only", "ON")
}

fn writing(file: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(busy_timeout)
}

/// In the order of the columns in [`UPSERT_HEAD`] and [`READ`].
fn amounts(costs: &Costs) -> [i64; 5] {
    let Costs { total_expected_cost, black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost } = costs;
    [total_expected_cost, black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost].map(|money| money.0)
}

fn stored_preset(row: &SqliteRow) -> Result<StoredPreset, sqlx::Error> {
    let money = |column: &str| row.try_get(column).map(Money);
    let costs = Costs {
        total_expected_cost: money("total_expected_cost")?,
        black_cube_cost: money("black_cube_cost")?,
        red_cube_cost: money("red_cube_cost")?,
        additional_cube_cost: money("additional_cube_cost")?,
        starforce_cost: money("starforce_cost")?,
    };
    let seq: i64 = row.try_get("write_seq")?;
    Ok(StoredPreset { preset: row.try_get("preset_no")?, seq: seq as u64, costs })
}

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>): the low byte of the extended one.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

fn is_locked(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

/// Only what the content of the tasks can cause is their failure; anything else (locked, full, I/O, a table that is
/// gone) may pass, and must not dead-letter a good task.
fn classify(error: sqlx::Error) -> StoreError {
    match primary_code(&error) {
        Some(CONSTRAINT | MISMATCH | TOO_BIG) => StoreError::Failed(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
