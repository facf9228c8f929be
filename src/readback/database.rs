//! The database as the oracle reads it: with its own connection, its own queries and its own types.
//!
//! # Why two connections
//! Reads go through a read-only one. The marker is committed through another: a reader that cannot see it looks at
//! a copy that lags, and nothing that it reads proves that a row is missing.
//!
//! # Why the database packs what it gives
//! A run of ten minutes leaves millions of rows and sightings. Row by row, each value is copied by the driver and freed
//! by us, and with SQLite its thread and ours wait for each other most of the time. A pack is one value: a JSON array a
//! line, in which a number, a text and a null stay apart, whatever the database. The sinks take line by line, and while
//! they do, the database makes the next pack: nothing here holds more than two.

use std::io;

use super::connection::{Access, Connection};
use super::dialect::{Dialect, ROWS, WITNESS};
use super::lines::{KeyLine, Line, RowLine, SightingLine, parsed};
use super::{Applied, Row, Sighting};
use crate::backends::DatabaseSource;
use crate::plan::{Plan, RunKey, TargetPlan};

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
    /// Of the keys of this run.
    pub fn of_run(source: &DatabaseSource, plan: &Plan) -> Self {
        Self::new(source, plan.run, plan.load.hot_keys)
    }

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

    /// What answers, with its version: `SQLite 3.46.0`.
    pub async fn software(&self) -> Result<Option<String>, DatabaseError> {
        self.reader().await?.text("ask for the version", self.dialect.software).await
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
        let take = |KeyLine(key, seq)| {
            applied.push(key as u64, seq as u64);
            Ok(())
        };
        self.each_line(WHAT, &mut db, self.range.0 - 1, |last| self.whole_keys_after(last), take).await?;
        Ok(applied)
    }

    /// Every line of a question in turn, and while a pack of them is taken, the database makes the next. `after` asks for
    /// those after a place.
    async fn each_line<L: Line>(
        &self,
        what: &'static str,
        db: &mut Connection,
        mut last: L::Place,
        after: impl Fn(L::Place) -> String,
        mut take: impl FnMut(L) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut pack = db.text(what, &self.dialect.pack(&after(last))).await?;
        while let Some(lines) = pack {
            let end = L::of(what, lines.lines().next_back().unwrap_or_default())?.place();
            let question = self.dialect.pack(&after(end));
            let taking = async {
                for line in lines.lines() {
                    let line = L::of(what, line)?;
                    if line.place() <= last {
                        return Err(DatabaseError::OutOfOrder { what });
                    }
                    last = line.place();
                    take(line)?;
                }
                Ok(())
            };
            // Asked first: its answer is on the way while lines are taken.
            let (next, taken) = tokio::join!(biased; db.text(what, &question), taking);
            taken?;
            pack = next?;
        }
        Ok(())
    }

    fn whole_keys_after(&self, key: i64) -> String {
        format!(
            "select {} as line from equipment_expectation_summary where game_character_id > {key} and game_character_id <= {} \
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
        let before = (self.range.0 - 1, i64::MAX);
        let take = |line: RowLine| Ok(sink(line.row()?)?);
        self.each_line(WHAT, db, before, |last| self.rows_after(last), take).await?;
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
        let mut read = 0;
        let take = |line: SightingLine| {
            read += 1;
            Ok(sink(line.sighting())?)
        };
        self.each_line(WHAT, db, i64::MIN, |last| self.sightings_after(last), take).await?;
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

#[cfg(test)]
mod tests;
