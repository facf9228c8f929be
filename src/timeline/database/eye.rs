//! Writes of the run's own: what a client of the database meets at this moment.
//!
//! They go into the table of markers, which the run made itself; never to the rows of the service.
//!
//! # Why a connection for each
//! A pool waits, retries and hides. Here every write says which of the few things became of it, and how long that took.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::MySqlConnectOptions;
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

/// Looks along one path.
pub(super) struct Eye {
    path: DatabaseSource,
    run: RunKey,
    busy: Duration,
}

impl Eye {
    /// `busy`: how long it waits for the write lock of a file.
    pub fn new(path: DatabaseSource, run: RunKey, busy: Duration) -> Eye {
        Eye { path, run, busy }
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
        self.say(format!("insert into mxctl_marker (run) values ({})", self.run.number)).await
    }

    /// Also an earlier marker of the run: each is looked for at once, or never.
    async fn close(&mut self, _scene: &Scene<'_>) {
        self.say(format!("delete from mxctl_marker where run = {}", self.run.number)).await;
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
        Err(Error::Database(e)) => Seen::Error(named(&e.code().unwrap_or_default())),
        Err(_) => Seen::Broken,
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
        assert_eq!(named("57P03"), "SQLSTATE 57P03");
        assert_eq!(named("40001"), "SQLSTATE 40001");
    }

    #[tokio::test]
    async fn where_nobody_listens_a_connection_is_refused_and_where_nobody_answers_there_is_no_answer() {
        let bound = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("postgres://mxctl@{}/d?sslmode=disable", bound.local_addr().unwrap());
        let url = crate::plan::DatabaseUrl::of_own(url);
        let path = DatabaseSource::Server { database: Database::Postgres, url };
        let mut eye = Eye::new(path, RunKey { number: 7, seed: 1 }, Duration::ZERO);
        assert_eq!(eye.write().await.0, Seen::NoAnswer);
        drop(bound);
        assert_eq!(eye.write().await.0, Seen::ConnectionRefused);
    }
}
