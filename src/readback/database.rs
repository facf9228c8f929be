//! The database as the oracle reads it: with its own connection, its own queries and its own types.
//!
//! # Why two connections
//! Reads go through a read-only one. The marker is committed through another: a reader that cannot see it looks at
//! a copy that lags, and nothing that it reads proves that a row is missing.
//!
//! # Why the database packs what it gives
//! A run of ten minutes leaves millions of rows and sightings. Row by row, each value is copied by the driver and freed
//! by us, and with SQLite its thread and ours wait for each other most of the time. A pack is one value: a JSON array a
//! line, in which a number, a text and a null stay apart, whatever the database. Nothing here holds more than one pack,
//! and the sinks take line by line.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::connection::{Access, Connection};
use super::dialect::{Dialect, ROWS, WITNESS};
use super::{Applied, Row, Sighting, SightingKind};
use crate::backends::DatabaseSource;
use crate::plan::{RunKey, TargetPlan};

/// Takes a row. An error of its own ends the reading.
pub type RowSink<'s> = dyn FnMut(Row<'_>) -> io::Result<()> + Send + 's;
/// Takes a sighting, as [`RowSink`] a row.
pub type SightingSink<'s> = dyn FnMut(Sighting<'_>) -> io::Result<()> + Send + 's;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("open the database {place}: {why}")]
    Open { place: String, why: String },
    #[error("{what} in the database: {why}")]
    Query { what: &'static str, why: String },
    #[error("use the database {place}: it is read-only, or a copy that follows another server, and proves nothing")]
    Replica { place: String },
    #[error(
        "use the database {place}: {table} is there, and is no table: what is read from it need not be what was written"
    )]
    NoTable { place: String, table: &'static str },
    #[error("read the rows: row {key}/{preset} has {what}")]
    Nonsense { key: i64, preset: i64, what: String },
    #[error("{what} in the database: {line} is not what was asked for: {source}")]
    NoLine { what: &'static str, line: String, source: serde_json::Error },
    #[error("{what} in the database: it counts {counted} and gives {read}")]
    Incomplete { what: &'static str, counted: i64, read: i64 },
    #[error("{what} in the database: it gives them out of order")]
    OutOfOrder { what: &'static str },
    #[error("write down what was read: {0}")]
    Sink(#[from] io::Error),
}

/// A connection that answers as of one moment.
pub struct Moment {
    db: Connection,
    /// What `count(*)` of the rows said then.
    counted: u64,
}

/// A reader of one run's key range.
pub struct Database {
    source: DatabaseSource,
    dialect: &'static Dialect,
    /// First and last key, inclusive. A run number of at most 2^31 − 1 keeps both in `i64`.
    range: (i64, i64),
    first_write_once: i64,
}

impl Database {
    pub fn new(source: &DatabaseSource, run: RunKey, hot_keys: u32) -> Self {
        let (first, last) = run.key_range();
        Database {
            dialect: Dialect::of(source),
            source: source.clone(),
            range: (first as i64, last as i64),
            first_write_once: run.key(hot_keys) as i64,
        }
    }

    /// A reader of every run's keys.
    pub fn of_every_run(source: &DatabaseSource) -> Self {
        Database { dialect: Dialect::of(source), source: source.clone(), range: (0, i64::MAX), first_write_once: 0 }
    }

    /// The query that a person can run by hand: rows of the write-once keys.
    pub fn count_query(&self) -> String {
        count(ROWS, self.first_write_once, self.range.1)
    }

    /// Where it is, if it is a server: without its password.
    pub fn server(&self) -> Option<String> {
        match &self.source {
            DatabaseSource::File(_) => None,
            DatabaseSource::Server { url, .. } => Some(url.to_string()),
        }
    }

    /// How many rows the key range holds; also 0 where the table does not exist yet.
    pub async fn rows_in_range(&self) -> Result<u64, DatabaseError> {
        self.in_range(&[ROWS]).await
    }

    /// The same, and what the witness saw of earlier writes to it: sightings outlive the rows that somebody deletes.
    pub async fn remains_in_range(&self) -> Result<u64, DatabaseError> {
        self.in_range(&[ROWS, WITNESS]).await
    }

    async fn in_range(&self, tables: &[&str]) -> Result<u64, DatabaseError> {
        if let DatabaseSource::File(path) = &self.source
            && !path.exists()
        {
            return Ok(0);
        }
        let mut db = self.reader().await?;
        let mut found = 0;
        for table in tables {
            if db.integer("look for a table", &self.dialect.named(table)).await? > 0 {
                found += db.integer("count the rows", &count(table, self.range.0, self.range.1)).await? as u64;
            }
        }
        Ok(found)
    }

    /// Makes the run's number its own in this database: of two runs that would read each other's rows, one is refused.
    pub async fn claim(&self) -> Result<bool, DatabaseError> {
        const WHAT: &str = "claim the run's number";
        let mut db = self.open(Access::Write).await?;
        if db.integer(WHAT, &self.dialect.named("mxctl_run")).await? == 0 {
            db.run(WHAT, "create table if not exists mxctl_run (run bigint primary key)").await?;
        }
        let run = self.range.0 >> 32;
        let claimed = db.integer(WHAT, &format!("insert into mxctl_run (run) values ({run}) returning run")).await;
        match claimed {
            Ok(_) => Ok(true),
            Err(e) => match db.integer(WHAT, &format!("select count(*) from mxctl_run where run = {run}")).await? {
                0 => Err(e),
                _ => Ok(false),
            },
        }
    }

    /// A reader of an existing database that nobody uses yet; `None`: the run starts its own.
    pub fn of_existing(target: &TargetPlan) -> Option<Self> {
        let source = DatabaseSource::Server { database: target.database, url: target.existing.clone()? };
        Some(Database::of_every_run(&source))
    }

    /// Finds out, before anything is sent, that this is the database itself and that a marker can be committed to it.
    pub async fn rehearse(&self) -> Result<(), DatabaseError> {
        self.refuse_replica().await?;
        let mut db = self.reader().await?;
        for table in [ROWS, WITNESS] {
            if db.integer("look for a table", &self.dialect.masked(table)).await? > 0 {
                return Err(DatabaseError::NoTable { place: self.source.to_string(), table });
            }
        }
        self.commit_marker().await.map(drop)
    }

    /// A figure that changes whenever a row of the run does: (rows, sum of their seqs).
    pub async fn movement(&self) -> Result<(i64, i64), DatabaseError> {
        const WHAT: &str = "look for movement";
        let mut db = self.reader().await?;
        let (first, last) = self.range;
        let sum = self.dialect.integer("coalesce(sum(write_seq), 0)");
        let figures = self.dialect.line(&format!("count(*), {sum}"));
        let query = format!(
            "select {figures} from equipment_expectation_summary where game_character_id between {first} and {last}"
        );
        let line = db.text(WHAT, &query).await?.unwrap_or_default();
        parsed(WHAT, &line)
    }

    /// Every key whose three rows are there.
    pub async fn applied(&self) -> Result<Applied, DatabaseError> {
        const WHAT: &str = "read a checkpoint";
        let mut db = self.reader().await?;
        let mut applied = Applied::default();
        let mut next = self.range.0;
        while let Some(pack) = db.text(WHAT, &self.dialect.pack(&self.whole_keys(next))).await? {
            for line in pack.lines() {
                let (key, seq): (i64, i64) = parsed(WHAT, line)?;
                if key < next {
                    return Err(DatabaseError::OutOfOrder { what: WHAT });
                }
                applied.push(key as u64, seq as u64);
                next = key + 1;
            }
        }
        Ok(applied)
    }

    fn whole_keys(&self, from: i64) -> String {
        format!(
            "select {} as line from equipment_expectation_summary where game_character_id between {from} and {} \
             group by game_character_id having count(*) = 3 order by game_character_id",
            self.dialect.line("game_character_id, min(write_seq)"),
            self.range.1
        )
    }

    /// Commits a marker on the primary, then reads every row of the range, ascending by key and preset, and looks for
    /// the marker, in one read transaction: what `count(*)` says there, and whether the marker is visible.
    pub async fn rows(&self, sink: &mut RowSink<'_>) -> Result<(u64, bool), DatabaseError> {
        self.refuse_replica().await?;
        let marker = self.commit_marker().await?;
        let mut moment = self.moment().await?;
        self.rows_at(&mut moment, marker, sink).await
    }

    /// From now on everything is answered as it is now, whatever is written later.
    pub async fn moment(&self) -> Result<Moment, DatabaseError> {
        let mut db = self.reader().await?;
        db.run("begin to read", self.dialect.begin_to_read).await?;
        // A database may wait for the first question before it takes a moment.
        let counted = db.integer("count the rows", &count(ROWS, self.range.0, self.range.1)).await? as u64;
        Ok(Moment { db, counted })
    }

    /// Every row of the range as of one moment, as [`Database::rows`] does.
    pub async fn rows_at(
        &self,
        Moment { db, counted }: &mut Moment,
        marker: i64,
        sink: &mut RowSink<'_>,
    ) -> Result<(u64, bool), DatabaseError> {
        const WHAT: &str = "read the rows";
        let seen = format!("select count(*) from mxctl_marker where marker = {marker}");
        let marker_seen = db.integer("look for the marker", &seen).await? == 1;
        let mut last = (self.range.0 - 1, i64::MAX);
        while let Some(pack) = db.text(WHAT, &self.dialect.pack(&self.rows_after(last))).await? {
            for line in pack.lines() {
                let found: RowLine = serde_json::from_str(line).map_err(|e| nonsense(line, &e))?;
                if (found.0, found.1) <= last {
                    return Err(DatabaseError::OutOfOrder { what: WHAT });
                }
                sink(found.row()?)?;
                last = (found.0, found.1);
            }
        }
        Ok((*counted, marker_seen))
    }

    fn rows_after(&self, (key, preset): (i64, i64)) -> String {
        let costs = ["total_expected", "black_cube", "red_cube", "additional_cube", "starforce"]
            .map(|cost| self.dialect.amount(&format!("{cost}_cost")));
        format!(
            "select {} as line from equipment_expectation_summary \
             where game_character_id between {key} and {} and (game_character_id > {key} or preset_no > {preset}) \
             order by game_character_id, preset_no",
            self.dialect.line(&format!("game_character_id, preset_no, write_seq, {}, written_by", costs.join(", "))),
            self.range.1
        )
    }

    /// Reads the witness's log, in any order; false where the database has none.
    pub async fn witness(&self, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        let mut db = self.reader().await?;
        db.run("begin to read", self.dialect.begin_to_read).await?;
        self.witness_in(&mut db, sink).await
    }

    /// The same as of one moment.
    pub async fn witness_at(&self, moment: &mut Moment, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        self.witness_in(&mut moment.db, sink).await
    }

    async fn witness_in(&self, db: &mut Connection, sink: &mut SightingSink<'_>) -> Result<bool, DatabaseError> {
        const WHAT: &str = "read the witness";
        if db.integer("look for the witness", &self.dialect.named(WITNESS)).await? == 0 {
            return Ok(false);
        }
        let counted = db.integer("count the sightings", &count(WITNESS, self.range.0, self.range.1)).await?;
        let (mut last, mut read) = (i64::MIN, 0);
        while let Some(pack) = db.text(WHAT, &self.dialect.pack(&self.sightings_after(last))).await? {
            for line in pack.lines() {
                let found: SightingLine = parsed(WHAT, line)?;
                if found.0 <= last {
                    return Err(DatabaseError::OutOfOrder { what: WHAT });
                }
                sink(found.sighting())?;
                (last, read) = (found.0, read + 1);
            }
        }
        match read == counted {
            true => Ok(true),
            false => Err(DatabaseError::Incomplete { what: WHAT, counted, read }),
        }
    }

    fn sightings_after(&self, order: i64) -> String {
        format!(
            "select {} as line from {WITNESS} \
             where id > {order} and game_character_id between {} and {} order by id",
            self.dialect.line("id, game_character_id, preset_no, old_seq, new_seq, written_by, kind"),
            self.range.0,
            self.range.1
        )
    }

    async fn refuse_replica(&self) -> Result<(), DatabaseError> {
        let Some(query) = self.dialect.is_replica else { return Ok(()) };
        match self.reader().await?.integer("ask whether it is a replica", query).await? {
            0 => Ok(()),
            _ => Err(DatabaseError::Replica { place: self.source.to_string() }),
        }
    }

    /// A row of mxctl's own, on the primary: whoever does not see it reads something else, or something older.
    pub async fn commit_marker(&self) -> Result<i64, DatabaseError> {
        const WHAT: &str = "commit the marker";
        let mut db = self.open(Access::Write).await?;
        if db.integer(WHAT, &self.dialect.named("mxctl_marker")).await? == 0 {
            db.run(WHAT, self.dialect.create_marker_table).await?;
        }
        let run = self.range.0 >> 32;
        db.integer(WHAT, &format!("insert into mxctl_marker (run) values ({run}) returning marker")).await
    }

    async fn reader(&self) -> Result<Connection, DatabaseError> {
        self.open(Access::Read).await
    }

    async fn open(&self, access: Access) -> Result<Connection, DatabaseError> {
        let mut connection = Connection::open(&self.source, access).await?;
        for statement in self.dialect.session(access) {
            connection.run("prepare a session", statement).await?;
        }
        Ok(connection)
    }
}

fn count(table: &str, first: i64, last: i64) -> String {
    format!("select count(*) from {table} where game_character_id between {first} and {last}")
}

fn parsed<T: DeserializeOwned>(what: &'static str, line: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(line).map_err(|source| DatabaseError::NoLine { what, line: line.to_owned(), source })
}

/// key, preset, seq, the five costs, written by.
#[derive(Deserialize)]
struct RowLine(i64, i64, i64, Amount, Amount, Amount, Amount, Amount, Option<String>);

/// A number of hundredths, or a decimal as it is kept.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Decimal(String),
    /// Of hundredths, if it is a whole number.
    Other(serde_json::Value),
}

/// In place of what is no amount in hundredths: no write says it, so its row is corrupt.
const NO_AMOUNT: i64 = i64::MIN;

impl Amount {
    fn hundredths(&self) -> i64 {
        match self {
            Amount::Decimal(text) => exact_hundredths(text).unwrap_or(NO_AMOUNT),
            Amount::Other(value) => value.as_i64().unwrap_or(NO_AMOUNT),
        }
    }
}

/// `12.34` is 1234, and so is `12.3400`; what has more than hundredths is none.
fn exact_hundredths(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 2 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let hundredths: i64 = format!("{whole}{fraction:0<2}").parse().ok()?;
    Some(if negative { -hundredths } else { hundredths })
}

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
            costs: [total, black, red, additional, starforce].map(Amount::hundredths),
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
            self.sql(&format!("insert into {table} values ({key}, {preset}, 5, 1, 2, 3, 4, {seq}, 'worker-1.1')"))
                .await;
        }
    }

    #[test]
    fn an_amount_is_exact_or_none() {
        for (text, hundredths) in [
            ("12.34", Some(1234)),
            ("12.3400", Some(1234)),
            ("0.05", Some(5)),
            ("99999999999999.99", Some(9_999_999_999_999_999)),
            ("7", Some(700)),
            ("-1.5", Some(-150)),
            ("12.344", None),
            ("NaN", None),
            ("7abc", None),
            ("", None),
            ("99999999999999999999.00", None),
        ] {
            assert_eq!(exact_hundredths(text), hundredths, "{text}");
        }
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
            assert_eq!(found, [NO_AMOUNT], "{cost}");
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
}
