//! A private MariaDB, whose user has a password that must be encoded in a URL.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::OnceCell;

use super::database_server::{Make, Server, end_with_this_process};
use super::server_process::{command, run};

pub struct MariaDb;

/// `p@ss:w/rd` as a URL holds it.
const ENCODED_PASSWORD: &str = "p%40ss%3Aw%2Frd";
const PASSWORD: &str = "p@ss:w/rd";

/// Small files: they are made for every server.
const REDO_LOG: &str = "--innodb-log-file-size=4M";

impl Make for MariaDb {
    const PART: &'static str = "mariadb";
    const END: Signal = Signal::SIGTERM;

    fn initialise(folder: &Path) {
        let mut install = command(Path::new("mariadb-install-db"), Self::END);
        install.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db", REDO_LOG]);
        run(Self::PART, install);
        let user = format!(
            "CREATE USER IF NOT EXISTS app@127.0.0.1 IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO app@127.0.0.1;"
        );
        // Statements are lines there.
        std::fs::write(init_file(folder), user.replace("; ", ";\n")).expect("a file of statements");
    }

    fn command(folder: &Path, port: u16, careless: bool) -> Command {
        let mut mariadbd = command(&program(), Self::END);
        mariadbd.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
        mariadbd.arg(format!("--tmpdir={}", folder.display())).arg(format!("--socket={}", socket(folder).display()));
        mariadbd.arg(format!("--pid-file={}", folder.join("pid").display())).arg(format!("--port={port}"));
        mariadbd.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--performance-schema=0"]);
        mariadbd.args(["--innodb-buffer-pool-size=32M", REDO_LOG]);
        mariadbd.arg(format!("--init-file={}", init_file(folder).display()));
        if careless {
            mariadbd.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"]);
        }
        mariadbd
    }

    async fn answers(folder: &Path, _: u16) -> bool {
        // Over its socket, whose folder is its own: the port might be another server's.
        let own = format!("mysql://root@localhost/mysql?socket={}", socket(folder).display());
        MySqlConnection::connect(&own).await.is_ok()
    }

    fn refuse_writes(folder: &Path) {
        let mut statements = OpenOptions::new().append(true).open(init_file(folder)).expect("the file of statements");
        statements.write_all(b"\nSET GLOBAL read_only = 1;\n").expect("one statement more");
    }

    async fn create(port: u16, name: &str) {
        let mut connection = MySqlConnection::connect(&Self::url(port, "mysql")).await.expect("connect to mariadb");
        let database = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(database).execute(&mut connection).await.expect("a database");
    }

    fn url(port: u16, name: &str) -> String {
        format!("mariadb://app:{ENCODED_PASSWORD}@127.0.0.1:{port}/{name}")
    }

    fn shared() -> &'static OnceCell<Server<Self>> {
        static SERVER: OnceCell<Server<MariaDb>> = OnceCell::const_new();
        static AT_EXIT: std::sync::Once = std::sync::Once::new();
        AT_EXIT.call_once(end_with_this_process::<MariaDb>);
        &SERVER
    }
}

/// What the server executes whenever it starts.
fn init_file(folder: &Path) -> PathBuf {
    folder.join("init.sql")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// In `sbin`, which not everybody has in his PATH.
fn program() -> PathBuf {
    let installed = Path::new("/usr/sbin/mariadbd");
    if installed.exists() { installed.to_owned() } else { "mariadbd".into() }
}
