//! A private redis-server: on a free port of 127.0.0.1, its files in the run's folder, killed with its parent. It can be
//! struck, and started again where it was. Who of several is the primary, and who is led where, is not its business.
//!
//! The same program is a sentinel where that is its [`Duty`]: it is started, watched and ended in the same way.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;
use redis::InfoDict;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::child::Child;
use super::port::{self, Tries};
use super::sentinels;
use super::{Site, wait_for_exit};
use crate::backends::{ControlError, Exit, UpError};
use crate::journal::Entry;
use crate::plan::{Persistence, RedisPlan};
use crate::process::ProcessIdentity;

const READY_WITHIN: Duration = Duration::from_secs(10);
/// One command of our own.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the program is to do.
#[derive(Clone)]
pub(super) enum Duty {
    /// It keeps data.
    Serve(RedisPlan),
    /// It watches the primary, which is here.
    Watch(SocketAddr),
}

/// Which of its processes: its name, in the journal and of its folder and its logs, and how many there were, from 1.
type LifeName = (&'static str, usize);

pub(super) struct RedisServer {
    pub name: &'static str,
    duty: Duty,
    pub site: Site,
    port: u16,
    life: Mutex<Life>,
    /// They end with the server; `stop` awaits them.
    reapers: Mutex<JoinSet<()>>,
}

/// One process of the server.
#[derive(Clone)]
struct Life {
    /// How many there were, from 1.
    number: usize,
    identity: ProcessIdentity,
    exit: watch::Receiver<Option<Exit>>,
}

impl RedisServer {
    /// Starts it, and waits until it answers.
    pub async fn start(life: LifeName, duty: &Duty, site: &Site) -> Result<RedisServer, UpError> {
        let mut tries = Tries::new();
        loop {
            match RedisServer::try_start(life, duty, site).await {
                Err(e) if tries.another(&e) => {}
                done => return done,
            }
        }
    }

    pub fn url(&self) -> String {
        url(self.addr())
    }

    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn process(&self) -> ProcessIdentity {
        self.life().identity
    }

    async fn try_start(named: LifeName, duty: &Duty, site: &Site) -> Result<RedisServer, UpError> {
        let port = port::free().map_err(|e| failed(named, site, e.to_string()))?;
        let reapers = Mutex::default();
        let life = bear(named, duty, site, port, &reapers)?.into();
        let server = RedisServer { name: named.0, duty: duty.clone(), site: site.clone(), port, life, reapers };
        if let Err(why) = server.ready().await {
            // The reason is what counts here; a server that would not end is in the journal.
            let _ = server.stop().await;
            return Err(failed(named, site, why));
        }
        Ok(server)
    }

    fn life(&self) -> Life {
        self.life.lock().expect("no code panics while it holds this").clone()
    }

    /// Waits until it has loaded its data.
    async fn ready(&self) -> Result<(), String> {
        let mut life = self.life();
        let client = redis::Client::open(self.url()).map_err(|e| e.to_string())?;
        // It is asked for its pid: the port may have become another server's, and ours is about to end.
        let pid = life.identity.pid;
        let answer = async {
            loop {
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                    && let Ok(info) = redis::cmd("INFO").query_async::<InfoDict>(&mut connection).await
                    && info.get("process_id") == Some(pid)
                    && info.get("loading") != Some(true)
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = answer => Ok(()),
            _ = life.exit.wait_for(Option::is_some) => Err("it ended at once".to_owned()),
            () = tokio::time::sleep(READY_WITHIN) => Err(format!("no answer to INFO within {READY_WITHIN:?}")),
        }
    }

    /// SIGTERM (and SIGCONT: a frozen one would not notice), then SIGKILL. Says what would not go.
    pub async fn stop(&self) -> Result<(), String> {
        let Life { identity, exit, .. } = self.life();
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // One that has ended already is what we want.
            let _ = identity.signal(signal);
            let _ = identity.signal(Signal::SIGCONT);
            if wait_for_exit(exit.clone(), Duration::from_secs(5)).await.is_some() {
                let mut reapers = std::mem::take(&mut *self.reapers());
                while reapers.join_next().await.is_some() {}
                return Ok(());
            }
        }
        Err(format!("redis-server (pid {}) outlives SIGKILL", identity.pid))
    }

    fn reapers(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.reapers.lock().expect("no code panics while it holds the reapers")
    }

    /// Where a snapshot would be put, and a folder can stand in its way.
    pub fn in_the_way(&self, file: &str) -> PathBuf {
        self.site.folder.join(self.name).join(file)
    }

    /// One command, whose answer is an error or of no interest.
    pub async fn tell(&self, words: &[String]) -> Result<(), ControlError> {
        self.ask::<redis::Value>(words).await.map(drop)
    }

    /// How far its history goes, in bytes: of its own, or what it has got of its primary's.
    pub async fn offset(&self) -> Result<u64, ControlError> {
        self.replication()
            .await?
            .get("master_repl_offset")
            .ok_or_else(|| ControlError::Tell { what: "INFO replication".into(), why: "it tells no offset".into() })
    }

    /// Whether it is a replica that is in touch with its primary.
    pub async fn follows(&self) -> Result<bool, ControlError> {
        let info = self.replication().await?;
        let up = info.get::<String>("master_link_status").is_some_and(|status| status == "up");
        Ok(up && info.get("master_sync_in_progress") == Some(false))
    }

    /// Whether it is a replica, be it in touch with its primary or not.
    pub async fn is_replica(&self) -> Result<bool, ControlError> {
        Ok(self.replication().await?.get::<String>("role").is_some_and(|role| role == "slave"))
    }

    async fn replication(&self) -> Result<InfoDict, ControlError> {
        self.ask(&["INFO".to_owned(), "replication".to_owned()]).await
    }

    async fn ask<T: redis::FromRedisValue>(&self, words: &[String]) -> Result<T, ControlError> {
        let refused = |why: String| ControlError::Tell { what: words.join(" "), why };
        let (name, arguments) = words.split_first().expect("a command has a name");
        let asking = async {
            let client = redis::Client::open(self.url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd(name).arg(arguments).query_async::<T>(&mut connection).await
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let answer = answer.map_err(|_| refused(format!("no answer within {PATIENCE:?}")))?;
        answer.map_err(|e| refused(e.to_string()))
    }

    /// Sends a signal that is in the journal before.
    pub fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        self.site.signal(self.name, self.process(), signal)
    }

    pub async fn exited(&self, within: Duration) -> Option<Exit> {
        wait_for_exit(self.life().exit, within).await
    }

    /// Starts a process where one has ended: the same port, folder and settings.
    pub async fn start_again(&self) -> Result<(), ControlError> {
        let number = self.life().number + 1;
        let started = |e: UpError| ControlError::Start(e.to_string());
        let life = bear((self.name, number), &self.duty, &self.site, self.port, &self.reapers).map_err(started)?;
        *self.life.lock().expect("no code panics while it holds this") = life;
        self.ready().await.map_err(|why| started(failed((self.name, number), &self.site, why)))
    }
}

/// Starts a process of the server; it is in the journal before it exists.
fn bear(
    (name, number): LifeName,
    duty: &Duty,
    site: &Site,
    port: u16,
    reapers: &Mutex<JoinSet<()>>,
) -> Result<Life, UpError> {
    let folder = site.folder.join(name);
    std::fs::create_dir_all(&folder).map_err(|source| UpError::Files { path: folder.clone(), source })?;
    let log = log((name, number), site);
    site.journal.write(&Entry::Starting { name: name.into() })?;
    let command = command(port, duty, &folder).map_err(|source| UpError::Files { path: folder, source })?;
    let child = Child::program(name, command, &log).map_err(|e| missing(e, &log))?;
    let identity = child.identity;
    site.journal.write(&Entry::Started { name: name.into(), process: identity })?;
    let (tell, exit) = watch::channel(None);
    let (journal, clock) = (site.journal.clone(), site.clock.clone());
    let reap = async move {
        let (code, signal) = child.ended().await;
        let at = clock.now();
        // A journal that cannot be written keeps the process as a leftover, which heal finds to be gone.
        let _ = journal.write(&Entry::Ended { name: name.into(), process: identity });
        let _ = tell.send(Some(Exit { at, code, signal }));
    };
    reapers.lock().expect("no code panics while it holds the reapers").spawn(reap);
    Ok(Life { number, identity, exit })
}

fn url(addr: SocketAddr) -> String {
    format!("redis://{addr}")
}

/// Each process has its own, so that the end of one can be read after the start of the next.
fn log((name, number): (&str, usize), site: &Site) -> PathBuf {
    let name = if number == 1 { format!("{name}.log") } else { format!("{name}-{number}.log") };
    site.folder.join(name)
}

fn failed(life: (&str, usize), site: &Site, why: String) -> UpError {
    UpError::Start { name: "redis-server".into(), why, log: log(life, site) }
}

fn command(port: u16, duty: &Duty, folder: &Path) -> std::io::Result<Command> {
    let mut command = Command::new("redis-server");
    match duty {
        Duty::Serve(plan) => serve(&mut command, port, plan, folder),
        Duty::Watch(primary) => sentinels::watch(&mut command, port, *primary, folder)?,
    }
    Ok(command)
}

fn serve(command: &mut Command, port: u16, plan: &RedisPlan, folder: &Path) {
    let append_only = if plan.persistence == Persistence::Aof { "yes" } else { "no" };
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", append_only]);
    command.args(["--appendfsync", &plan.appendfsync, "--maxmemory-policy", "noeviction"]);
    if plan.replicated {
        // A replica that must begin anew does so at once.
        command.args(["--repl-diskless-sync-delay", "0"]);
    }
    command.arg("--dir").arg(folder);
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
