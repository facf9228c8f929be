//! How a private PostgreSQL is made and started.
//!
//! # Why without a Unix socket
//! The path of one may have 107 bytes, and a run's folder may lie deeper. Only this machine reaches it over TCP.
//!
//! # Why two users
//! Whoever is a superuser of PostgreSQL runs programs as the user of its process. Any user of this machine may come as
//! [`USER`], who owns one database; the superuser's password is this run's secret.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::process::Command;

use super::recipe::{Grounds, NAME, Recipe, program};
use crate::plan::Database;

const SUPERUSER: &str = "postgres";
const USER: &str = "mxctl";

/// How much log is kept: segments that are no longer needed are used again, down to the first.
const LITTLE_LOG: [&str; 4] = ["-c", "min_wal_size=32MB", "-c", "max_wal_size=48MB"];

pub(super) const RECIPE: Recipe = Recipe {
    database: Database::Postgres,
    word: "postgres",
    // "Fast shutdown": open transactions are rolled back, and what was committed is written.
    end: Signal::SIGINT,
    remedy: "install it with `testbed/provision postgres`, or use `--database sqlite`",
    initialise,
    serve,
    open: |grounds| Box::pin(open(grounds)),
    make_room_for_the_log: |grounds| Box::pin(checkpoint(grounds)),
    url: |port| format!("postgres://{USER}@127.0.0.1:{port}/{NAME}?sslmode=disable"),
    connections: |url| Box::pin(connections(url)),
    disconnect: |url| Box::pin(disconnect(url)),
};

fn initialise(grounds: &Grounds) -> std::io::Result<Command> {
    let access = format!("host all {USER} 127.0.0.1/32 trust\nhost all {SUPERUSER} 127.0.0.1/32 scram-sha-256\n");
    std::fs::write(access_file(grounds), access)?;
    let password = grounds.around.join("postgres-password");
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(&password)?.write_all(grounds.secret.as_bytes())?;
    if let Some(user) = grounds.user {
        user.own(&password)?;
    }
    let mut initdb = Command::new(program("initdb", &versions())?);
    initdb.arg("-D").arg(data(grounds.folder)).arg("--pwfile").arg(password);
    initdb.args(["-U", SUPERUSER, "--auth=scram-sha-256", "--no-sync", "--no-locale"]);
    initdb.args(["--encoding=UTF8", "--wal-segsize=4"]).current_dir(grounds.folder);
    Ok(initdb)
}

fn serve(grounds: &Grounds) -> std::io::Result<Command> {
    // It has served, and nobody needs it on a disk. At another try it is gone already.
    let _ = std::fs::remove_file(grounds.around.join("postgres-password"));
    let mut postgres = Command::new(program("postgres", &versions())?);
    postgres.arg("-D").arg(data(grounds.folder)).args(["-p", &grounds.port.to_string()]);
    postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    postgres.arg("-c").arg(format!("hba_file={}", access_file(grounds).display()));
    postgres.arg("-c").arg(format!("max_connections={}", grounds.connections)).current_dir(grounds.folder);
    if grounds.in_a_room {
        postgres.args(LITTLE_LOG);
    }
    Ok(postgres)
}

async fn as_superuser(grounds: &Grounds<'_>) -> Result<PgConnection, sqlx::Error> {
    let address = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(grounds.port);
    let address = address.username(SUPERUSER).password(grounds.secret).ssl_mode(PgSslMode::Disable);
    address.database("postgres").disable_statement_logging().connect().await
}

async fn open(grounds: &Grounds<'_>) -> Result<(), sqlx::Error> {
    let mut connection = as_superuser(grounds).await?;
    let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
    if Path::new(&folder) != data(grounds.folder) {
        return Err(sqlx::Error::Protocol("another server took the port".into()));
    }
    let there = "SELECT count(*) FROM pg_database WHERE datname = $1";
    if sqlx::query_scalar::<_, i64>(there).bind(NAME).fetch_one(&mut connection).await? == 0 {
        for statement in [format!("CREATE ROLE {USER} LOGIN CREATEDB"), format!("CREATE DATABASE {NAME} OWNER {USER}")]
        {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
    }
    connection.close().await
}

/// It makes segments of the log that are over into the next ones.
async fn checkpoint(grounds: &Grounds<'_>) -> Result<(), sqlx::Error> {
    let mut connection = as_superuser(grounds).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
    connection.close().await
}

/// A pid may come again; a pid with the moment at which its connection began does not.
async fn connections(url: &str) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let asked = "SELECT pid || '@' || backend_start FROM pg_stat_activity \
                 WHERE usename = current_user AND pid <> pg_backend_pid()";
    let found: Vec<String> = sqlx::query_scalar(asked).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(found.into_iter().collect())
}

async fn disconnect(url: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE usename = current_user AND pid <> pg_backend_pid()";
    sqlx::raw_sql(all).execute(&mut connection).await?;
    connection.close().await
}

/// Who may come in: beside the data, where the server's own user cannot change it.
fn access_file(grounds: &Grounds) -> PathBuf {
    grounds.around.join("postgres-hba.conf")
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Debian keeps the programs of each version in a folder of their own: the newest first.
fn versions() -> Vec<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let numbered = debian.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbered.collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))).collect()
}
