//! SQLite: a file in WAL mode, one connection that writes, a few that read.
//!
//! # Why `BEGIN IMMEDIATE`
//! A transaction that starts as a reader and then writes can find the lock taken and may not wait for it: it fails at
//! once, whatever the busy time-out. One that asks for the lock first, waits.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Error, Sqlite};
use tokio::time::Instant;

use super::dialect::Dialect;
use super::tables::TablesIn;
use super::{Database, Opening, Signature};
use crate::config::DatabaseConfig;

pub(super) const DATABASE: Database = Database {
    schemes: &["sqlite"],
    example: "sqlite:///path/to/file.db",
    idle_step: None,
    check: |url| if file(url).is_empty() { Err("names no file".to_owned()) } else { Ok(()) },
    open,
};

/// Three slashes make an absolute path, two a relative one.
fn file(url: &str) -> &str {
    url.strip_prefix("sqlite://").unwrap_or_default()
}

const READERS: u32 = 4;
const OPEN_RETRY: Duration = Duration::from_millis(50);

fn open(config: &DatabaseConfig, signature: Signature) -> Opening<'_> {
    Box::pin(async move {
        let (file, wait) = (Path::new(file(config.url.revealed())), config.busy_timeout);
        let writer = pool(1, wait).connect_lazy_with(writing(file, wait));
        create_schema_within(wait, &writer, signature.witness).await?;
        let readers = pool(READERS, wait).connect_lazy_with(reading(file, wait));
        // The busy time-out ends every wait; and a file on this host cannot fall silent.
        Ok(Arc::new(TablesIn { writer, readers, signature, answer_limit: Duration::MAX }) as _)
    })
}

/// Several instances may open a new file at once, and the change to WAL mode does not wait for its lock. A file that has
/// its tables is opened whoever holds the lock: `IF NOT EXISTS` then only reads, which a transaction of ours would not.
async fn create_schema_within(limit: Duration, writer: &SqlitePool, witness: bool) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    loop {
        match create_schema(writer, witness).await {
            Err(error) if is_locked(&error) && Instant::now() < deadline => tokio::time::sleep(OPEN_RETRY).await,
            ended => return ended,
        }
    }
}

async fn create_schema(writer: &SqlitePool, witness: bool) -> Result<(), Error> {
    sqlx::raw_sql(SCHEMA).execute(writer).await?;
    if witness {
        sqlx::raw_sql(WITNESS_SCHEMA).execute(writer).await?;
    }
    Ok(())
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

impl Dialect for Sqlite {
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    /// The table holds hundredths.
    const HUNDREDTHS: &'static str = "";
    const NOW: &'static str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
    const ON_CONFLICT: &'static str = " ON CONFLICT (game_character_id, preset_no) DO UPDATE SET
        total_expected_cost = excluded.total_expected_cost, black_cube_cost = excluded.black_cube_cost,
        red_cube_cost = excluded.red_cube_cost, additional_cube_cost = excluded.additional_cube_cost,
        starforce_cost = excluded.starforce_cost, calculated_at = excluded.calculated_at, version = version + 1,
        write_seq = excluded.write_seq, written_by = excluded.written_by
        WHERE excluded.write_seq > write_seq";
    const READ: &'static str = "SELECT preset_no, write_seq, total_expected_cost, black_cube_cost, red_cube_cost,
        additional_cube_cost, starforce_cost
        FROM equipment_expectation_summary WHERE game_character_id = ? ORDER BY preset_no";

    fn refuses_content(error: &dyn DatabaseError) -> bool {
        matches!(primary_code(error), Some(CONSTRAINT | MISMATCH | TOO_BIG))
    }

    /// There is one writer at a time.
    fn rolled_back_for_another(_: &dyn DatabaseError) -> bool {
        false
    }
}

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>): the low byte of the extended one.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const TOO_BIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    let code = error.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

fn is_locked(error: &Error) -> bool {
    matches!(error.as_database_error().and_then(primary_code), Some(BUSY | LOCKED))
}
