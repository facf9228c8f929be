//! A database of its own for a test, of each kind that the service knows, read as an oracle would that does not trust
//! the service.

use std::any::Any;
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow};
use tempfile::TempDir;

use super::database_server::Server;
use super::mariadb::MariaDb;
use super::postgres::Postgres;

/// Every database of the list: a new one joins by its word here, and its arms below.
pub const DATABASES: &[&str] = &["sqlite", "postgres", "mariadb"];

pub struct Database {
    pub word: &'static str,
    pub url: String,
    place: Place,
}

enum Place {
    Sqlite(TempDir),
    Postgres(Option<Server<Postgres>>),
    MariaDb(Option<Server<MariaDb>>),
}

/// One row, its costs in hundredths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    pub key: i64,
    pub preset: u8,
    pub seq: i64,
    pub costs: [i64; 5],
    pub version: i64,
    pub written_by: String,
}

/// (key, preset, old seq, new seq, kind).
pub type Sighting = (i64, i16, Option<i64>, i64, String);

/// Those of the list that are servers.
pub const SERVERS: &[&str] = &["postgres", "mariadb"];

/// One new database of each kind.
pub async fn every_database() -> Vec<Database> {
    let mut databases = Vec::new();
    for word in DATABASES {
        databases.push(Database::new(word).await);
    }
    databases
}

impl Database {
    /// On a server that the tests of this binary share.
    pub async fn new(word: &'static str) -> Self {
        match word {
            "sqlite" => Self::file(),
            "postgres" => {
                let url = Server::<Postgres>::shared().await.database().await;
                Database { word, url, place: Place::Postgres(None) }
            }
            "mariadb" => {
                let url = Server::<MariaDb>::shared().await.database().await;
                Database { word, url, place: Place::MariaDb(None) }
            }
            other => panic!("give the laboratory a database for {other:?}"),
        }
    }

    /// One that can go away: on a server of its own, which keeps what was committed.
    pub async fn alone(word: &'static str) -> Self {
        match word {
            "postgres" => {
                let server = Server::<Postgres>::start().await;
                Database { word, url: server.database().await, place: Place::Postgres(Some(server)) }
            }
            "mariadb" => {
                let server = Server::<MariaDb>::start().await;
                Database { word, url: server.database().await, place: Place::MariaDb(Some(server)) }
            }
            _ => Self::new(word).await,
        }
    }

    /// A file, which needs no server.
    pub fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder for a database file");
        let url = format!("sqlite://{}", folder.path().join("expectation.db").display());
        Database { word: "sqlite", url, place: Place::Sqlite(folder) }
    }

    pub async fn rows(&self) -> Vec<StoredRow> {
        let costs =
            ["total_expected_cost", "black_cube_cost", "red_cube_cost", "additional_cube_cost", "starforce_cost"]
                .map(|column| self.hundredths(column));
        let sql = format!(
            "SELECT game_character_id, preset_no, write_seq, {}, version, written_by
             FROM equipment_expectation_summary ORDER BY game_character_id, preset_no",
            costs.join(", ")
        );
        type Columns = (i64, i16, i64, i64, i64, i64, i64, i64, i64, String);
        let row = |(key, preset, seq, a, b, c, d, e, version, written_by): Columns| StoredRow {
            key,
            preset: preset as u8,
            seq,
            costs: [a, b, c, d, e],
            version,
            written_by,
        };
        self.select(&sql).await.into_iter().map(row).collect()
    }

    fn hundredths(&self, column: &str) -> String {
        match self.place {
            Place::Sqlite(_) => column.to_owned(),
            Place::Postgres(_) => format!("({column} * 100)::bigint"),
            Place::MariaDb(_) => format!("CAST({column} * 100 AS SIGNED)"),
        }
    }

    /// In the order of the log.
    pub async fn witness(&self) -> Vec<Sighting> {
        let columns = "game_character_id, preset_no, old_seq, new_seq, kind";
        self.select(&format!("SELECT {columns} FROM expectation_write_witness ORDER BY id")).await
    }

    /// Whether a table or a trigger of the witness is there.
    pub async fn has_witness(&self) -> bool {
        let sql = match self.place {
            Place::Sqlite(_) => "SELECT name FROM sqlite_master WHERE name LIKE '%witness%' OR type = 'trigger'",
            Place::Postgres(_) => {
                "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
                 AND (relhastriggers OR relname LIKE '%witness%')"
            }
            Place::MariaDb(_) => {
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()
                 AND table_name LIKE '%witness%'
                 UNION SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
            }
        };
        !self.select::<(String,)>(sql).await.is_empty()
    }

    pub async fn select<T>(&self, sql: &str) -> Vec<T>
    where
        T: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow>,
    {
        let sql = AssertSqlSafe(sql.to_owned());
        let rows = match &self.place {
            Place::Sqlite(_) => sqlx::query_as(sql).fetch_all(&mut self.sqlite().await).await,
            Place::Postgres(_) => sqlx::query_as(sql).fetch_all(&mut self.postgres().await).await,
            Place::MariaDb(_) => sqlx::query_as(sql).fetch_all(&mut self.mariadb().await).await,
        };
        rows.unwrap_or_else(|error| panic!("{}: {error}", self.word))
    }

    async fn sqlite(&self) -> SqliteConnection {
        let options: SqliteConnectOptions = self.url.parse().expect("a URL of a file");
        options.connect().await.expect("open the database file")
    }

    async fn postgres(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connect to postgres")
    }

    async fn mariadb(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url).await.expect("connect to mariadb")
    }

    /// Lets nobody write until what comes back is dropped.
    pub async fn lock(&self) -> Lock {
        let connection: Box<dyn Any + Send> = match &self.place {
            Place::Sqlite(_) => Box::new(holding(self.sqlite().await, "BEGIN IMMEDIATE").await),
            Place::Postgres(_) => {
                let sql = "BEGIN; LOCK TABLE equipment_expectation_summary IN EXCLUSIVE MODE";
                Box::new(holding(self.postgres().await, sql).await)
            }
            Place::MariaDb(_) => {
                let sql = "LOCK TABLES equipment_expectation_summary READ";
                Box::new(holding(self.mariadb().await, sql).await)
            }
        };
        Lock { _connection: connection }
    }

    /// How many sessions wait for a lock, and how many stand still in a transaction. Of a file nobody can say.
    pub async fn waiting_and_idle(&self) -> (i64, i64) {
        let sql = match &self.place {
            Place::Sqlite(_) => panic!("a file has no sessions"),
            Place::Postgres(_) => {
                "SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
                    count(*) FILTER (WHERE state = 'idle in transaction') FROM pg_stat_activity"
            }
            Place::MariaDb(_) => {
                "SELECT
                    (SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%lock')
                    + (SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'),
                    (SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist
                        ON id = trx_mysql_thread_id WHERE command = 'Sleep')"
            }
        };
        if let Place::MariaDb(_) = self.place {
            // InnoDB looks anew only when it was not asked for a tenth of a second.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        self.select::<(i64, i64)>(sql).await.remove(0)
    }

    /// From now on it can be read only, as a standby can. A file is not asked for that.
    pub async fn refuse_writes(&self) {
        match &self.place {
            Place::Sqlite(_) => panic!("a file is no standby"),
            Place::Postgres(server) => server.as_ref().expect("a server of its own").restart_read_only().await,
            Place::MariaDb(server) => server.as_ref().expect("a server of its own").restart_read_only().await,
        }
    }

    /// Cuts every connection, or, where there are none, locks the file for longer than anybody waits.
    pub async fn go_away(&self) -> Outage<'_> {
        match &self.place {
            Place::Sqlite(_) => return Outage { database: self, lock: Some(self.lock().await) },
            Place::Postgres(server) => server.as_ref().expect("a server of its own").kill(),
            Place::MariaDb(server) => server.as_ref().expect("a server of its own").kill(),
        }
        Outage { database: self, lock: None }
    }
}

/// A lock on the table; its end is that of the connection.
#[must_use]
pub struct Lock {
    _connection: Box<dyn Any + Send>,
}

#[must_use]
pub struct Outage<'a> {
    database: &'a Database,
    lock: Option<Lock>,
}

impl Outage<'_> {
    pub async fn end(self) {
        drop(self.lock);
        match &self.database.place {
            Place::Sqlite(_) => {}
            Place::Postgres(server) => server.as_ref().expect("a server of its own").start_again().await,
            Place::MariaDb(server) => server.as_ref().expect("a server of its own").start_again().await,
        }
    }
}

async fn holding<C>(mut connection: C, sql: &'static str) -> C
where
    C: Connection,
    for<'c> &'c mut C: sqlx::Executor<'c, Database = C::Database>,
{
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("a lock");
    connection
}
