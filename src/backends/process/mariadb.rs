//! How a private MariaDB is made and started.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::process::Command;

use super::recipe::{Grounds, NAME, Recipe, program};
use crate::plan::Database;

const USER: &str = "mxctl";

/// A small one: it is made for every run.
const REDO_LOG: &str = "--innodb-log-file-size=32M";

/// All tables in one file that grows by a MiB. With a file each, every one has megabytes in reserve, and is written for
/// many seconds on a disk that is full.
const LITTLE_RESERVE: [&str; 2] = ["--innodb-file-per-table=0", "--innodb-autoextend-increment=1"];

pub(super) const RECIPE: Recipe = Recipe {
    database: Database::MariaDb,
    word: "mariadb",
    end: Signal::SIGTERM,
    remedy: "install it with `testbed/provision mariadb`, or use `--database sqlite`",
    initialise,
    serve,
    open: |grounds| Box::pin(open(grounds)),
    // Its redo log has its whole size from the beginning.
    make_room_for_the_log: |_| Box::pin(std::future::ready(Ok(()))),
    url: |port| format!("mariadb://{USER}@127.0.0.1:{port}/{NAME}?ssl-mode=DISABLED"),
    connections: |url| Box::pin(connections(url)),
    disconnect: |url| Box::pin(disconnect(url)),
};

/// `ER_NO_SUCH_THREAD`: it has ended by itself.
const NO_SUCH_THREAD: u16 = 1094;

fn initialise(grounds: &Grounds) -> std::io::Result<Command> {
    // Statements are lines there, executed whenever the server starts. `root` comes over the socket in the data folder,
    // which only its owner can enter; any user of this machine may come as the other, who owns one database.
    let statements = format!(
        "DROP USER IF EXISTS root@127.0.0.1;\nDROP USER IF EXISTS root@'::1';\n\
         CREATE USER IF NOT EXISTS {USER}@127.0.0.1;\nCREATE DATABASE IF NOT EXISTS {NAME};\n\
         GRANT ALL ON {NAME}.* TO {USER}@127.0.0.1;\n"
    );
    std::fs::write(init_file(grounds), statements)?;
    let folder = grounds.folder;
    let mut install = Command::new(program("mariadb-install-db", &[])?);
    install.arg("--no-defaults").arg(format!("--datadir={}", data(folder).display())).current_dir(folder);
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db", REDO_LOG]);
    Ok(install)
}

fn serve(grounds: &Grounds) -> std::io::Result<Command> {
    let folder = grounds.folder;
    let mut mariadbd = Command::new(program("mariadbd", &[PathBuf::from("/usr/sbin")])?);
    mariadbd.arg("--no-defaults").arg(format!("--datadir={}", data(folder).display()));
    mariadbd.arg(format!("--tmpdir={}", folder.display())).arg(format!("--port={}", grounds.port));
    // Relative to the data folder: the path of a socket may have 107 bytes.
    mariadbd.args(["--bind-address=127.0.0.1", "--socket=socket", "--pid-file=pid", "--skip-name-resolve"]);
    mariadbd.args(["--performance-schema=0", "--innodb-buffer-pool-size=64M", REDO_LOG]);
    mariadbd.arg(format!("--init-file={}", init_file(grounds).display()));
    mariadbd.arg(format!("--max-connections={}", grounds.connections)).current_dir(folder);
    if grounds.in_a_room {
        mariadbd.args(LITTLE_RESERVE);
    }
    Ok(mariadbd)
}

async fn open(grounds: &Grounds<'_>) -> Result<(), sqlx::Error> {
    let address = MySqlConnectOptions::new().host("127.0.0.1").port(grounds.port).username(USER).database(NAME);
    let mut connection: MySqlConnection = address.disable_statement_logging().connect().await?;
    let folder: String = sqlx::query_scalar("SELECT @@datadir").fetch_one(&mut connection).await?;
    if Path::new(folder.trim_end_matches('/')) != data(grounds.folder) {
        return Err(sqlx::Error::Protocol("another server took the port".into()));
    }
    connection.close().await
}

async fn connections(url: &str) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut connection = MySqlConnection::connect(url).await?;
    let found = others(&mut connection).await?;
    connection.close().await?;
    Ok(found)
}

/// The ids of all connections but this one: they count up.
async fn others(connection: &mut MySqlConnection) -> Result<BTreeSet<String>, sqlx::Error> {
    let asked = "SELECT CAST(id AS CHAR) FROM information_schema.processlist \
                 WHERE user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1) AND id <> CONNECTION_ID()";
    let found: Vec<String> = sqlx::query_scalar(asked).fetch_all(connection).await?;
    Ok(found.into_iter().collect())
}

async fn disconnect(url: &str) -> Result<(), sqlx::Error> {
    let mut connection = MySqlConnection::connect(url).await?;
    for id in others(&mut connection).await? {
        let killed = sqlx::raw_sql(AssertSqlSafe(format!("KILL CONNECTION {id}"))).execute(&mut connection).await;
        match killed {
            Err(sqlx::Error::Database(e)) if is_no_such_thread(&*e) => {}
            killed => {
                killed?;
            }
        }
    }
    connection.close().await
}

fn is_no_such_thread(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|error| error.number() == NO_SUCH_THREAD)
}

fn init_file(grounds: &Grounds) -> PathBuf {
    grounds.around.join("mariadb-init.sql")
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
