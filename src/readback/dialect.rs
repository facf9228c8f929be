//! What differs between databases in the oracle's questions. Its own words: those of the service under test are another
//! program's.
//!
//! Every value in a question is an integer of ours, or a name written here, so questions are put together as text and
//! are the same everywhere but for these words.

use super::connection::Access;
use crate::backends::DatabaseSource;
use crate::plan::Database;

/// The service's table.
pub const ROWS: &str = "equipment_expectation_summary";
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
    /// Around an amount, which is a number of hundredths or the text of a decimal.
    amount: (&'static str, &'static str),
    /// What a statement finds by a name without a schema, tables or not.
    named: &'static str,
    /// The same, if it is anything but a table: what is read there need not be what was written.
    masked: &'static str,
    /// Name and version of what answers.
    pub software: &'static str,
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
    amount: ("", ""),
    named: "select count(*) from sqlite_master where name = ",
    masked: "select count(*) from sqlite_master where type <> 'table' and name = ",
    software: "select 'SQLite ' || sqlite_version()",
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
    amount: ("", "::text"),
    named: "select count(*) from pg_class where relkind in ('r', 'p', 'v', 'm', 'f') and pg_table_is_visible(oid) \
            and relname = ",
    masked: "select count(*) from pg_class where relkind in ('v', 'm', 'f') and pg_table_is_visible(oid) and relname = ",
    software: "select 'PostgreSQL ' || current_setting('server_version')",
    is_replica: Some("select pg_is_in_recovery()::int::bigint"),
    begin_to_read: "begin isolation level repeatable read, read only",
    create_marker_table: "create table if not exists mxctl_marker (\
                          marker bigint generated always as identity primary key, run bigint)",
    // Without `row_security`, a policy would hide rows in silence; so it is an error.
    prepare: &["set statement_timeout = '120s'", "set lock_timeout = '10s'", "set row_security = off"],
    read_only: &["set default_transaction_read_only = on"],
};

const MARIADB: Dialect = Dialect {
    json_array: "json_array",
    to_text: "",
    join: "group_concat(line separator '\\n')",
    integer: ("cast(", " as signed)"),
    amount: ("cast(", " as char)"),
    named: "select count(*) from information_schema.tables where table_schema = database() and table_name = ",
    masked: "select count(*) from information_schema.tables where table_type <> 'BASE TABLE' \
             and table_schema = database() and table_name = ",
    software: "select concat('MariaDB ', version())",
    // `read_only` does not bind everybody, but whoever sets it says that this is no place to write to.
    is_replica: Some("select cast(@@global.read_only as signed)"),
    begin_to_read: "start transaction with consistent snapshot, read only",
    create_marker_table: "create table if not exists mxctl_marker (\
                          marker bigint auto_increment primary key, run bigint) engine = innodb",
    // A pack is far below this. A line that was cut would be no JSON, and so an error.
    prepare: &[
        // In any other level a snapshot is none.
        "set session transaction isolation level repeatable read",
        "set session sql_mode = ''",
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

    /// An amount as it is kept: whoever rounds it here would make a wrong one right.
    pub fn amount(&self, column: &str) -> String {
        format!("{}{column}{}", self.amount.0, self.amount.1)
    }

    pub fn named(&self, name: &str) -> String {
        format!("{}'{name}'", self.named)
    }

    pub fn masked(&self, name: &str) -> String {
        format!("{}'{name}'", self.masked)
    }
}
