//! A private PostgreSQL, whose user has a password that must be encoded in a URL.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::OnceCell;

use super::database_server::{Make, Server, end_with_this_process};
use super::server_process::{command, missing, run};

pub struct Postgres;

/// `p@ss:w/rd` as a URL holds it.
const ENCODED_PASSWORD: &str = "p%40ss%3Aw%2Frd";
const PASSWORD: &str = "p@ss:w/rd";

impl Make for Postgres {
    const PART: &'static str = "postgres";
    const END: Signal = Signal::SIGINT;

    fn initialise(folder: &Path) {
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).expect("a file with the password");
        let mut initdb = command(&program("initdb"), Self::END);
        initdb.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(password);
        initdb.args(["-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        initdb.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--wal-segsize=1"]);
        run(Self::PART, initdb);
    }

    fn command(folder: &Path, port: u16, careless: bool) -> Command {
        let mut postgres = command(&program("postgres"), Self::END);
        postgres.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
        if careless {
            postgres.args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]);
        }
        postgres
    }

    async fn answers(folder: &Path, port: u16) -> bool {
        // Over its socket, whose folder is its own: the port might be another server's.
        let own = format!("postgres:///postgres?host={}&port={port}&user=postgres", folder.display());
        PgConnection::connect(&own).await.is_ok()
    }

    /// It follows a primary that there is none of.
    fn refuse_writes(folder: &Path) {
        std::fs::write(folder.join("data/standby.signal"), "").expect("a file that makes it a standby");
    }

    /// A schema of its own is as good as a database, and made in a tenth of the time.
    async fn create(port: u16, name: &str) {
        let mut connection = PgConnection::connect(&Self::url(port, "public")).await.expect("connect to postgres");
        let schema = AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        sqlx::raw_sql(schema).execute(&mut connection).await.expect("a schema");
    }

    fn url(port: u16, name: &str) -> String {
        let address = format!("postgres://postgres:{ENCODED_PASSWORD}@127.0.0.1:{port}/postgres");
        format!("{address}?options=-csearch_path%3D{name}")
    }

    fn shared() -> &'static OnceCell<Server<Self>> {
        static SERVER: OnceCell<Server<Postgres>> = OnceCell::const_new();
        static AT_EXIT: std::sync::Once = std::sync::Once::new();
        AT_EXIT.call_once(end_with_this_process::<Postgres>);
        &SERVER
    }
}

/// Debian keeps the programs of each version in a folder of their own.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let debian = newest.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/{name}")));
    let in_path =
        || std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|p| p.exists());
    let found = debian.filter(|program| program.exists()).or_else(in_path);
    found.unwrap_or_else(|| missing(Postgres::PART, &format!("no program {name}")))
}
