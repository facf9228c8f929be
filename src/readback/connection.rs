//! A connection of the oracle to a database of any kind: a question in, a number or a text out.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::database::DatabaseError;
use crate::backends::DatabaseSource;
use crate::plan::{Database, DatabaseUrl};

const BUSY: Duration = Duration::from_secs(5);
/// From the first packet to a session.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// Longer than the server itself lets a question take: one that was cut off must not hold up the run.
const ANSWER_WITHIN: Duration = Duration::from_secs(150);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

pub struct Connection {
    driver: Driver,
    url: Option<DatabaseUrl>,
}

enum Driver {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>),
    MariaDb(Box<MySqlConnection>),
}

/// The same question to whichever driver it is.
macro_rules! ask {
    ($connection:expr, $db:ident => $question:expr) => {
        match &mut $connection.driver {
            Driver::Sqlite($db) => $question.await,
            Driver::Postgres($db) => {
                let $db = &mut **$db;
                $question.await
            }
            Driver::MariaDb($db) => {
                let $db = &mut **$db;
                $question.await
            }
        }
    };
}

impl Connection {
    pub async fn open(source: &DatabaseSource, access: Access) -> Result<Connection, DatabaseError> {
        let failed = |why: String| DatabaseError::Open { place: source.to_string(), why };
        let opened = tokio::time::timeout(OPEN_WITHIN, connect(source, access)).await;
        let url = match source {
            DatabaseSource::File(_) => None,
            DatabaseSource::Server { url, .. } => Some(url.clone()),
        };
        match opened {
            Ok(Ok(driver)) => Ok(Connection { driver, url }),
            Ok(Err(e)) => Err(failed(without_password(url.as_ref(), &e))),
            Err(_) => Err(failed(format!("no session within {OPEN_WITHIN:?}"))),
        }
    }

    /// A whole number.
    pub async fn integer(&mut self, what: &'static str, question: &str) -> Result<i64, DatabaseError> {
        let answer = async { ask!(self, db => sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(db)) };
        let answered = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        self.understood(what, answered)
    }

    /// A text, or null.
    pub async fn text(&mut self, what: &'static str, question: &str) -> Result<Option<String>, DatabaseError> {
        let answer = async { ask!(self, db => sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(db)) };
        let answered = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        self.understood(what, answered)
    }

    /// A statement without an answer.
    pub async fn run(&mut self, what: &'static str, statement: &'static str) -> Result<(), DatabaseError> {
        let done = async { ask!(self, db => async { sqlx::raw_sql(statement).execute(db).await.map(drop) }) };
        let answered = tokio::time::timeout(ANSWER_WITHIN, done).await;
        self.understood(what, answered)
    }

    fn understood<T>(
        &self,
        what: &'static str,
        answered: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, DatabaseError> {
        let failed = |why| DatabaseError::Query { what, why };
        let in_time = answered.map_err(|_| failed(format!("no answer within {ANSWER_WITHIN:?}")))?;
        in_time.map_err(|e| failed(without_password(self.url.as_ref(), &e)))
    }
}

async fn connect(source: &DatabaseSource, access: Access) -> Result<Driver, sqlx::Error> {
    match source {
        DatabaseSource::File(path) => {
            let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY);
            let options = options.read_only(access == Access::Read).disable_statement_logging();
            options.connect().await.map(Driver::Sqlite)
        }
        DatabaseSource::Server { database: Database::MariaDb, url } => {
            let options: MySqlConnectOptions = url.revealed().parse()?;
            Ok(Driver::MariaDb(Box::new(options.disable_statement_logging().connect().await?)))
        }
        DatabaseSource::Server { url, .. } => {
            let options: PgConnectOptions = url.revealed().parse()?;
            Ok(Driver::Postgres(Box::new(options.disable_statement_logging().connect().await?)))
        }
    }
}

fn without_password(url: Option<&DatabaseUrl>, error: &sqlx::Error) -> String {
    let text = error.to_string();
    url.map_or_else(|| text.clone(), |url| url.mask(&text))
}
