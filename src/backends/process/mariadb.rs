//! How a private MariaDB is made and started.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::process::Command;

use super::recipe::{Grounds, NAME, Recipe, program};
use crate::plan::Database;

const USER: &str = "mxctl";

/// A small one: it is made for every run.
const REDO_LOG: &str = "--innodb-log-file-size=32M";

pub(super) const RECIPE: Recipe = Recipe {
    database: Database::MariaDb,
    word: "mariadb",
    end: Signal::SIGTERM,
    remedy: "install it with `testbed/provision mariadb`, or use `--database sqlite`",
    initialise,
    serve,
    open: |grounds| Box::pin(open(grounds)),
    url: |port| format!("mariadb://{USER}@127.0.0.1:{port}/{NAME}?ssl-mode=DISABLED"),
};

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

fn init_file(grounds: &Grounds) -> PathBuf {
    grounds.around.join("mariadb-init.sql")
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
