//! A private redis-server: free port, its own folder, AOF with fsync always, ended with the value that owns it.

use std::path::Path;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, InfoDict};
use tempfile::TempDir;

use super::server_process::{ServerProcess, free_port, is_ready, own_command};

/// As `testbed/provision` calls it.
const PART: &str = "redis";

pub struct RedisServer {
    /// Before the folder: first the process ends, then its files.
    process: ServerProcess,
    port: u16,
    dir: TempDir,
    args: Vec<String>,
}

impl RedisServer {
    /// `args` override the settings of the laboratory.
    pub async fn start(args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        // Another process may take the free port before Redis does: then Redis ends, and another port is tried.
        for _ in 0..5 {
            let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder for Redis"));
            let process = spawn(port, dir.path(), &args);
            let server = RedisServer { process, port, dir, args: args.clone() };
            if server.is_ready().await {
                return server;
            }
        }
        panic!("redis-server ended at each of five ports");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The next life, on the same port and the same files.
    pub async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    pub async fn restart_with(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|a| (*a).to_owned()));
        self.process = spawn(self.port, self.dir.path(), &self.args);
        assert!(self.is_ready().await, "redis-server ended at its second start");
    }

    pub fn kill(&self) {
        self.process.kill();
    }

    pub fn freeze(&self) {
        self.process.freeze();
    }

    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// One command on a connection of its own, as a person at `redis-cli` would.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let mut connection = self.connect().await.expect("connect to redis-server");
        command.query_async(&mut connection).await.unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }

    /// False when the process ended.
    async fn is_ready(&self) -> bool {
        is_ready(&self.process, "redis-server", async || self.answers().await.unwrap_or(false)).await
    }

    /// It is asked for its pid: the port might be another server's. While it loads its data, DBSIZE is refused.
    async fn answers(&self) -> redis::RedisResult<bool> {
        let mut connection = self.connect().await?;
        let info: InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        redis::cmd("DBSIZE").query_async::<u64>(&mut connection).await?;
        Ok(info.get("process_id") == Some(self.process.pid().as_raw()))
    }
}

fn spawn(port: u16, dir: &Path, args: &[String]) -> ServerProcess {
    let mut command = own_command(Path::new("redis-server"));
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.args(["--port", &port.to_string(), "--dir"]).arg(dir).args(args);
    ServerProcess::spawn(PART, command, &dir.join("redis.log"))
}
