//! A private redis-server: on a free port of 127.0.0.1, its data in the run's folder, killed with its parent.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Site;
use super::child::Child;
use crate::backends::UpError;
use crate::journal::Entry;
use crate::plan::RedisPlan;
use crate::process::ProcessIdentity;

const READY_WITHIN: Duration = Duration::from_secs(10);
/// A port that was free a moment ago may be taken: try again with another.
const TRIES: usize = 5;

pub(in crate::backends) struct RedisServer {
    port: u16,
    identity: ProcessIdentity,
    ended: watch::Receiver<bool>,
}

impl RedisServer {
    /// Starts it, and waits until it answers. The task that reaps it joins `tasks`: it ends with the server.
    pub async fn start(plan: &RedisPlan, site: &Site, tasks: &mut JoinSet<()>) -> Result<RedisServer, UpError> {
        let folder = site.folder.join("redis");
        std::fs::create_dir_all(&folder).map_err(|source| UpError::Files { path: folder.clone(), source })?;
        let mut last = None;
        for _ in 0..TRIES {
            match RedisServer::try_start(plan, site, &folder, tasks).await {
                Err(e @ UpError::Start { .. }) => last = Some(e),
                done => return done,
            }
        }
        Err(last.expect("there was at least one try"))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn try_start(
        plan: &RedisPlan,
        site: &Site,
        folder: &Path,
        tasks: &mut JoinSet<()>,
    ) -> Result<RedisServer, UpError> {
        let log = site.folder.join("redis.log");
        let failed = |why: String| UpError::Start { name: "redis-server".into(), why, log: log.clone() };
        let port = free_port().map_err(|e| failed(e.to_string()))?;
        site.journal.write(&Entry::Starting { name: "redis".into() })?;
        let child = Child::program("redis", command(port, plan, folder), &log).map_err(|e| missing(e, &log))?;
        let identity = child.identity;
        site.journal.write(&Entry::Started { name: "redis".into(), process: identity })?;
        let ended = reap(child, site, tasks);
        let server = RedisServer { port, identity, ended };
        match server.ready().await {
            Ok(()) => Ok(server),
            Err(why) => {
                // The reason is what counts here; a server that would not end is in the journal.
                let _ = server.stop().await;
                Err(failed(why))
            }
        }
    }

    async fn ready(&self) -> Result<(), String> {
        let mut ended = self.ended.clone();
        let client = redis::Client::open(self.url()).map_err(|e| e.to_string())?;
        // It is asked for its pid: the port may have become another server's, and ours is about to end.
        let pid = format!("process_id:{}\r\n", self.identity.pid);
        let answer = async {
            loop {
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                    && let Ok(info) = redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
                    && info.contains(&pid)
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = answer => Ok(()),
            _ = ended.wait_for(|ended| *ended) => Err("it ended at once".to_owned()),
            () = tokio::time::sleep(READY_WITHIN) => Err(format!("no answer to INFO within {READY_WITHIN:?}")),
        }
    }

    /// SIGTERM, then SIGKILL. Says what would not go.
    pub async fn stop(&self) -> Result<(), String> {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // One that has ended already is what we want.
            let _ = self.identity.signal(signal);
            let mut ended = self.ended.clone();
            if tokio::time::timeout(Duration::from_secs(5), ended.wait_for(|ended| *ended)).await.is_ok() {
                return Ok(());
            }
        }
        Err(format!("redis-server (pid {}) outlives SIGKILL", self.identity.pid))
    }
}

fn command(port: u16, plan: &RedisPlan, folder: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", &plan.appendfsync, "--maxmemory-policy", "noeviction"]);
    command.arg("--dir").arg(folder);
    command
}

fn reap(child: Child, site: &Site, tasks: &mut JoinSet<()>) -> watch::Receiver<bool> {
    let (tell, ended) = watch::channel(false);
    let (journal, process) = (site.journal.clone(), child.identity);
    tasks.spawn(async move {
        child.ended().await;
        // A journal that cannot be written keeps the process as a leftover, which heal finds to be gone.
        let _ = journal.write(&Entry::Ended { name: "redis".into(), process });
        let _ = tell.send(true);
    });
    ended
}

fn missing(error: std::io::Error, log: &Path) -> UpError {
    match error.kind() {
        std::io::ErrorKind::NotFound => UpError::Missing {
            what: "redis-server".into(),
            why: "not on the PATH".into(),
            remedy: "install it with `testbed/provision redis`, or use `--strategy in-memory`".into(),
        },
        _ => UpError::Start { name: "redis-server".into(), why: error.to_string(), log: PathBuf::from(log) },
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
