//! What differs between databases in the oracle's questions. Its own words: those of the service under test are another
//! program's.
//!
//! Every value in a question is an integer of ours, or a name written here, so questions are put together as text and
//! are the same everywhere but for these words.

use super::connection::Access;
use crate::backends::DatabaseSource;
use crate::plan::Database;

/// The table that the witness's triggers write to.
pub const WITNESS: &str = "expectation_write_witness";

/// Lines in a pack.
pub(super) const PACK: u32 = 4096;

pub struct Dialect {
    /// Makes a JSON array.
    json_array: &'static str,
    /// Makes a text of one.
    to_text: &'static str,
    /// Joins the lines of a pack.
    join: &'static str,
    /// Around an expression that is to be a whole number.
    integer: (&'static str, &'static str),
    /// Whether amounts are kept in hundredths, or as decimals.
    keeps_hundredths: bool,
    /// Tables that a statement finds without naming a schema, by their name.
    tables: &'static str,
    /// 1: it follows another server. `None`: there is no such thing.
    pub is_replica: Option<&'static str>,
    /// From here on every question is answered as of one moment.
    pub begin_to_read: &'static str,
    pub create_marker_table: &'static str,
    prepare: &'static [&'static str],
    read_only: &'static [&'static str],
}

const SQLITE: Dialect = Dialect {
    json_array: "json_array",
    to_text: "",
    join: "group_concat(line, char(10))",
    integer: ("", ""),
    keeps_hundredths: true,
    tables: "select count(*) from sqlite_master where type = 'table' and name = ",
    is_replica: None,
    begin_to_read: "begin",
    create_marker_table: "create table if not exists mxctl_marker (marker integer primary key autoincrement, run integer)",
    prepare: &[],
    // The connection is opened so.
    read_only: &[],
};

const POSTGRES: Dialect = Dialect {
    json_array: "json_build_array",
    to_text: "::text",
    join: "string_agg(line, chr(10))",
    integer: ("(", ")::bigint"),
    keeps_hundredths: false,
    tables: "select count(*) from pg_class where relkind in ('r', 'p') and pg_table_is_visible(oid) and relname = ",
    is_replica: Some("select pg_is_in_recovery()::int::bigint"),
    begin_to_read: "begin isolation level repeatable read, read only",
    create_marker_table: "create table if not exists mxctl_marker (\
                          marker bigint generated always as identity primary key, run bigint)",
    prepare: &["set statement_timeout = '120s'", "set lock_timeout = '10s'"],
    read_only: &["set default_transaction_read_only = on"],
};

const MARIADB: Dialect = Dialect {
    json_array: "json_array",
    to_text: "",
    join: "group_concat(line separator '\\n')",
    integer: ("cast(", " as signed)"),
    keeps_hundredths: false,
    tables: "select count(*) from information_schema.tables where table_schema = database() and table_name = ",
    // `read_only` does not bind everybody, but whoever sets it says that this is no place to write to.
    is_replica: Some("select cast(@@global.read_only as signed)"),
    begin_to_read: "start transaction with consistent snapshot, read only",
    create_marker_table: "create table if not exists mxctl_marker (\
                          marker bigint auto_increment primary key, run bigint) engine = innodb",
    // A pack is far below this. A line that was cut would be no JSON, and so an error.
    prepare: &[
        "set session group_concat_max_len = 16777216",
        "set session max_statement_time = 120",
        "set session lock_wait_timeout = 10",
    ],
    read_only: &["set session transaction read only"],
};

impl Dialect {
    pub fn of(source: &DatabaseSource) -> &'static Dialect {
        match source {
            DatabaseSource::File(_) | DatabaseSource::Server { database: Database::Sqlite, .. } => &SQLITE,
            DatabaseSource::Server { database: Database::Postgres, .. } => &POSTGRES,
            DatabaseSource::Server { database: Database::MariaDb, .. } => &MARIADB,
        }
    }

    /// What a session is told before it is asked anything.
    pub fn session(&self, access: Access) -> impl Iterator<Item = &'static str> {
        let read_only = if access == Access::Read { self.read_only } else { &[] };
        self.prepare.iter().chain(read_only).copied()
    }

    /// Columns as a line: a JSON array.
    pub fn line(&self, columns: &str) -> String {
        format!("{}({columns}){}", self.json_array, self.to_text)
    }

    /// The first lines of a question as one text; null: there are none.
    pub fn pack(&self, lines: &str) -> String {
        format!("select {} from ({lines} limit {PACK}) as pack", self.join)
    }

    pub fn integer(&self, expression: &str) -> String {
        format!("{}{expression}{}", self.integer.0, self.integer.1)
    }

    /// An amount in hundredths; exact, never by way of a float.
    pub fn hundredths(&self, column: &str) -> String {
        if self.keeps_hundredths { column.to_owned() } else { self.integer(&format!("{column} * 100")) }
    }

    pub fn tables_named(&self, name: &str) -> String {
        format!("{}'{name}'", self.tables)
    }
}
