//! Writes of the run's own: what a client of the database meets at this moment.
//!
//! They go into the table of markers, which the run made itself, or, where they are to need room on the disk, into one of
//! the eye's own; never to the rows of the service.
//!
//! # Why a connection for each
//! A pool waits, retries and hides. Here every write says which of the few things became of it, and how long that took.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Error};
use tokio::time::{Instant, timeout};

use super::{OwnWrites, Scene, Seen};
use crate::backends::DatabaseSource;
use crate::plan::{Database, RunKey};
use crate::timeline::disturbing::Sight;

/// A write that has no answer by then has none.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What an own write weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// A marker.
    Light,
    /// So much that it fits into nothing that a server has in reserve. To a file, a marker weighs enough.
    Heavy,
}

/// How heavy writes are made to a kind of server.
struct Heavy {
    prepare: &'static str,
    /// 64 KiB.
    piece: &'static str,
    /// Of one write.
    pieces: usize,
}

const TAKE_AWAY: &str = "drop table if exists mxctl_eye";

/// Which it cannot compress.
const HEAVY_IN_POSTGRES: Heavy = Heavy {
    prepare: "create table if not exists mxctl_eye (content text)",
    piece: "insert into mxctl_eye select string_agg(md5(i::text), '') from generate_series(1, 2048) as i",
    pieces: 1,
};

/// Each piece is a transaction, and stays: what it purges meanwhile becomes free by the MiB, and is taken as well.
const HEAVY_IN_MARIADB: Heavy = Heavy {
    prepare: "create table if not exists mxctl_eye (content longblob)",
    piece: "insert into mxctl_eye values (repeat('x', 65536))",
    pieces: 32,
};

/// Looks along one path.
pub(super) struct Eye {
    path: DatabaseSource,
    run: RunKey,
    busy: Duration,
    weight: Weight,
    /// The table of its own is there.
    prepared: bool,
}

impl Eye {
    /// `busy`: how long it waits for the write lock of a file.
    pub fn new(path: DatabaseSource, run: RunKey, busy: Duration, weight: Weight) -> Eye {
        Eye { path, run, busy, weight, prepared: false }
    }

    fn heavy(&self) -> Option<Heavy> {
        match (self.weight, &self.path) {
            (Weight::Light, _) | (_, DatabaseSource::File(_)) => None,
            (Weight::Heavy, DatabaseSource::Server { database: Database::MariaDb, .. }) => Some(HEAVY_IN_MARIADB),
            (Weight::Heavy, DatabaseSource::Server { .. }) => Some(HEAVY_IN_POSTGRES),
        }
    }

    async fn say(&self, statement: String) -> Sight {
        let asked = Instant::now();
        let answer = timeout(PATIENCE, say(&self.path, statement, self.busy)).await;
        (answer.map_or(Seen::NoAnswer, of_answer), asked.elapsed())
    }
}

#[async_trait]
impl OwnWrites for Eye {
    async fn write(&mut self) -> Sight {
        let Some(Heavy { prepare, piece, pieces }) = self.heavy() else {
            return self.say(format!("insert into mxctl_marker (run) values ({})", self.run.number)).await;
        };
        if !self.prepared {
            let (seen, took) = self.say(prepare.to_owned()).await;
            if seen != Seen::Stored {
                return (seen, took);
            }
            self.prepared = true;
        }
        self.say(vec![piece; pieces].join("; ")).await
    }

    /// Also an earlier marker of the run: each is looked for at once, or never.
    async fn close(&mut self, _scene: &Scene<'_>) {
        let all = match self.heavy() {
            Some(_) => TAKE_AWAY.to_owned(),
            None => format!("delete from mxctl_marker where run = {}", self.run.number),
        };
        self.say(all).await;
    }
}

/// One statement on a connection of its own.
pub(super) async fn say(path: &DatabaseSource, statement: String, busy: Duration) -> Result<(), Error> {
    let statement = AssertSqlSafe(statement);
    match path {
        DatabaseSource::File(file) => {
            let options = SqliteConnectOptions::new().filename(file).busy_timeout(busy);
            let mut connection = options.disable_statement_logging().connect().await?;
            let done = sqlx::raw_sql(statement).execute(&mut connection).await;
            connection.close().await?;
            done.map(drop)
        }
        DatabaseSource::Server { database: Database::MariaDb, url } => {
            let options: MySqlConnectOptions = url.revealed().parse()?;
            let mut connection = options.disable_statement_logging().connect().await?;
            sqlx::raw_sql(statement).execute(&mut connection).await?;
            connection.close().await
        }
        DatabaseSource::Server { url, .. } => {
            let options: PgConnectOptions = url.revealed().parse()?;
            let mut connection = options.disable_statement_logging().connect().await?;
            sqlx::raw_sql(statement).execute(&mut connection).await?;
            connection.close().await
        }
    }
}

pub(super) fn of_answer(answer: Result<(), Error>) -> Seen {
    match answer {
        Ok(()) => Seen::Stored,
        Err(Error::Io(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Seen::ConnectionRefused,
        Err(Error::Database(e)) => Seen::Error(name_of(&*e)),
        Err(_) => Seen::Broken,
    }
}

/// MariaDB has one SQLSTATE for most of what can go wrong, and tells its errors apart by number.
fn name_of(error: &dyn DatabaseError) -> String {
    match error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number) {
        Some(1021) => "ER_DISK_FULL".to_owned(),
        Some(1026) => "ER_ERROR_ON_WRITE".to_owned(),
        Some(1114) => "ER_RECORD_FILE_FULL".to_owned(),
        _ => named(&error.code().unwrap_or_default()),
    }
}

/// SQLite answers with numbers (<https://www.sqlite.org/rescode.html>), of which the low byte says what it is; servers
/// with an SQLSTATE of five signs.
fn named(code: &str) -> String {
    let number = if code.len() < 5 { code.parse::<i32>().ok() } else { None };
    match number.map(|number| number & 0xff) {
        Some(5) => "SQLITE_BUSY".to_owned(),
        Some(13) => "SQLITE_FULL".to_owned(),
        Some(other) => format!("SQLite's error {other}"),
        None if code == "53100" => "disk_full (SQLSTATE 53100)".to_owned(),
        None => format!("SQLSTATE {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_called_by_its_name() {
        assert_eq!(named("5"), "SQLITE_BUSY");
        assert_eq!(named("261"), "SQLITE_BUSY", "SQLITE_BUSY_RECOVERY");
        assert_eq!(named("13"), "SQLITE_FULL");
        assert_eq!(named("53100"), "disk_full (SQLSTATE 53100)");
        assert_eq!(named("57P03"), "SQLSTATE 57P03");
        assert_eq!(named("40001"), "SQLSTATE 40001");
    }

    #[tokio::test]
    async fn where_nobody_listens_a_connection_is_refused_and_where_nobody_answers_there_is_no_answer() {
        let bound = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("postgres://mxctl@{}/d?sslmode=disable", bound.local_addr().unwrap());
        let url = crate::plan::DatabaseUrl::of_own(url);
        let path = DatabaseSource::Server { database: Database::Postgres, url };
        let mut eye = Eye::new(path, RunKey { number: 7, seed: 1 }, Duration::ZERO, Weight::Light);
        assert_eq!(eye.write().await.0, Seen::NoAnswer);
        drop(bound);
        assert_eq!(eye.write().await.0, Seen::ConnectionRefused);
    }
}
