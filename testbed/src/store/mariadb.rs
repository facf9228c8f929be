//! MariaDB: its SQL, and the limits that it enforces on this service. MySQL speaks the same protocol and is refused: it
//! ends no transaction that stands still, so that a frozen worker would block all others.

use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Error, Row};

use super::dialect::Dialect;
use super::server::{self, OPEN_LIMIT, unusable};
use super::{Database, Opening, Signature};
use crate::config::DatabaseConfig;

pub(super) const DATABASE: Database = Database {
    schemes: &["mariadb", "mysql"],
    example: "mariadb://host:3306/database",
    idle_step: Some(Duration::from_secs(1)),
    check: |url| server::check(url, str::parse::<MySqlConnectOptions>, PARAMETERS),
    open,
};

const PARAMETERS: &[&str] =
    &["ssl-mode", "sslmode", "ssl-ca", "ssl-cert", "ssl-key", "socket", "charset", "statement-cache-capacity"];

fn open(config: &DatabaseConfig, signature: Signature) -> Opening<'_> {
    Box::pin(async move {
        let address: MySqlConnectOptions = config.url.revealed().parse()?;
        server::within_limit(prepare(&address, signature.witness)).await?;
        let limits = Limits::of(config).session();
        let limited = move |pool: sqlx::pool::PoolOptions<MySql>| {
            let limits = limits.clone();
            pool.after_connect(move |connection, _| {
                let limits = limits.clone();
                Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(limits)).execute(connection).await.map(drop) })
            })
        };
        Ok(Arc::new(server::tables(limited, address, config, signature)) as _)
    })
}

/// What a session is told when it begins.
struct Limits {
    lock: Duration,
    statement: Duration,
    idle: Duration,
}

impl Limits {
    fn of(config: &DatabaseConfig) -> Self {
        Limits { lock: config.busy_timeout, statement: config.statement_timeout, idle: config.idle_timeout }
    }

    /// Only `max_statement_time` takes fractions of a second; it also ends a wait for a lock. `READ COMMITTED` locks no
    /// gaps between rows, in which workers would meet that write different rows. Without a strict mode an amount that
    /// does not fit would be cut to one that does.
    fn session(&self) -> String {
        // Rounded up: 0 would mean "no limit".
        let whole_seconds = |limit: Duration| limit.as_micros().div_ceil(1_000_000);
        format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
             innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}, \
             max_statement_time = {statement}, idle_transaction_timeout = {idle}",
            lock = whole_seconds(self.lock),
            statement = self.statement.as_secs_f64(),
            idle = whole_seconds(self.idle)
        )
    }
}

/// Creates what is missing, on a connection of its own: waiting for another instance may take longer than a write.
async fn prepare(address: &MySqlConnectOptions, witness: bool) -> Result<(), Error> {
    let mut connection = address.connect().await?;
    check_is_primary(&mut connection).await?;
    let patient = Limits { lock: OPEN_LIMIT, statement: OPEN_LIMIT, idle: OPEN_LIMIT }.session();
    sqlx::raw_sql(AssertSqlSafe(patient)).execute(&mut connection).await?;
    create_schema(&mut connection, witness).await?;
    connection.close().await
}

async fn check_is_primary(connection: &mut MySqlConnection) -> Result<(), Error> {
    let row = sqlx::query("SELECT VERSION() AS version, @@read_only AS read_only").fetch_one(connection).await?;
    let version: String = row.try_get("version")?;
    if !version.contains("MariaDB") {
        return Err(unusable(format!("this server is MySQL {version}; MariaDB 10.3 or newer is needed")));
    }
    if row.try_get::<i64, _>("read_only")? != 0 {
        return Err(unusable("this server is read-only (@@read_only); name its primary in database.url"));
    }
    Ok(())
}

/// Instances that start together wait for each other. The lock ends with its connection at the latest.
async fn create_schema(connection: &mut MySqlConnection, witness: bool) -> Result<(), Error> {
    const LOCK: &str = "CONCAT('expectation.', MD5(DATABASE()))";
    let lock = format!("SELECT GET_LOCK({LOCK}, {}) AS locked", OPEN_LIMIT.as_secs());
    let row = sqlx::query(AssertSqlSafe(lock)).fetch_one(&mut *connection).await?;
    if row.try_get::<Option<i64>, _>("locked")? != Some(1) {
        return Err(unusable("another instance has been creating the tables for too long"));
    }
    for object in SCHEMA.iter().filter(|object| witness || !object.of_witness) {
        object.create_if_missing(connection).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("DO RELEASE_LOCK({LOCK})"))).execute(connection).await.map(drop)
}

/// A table or a trigger. `CREATE … IF NOT EXISTS` would ask for rights that a running service does not need.
struct Object {
    of_witness: bool,
    /// In `information_schema`, by the name of what is to be there.
    find: &'static str,
    create: &'static str,
}

impl Object {
    async fn create_if_missing(&self, connection: &mut MySqlConnection) -> Result<(), Error> {
        if sqlx::query(self.find).fetch_optional(&mut *connection).await?.is_some() {
            return Ok(());
        }
        sqlx::raw_sql(self.create).execute(connection).await.map(drop)
    }
}

const SCHEMA: &[Object] = &[
    Object {
        of_witness: false,
        find: "SELECT 1 FROM information_schema.tables
               WHERE table_schema = DATABASE() AND table_name = 'equipment_expectation_summary'",
        create: "CREATE TABLE equipment_expectation_summary (
            id                   BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
            game_character_id    BIGINT         NOT NULL,
            preset_no            SMALLINT       NOT NULL CHECK (preset_no BETWEEN 1 AND 3),
            total_expected_cost  DECIMAL(20, 2) NOT NULL CHECK (total_expected_cost >= 0),
            black_cube_cost      DECIMAL(20, 2) NOT NULL CHECK (black_cube_cost >= 0),
            red_cube_cost        DECIMAL(20, 2) NOT NULL CHECK (red_cube_cost >= 0),
            additional_cube_cost DECIMAL(20, 2) NOT NULL CHECK (additional_cube_cost >= 0),
            starforce_cost       DECIMAL(20, 2) NOT NULL CHECK (starforce_cost >= 0),
            calculated_at        DATETIME(3)    NOT NULL,
            version              BIGINT         NOT NULL,
            write_seq            BIGINT         NOT NULL,
            written_by           VARCHAR(255)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
            UNIQUE KEY (game_character_id, preset_no)
        ) ENGINE = InnoDB",
    },
    Object {
        of_witness: true,
        find: "SELECT 1 FROM information_schema.tables
               WHERE table_schema = DATABASE() AND table_name = 'expectation_write_witness'",
        create: "CREATE TABLE expectation_write_witness (
            id                BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
            game_character_id BIGINT       NOT NULL,
            preset_no         SMALLINT     NOT NULL,
            old_seq           BIGINT,
            new_seq           BIGINT       NOT NULL,
            written_by        VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
            kind              VARCHAR(9)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
                                           CHECK (kind IN ('attempted', 'dropped')),
            KEY (game_character_id)
        ) ENGINE = InnoDB",
    },
    // BEFORE INSERT fires for every upsert, also for one that then loses the version test. A trigger may not lock rows
    // of its own table, so `old_seq` is what was committed when the attempt began. Where a binary log is kept, creating
    // one takes SUPER, or log_bin_trust_function_creators.
    Object {
        of_witness: true,
        find: "SELECT 1 FROM information_schema.triggers
               WHERE trigger_schema = DATABASE() AND trigger_name = 'expectation_write_attempted'",
        create: "CREATE TRIGGER expectation_write_attempted BEFORE INSERT ON equipment_expectation_summary
            FOR EACH ROW INSERT INTO expectation_write_witness
                (game_character_id, preset_no, old_seq, new_seq, written_by, kind)
            VALUES (NEW.game_character_id, NEW.preset_no,
                    (SELECT write_seq FROM equipment_expectation_summary
                      WHERE game_character_id = NEW.game_character_id AND preset_no = NEW.preset_no),
                    NEW.write_seq, NEW.written_by, 'attempted')",
    },
];

impl Dialect for MySql {
    const BEGIN: &'static str = "BEGIN";
    const HUNDREDTHS: &'static str = "0.01 * ";
    const NOW: &'static str = "UTC_TIMESTAMP(3)";
    /// Assignments run left to right: `write_seq`, on which the others depend, is the last.
    const ON_CONFLICT: &'static str = " ON DUPLICATE KEY UPDATE
        total_expected_cost = IF(VALUES(write_seq) > write_seq, VALUES(total_expected_cost), total_expected_cost),
        black_cube_cost = IF(VALUES(write_seq) > write_seq, VALUES(black_cube_cost), black_cube_cost),
        red_cube_cost = IF(VALUES(write_seq) > write_seq, VALUES(red_cube_cost), red_cube_cost),
        additional_cube_cost = IF(VALUES(write_seq) > write_seq, VALUES(additional_cube_cost), additional_cube_cost),
        starforce_cost = IF(VALUES(write_seq) > write_seq, VALUES(starforce_cost), starforce_cost),
        calculated_at = IF(VALUES(write_seq) > write_seq, VALUES(calculated_at), calculated_at),
        version = IF(VALUES(write_seq) > write_seq, version + 1, version),
        written_by = IF(VALUES(write_seq) > write_seq, VALUES(written_by), written_by),
        write_seq = IF(VALUES(write_seq) > write_seq, VALUES(write_seq), write_seq)";
    const READ: &'static str = "SELECT preset_no, write_seq,
        CAST(total_expected_cost * 100 AS SIGNED) AS total_expected_cost,
        CAST(black_cube_cost * 100 AS SIGNED) AS black_cube_cost, CAST(red_cube_cost * 100 AS SIGNED) AS red_cube_cost,
        CAST(additional_cube_cost * 100 AS SIGNED) AS additional_cube_cost,
        CAST(starforce_cost * 100 AS SIGNED) AS starforce_cost
        FROM equipment_expectation_summary WHERE game_character_id = ? ORDER BY preset_no";

    fn refuses_content(error: &dyn DatabaseError) -> bool {
        server::refuses_content(error)
    }

    fn rolled_back_for_another(error: &dyn DatabaseError) -> bool {
        server::rolled_back_for_another(error)
    }
}
