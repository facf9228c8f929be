//! A private redis-server: free port, its own folder, AOF with fsync always, ended with the value that owns it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;

const START_DEADLINE: Duration = Duration::from_secs(20);

pub struct RedisServer {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
    args: Vec<String>,
}

impl RedisServer {
    /// `args` override the settings of the laboratory.
    pub async fn start(args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        // Another process may take the free port before Redis does: then Redis ends, and another port is tried.
        for _ in 0..5 {
            let (port, dir) = (free_port(), tempfile::tempdir().expect("a folder for Redis"));
            let child = spawn(port, &dir, &args);
            let mut server = RedisServer { child, port, dir, args: args.clone() };
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
        self.child = spawn(self.port, &self.dir, &self.args);
        assert!(self.is_ready().await, "redis-server ended at its second start");
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("kill redis-server");
        self.child.wait().expect("reap redis-server");
    }

    /// Returns once it has stopped: a signal takes effect a moment after it was sent.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let deadline = Instant::now() + START_DEADLINE;
        let stat = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&stat).expect("the state of redis-server").contains(") T ") {
            assert!(Instant::now() < deadline, "redis-server not frozen within {START_DEADLINE:?}");
            std::thread::yield_now();
        }
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
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

    /// False when the process ended. It is asked for its pid: the port might be another server's.
    async fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_DEADLINE;
        let pid = format!("process_id:{}\r\n", self.child.id());
        while self.child.try_wait().expect("look at redis-server").is_none() {
            if let Ok(mut connection) = self.connect().await
                && let Ok(info) = redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
                && info.contains(&pid)
                && redis::cmd("DBSIZE").query_async::<u64>(&mut connection).await.is_ok()
            {
                return true;
            }
            assert!(Instant::now() < deadline, "redis-server not ready within {START_DEADLINE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("signal redis-server");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Also right for one that has ended or is frozen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn spawn(port: u16, dir: &tempfile::TempDir, args: &[String]) -> Child {
    let laboratory = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--logfile", "redis.log", "--dir"])
        .arg(dir.path())
        .args(laboratory)
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("start redis-server: {e}; run `testbed/provision redis`"))
}
