//! A private redis-server: on a free port of 127.0.0.1, its data in the run's folder, killed with its parent. It can be
//! struck, and started again where it was; where a plan needs it, the instances reach it through a proxy.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::child::Child;
use super::{Site, wait_for_exit};
use crate::backends::proxy::{Passed, Proxy};
use crate::backends::redis_control::{Change, RedisControl};
use crate::backends::{ControlError, Exit, UpError};
use crate::journal::Entry;
use crate::plan::{Persistence, RedisPlan};
use crate::process::ProcessIdentity;

const NAME: &str = "redis";
const READY_WITHIN: Duration = Duration::from_secs(10);
/// One command of our own.
const PATIENCE: Duration = Duration::from_secs(2);
/// A port that was free a moment ago may be taken: try again with another.
const TRIES: usize = 5;

pub(super) struct RedisServer {
    plan: RedisPlan,
    site: Site,
    port: u16,
    proxy: Option<Proxy>,
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
    pub async fn start(plan: &RedisPlan, site: &Site) -> Result<RedisServer, UpError> {
        let mut last = None;
        for _ in 0..TRIES {
            match RedisServer::try_start(plan, site).await {
                Err(e @ UpError::Start { .. }) => last = Some(e),
                done => return done,
            }
        }
        Err(last.expect("there was at least one try"))
    }

    /// Where the instances find it.
    pub fn url_for_instances(&self) -> String {
        url(self.proxy.as_ref().map_or(self.addr(), Proxy::addr))
    }

    /// Where it is itself.
    pub fn url(&self) -> String {
        url(self.addr())
    }

    async fn try_start(plan: &RedisPlan, site: &Site) -> Result<RedisServer, UpError> {
        let port = free_port().map_err(|e| failed(site, 1, e.to_string()))?;
        let proxy = plan.proxied.then(|| Proxy::start((Ipv4Addr::LOCALHOST, port).into())).transpose();
        let proxy = proxy.map_err(|e| failed(site, 1, format!("start a proxy in front of it: {e}")))?;
        let reapers = Mutex::default();
        let life = bear(plan, site, port, 1, &reapers)?.into();
        let server = RedisServer { plan: plan.clone(), site: site.clone(), port, proxy, life, reapers };
        if let Err(why) = server.ready().await {
            // The reason is what counts here; a server that would not end is in the journal.
            let _ = server.stop().await;
            return Err(failed(site, 1, why));
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
        let pid = format!("process_id:{}\r\n", life.identity.pid);
        let answer = async {
            loop {
                if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                    && let Ok(info) = redis::cmd("INFO").query_async::<String>(&mut connection).await
                    && info.contains(&pid)
                    && info.contains("loading:0\r\n")
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
        if let Some(proxy) = &self.proxy {
            proxy.end();
        }
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
    fn in_the_way(&self, file: &str) -> PathBuf {
        data_folder(&self.site).join(file)
    }

    async fn tell(&self, words: &[String]) -> Result<(), ControlError> {
        let refused = |why: String| ControlError::Tell { what: words.join(" "), why };
        let (name, arguments) = words.split_first().expect("a command has a name");
        let asking = async {
            let client = redis::Client::open(self.url())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd(name).arg(arguments).query_async::<redis::Value>(&mut connection).await
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let answer = answer.map_err(|_| refused(format!("no answer within {PATIENCE:?}")))?;
        answer.map(drop).map_err(|e| refused(e.to_string()))
    }
}

#[async_trait]
impl RedisControl for RedisServer {
    fn process(&self) -> ProcessIdentity {
        self.life().identity
    }

    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn proxy(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(Proxy::addr)
    }

    fn passed(&self) -> Passed {
        self.proxy.as_ref().map(Proxy::passed).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        let (name, process) = (NAME.to_owned(), self.process());
        self.site.journal.write(&match signal {
            Signal::SIGSTOP => Entry::Freezing { name: name.clone(), process },
            Signal::SIGCONT => Entry::Thawing { name: name.clone(), process },
            _ => Entry::Ending { name: name.clone(), process, signal: signal.as_str().to_owned() },
        })?;
        match process.signal(signal) {
            Err(nix::Error::ESRCH) => Err(ControlError::Gone { name }),
            sent => sent.map_err(|source| ControlError::Signal { name, source }),
        }
    }

    async fn frozen(&self, within: Duration) -> Result<(), ControlError> {
        match self.process().freezes(within).await {
            true => Ok(()),
            false => Err(ControlError::TimedOut { what: format!("freeze {NAME}"), within }),
        }
    }

    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError> {
        Ok(wait_for_exit(self.life().exit, within).await)
    }

    async fn start(&self) -> Result<(), ControlError> {
        let number = self.life().number + 1;
        let started = |e: UpError| ControlError::Start(e.to_string());
        let life = bear(&self.plan, &self.site, self.port, number, &self.reapers).map_err(started)?;
        *self.life.lock().expect("no code panics while it holds this") = life;
        self.ready().await.map_err(|why| started(failed(&self.site, number, why)))
    }

    async fn change(&self, change: &Change) -> Result<(), ControlError> {
        let (name, process) = (NAME.to_owned(), self.process());
        let entry = Entry::Changing { name, process, change: change.to_string(), revert: change.undone_by() };
        self.site.journal.write(&entry)?;
        match change {
            Change::Command { words, .. } => self.tell(words).await,
            Change::Obstruction { file } => Ok(std::fs::create_dir(self.in_the_way(file))?),
            Change::Toxic { name, direction, toxic } => {
                let proxy = self.proxy.as_ref().ok_or(ControlError::NoProxy)?;
                proxy.put(name, *direction, toxic.clone());
                Ok(())
            }
        }
    }

    async fn change_back(&self, change: &Change) -> Result<(), ControlError> {
        match change {
            Change::Command { back: Some(words), .. } => self.tell(words).await?,
            Change::Command { back: None, .. } => {}
            Change::Obstruction { file } => match std::fs::remove_dir(self.in_the_way(file)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed?,
            },
            Change::Toxic { name, .. } => self.proxy.iter().for_each(|proxy| proxy.take(name)),
        }
        let (name, process) = (NAME.to_owned(), self.process());
        Ok(self.site.journal.write(&Entry::ChangedBack { name, process, change: change.to_string() })?)
    }
}

/// Starts a process of the server; it is in the journal before it exists.
fn bear(
    plan: &RedisPlan,
    site: &Site,
    port: u16,
    number: usize,
    reapers: &Mutex<JoinSet<()>>,
) -> Result<Life, UpError> {
    let folder = data_folder(site);
    std::fs::create_dir_all(&folder).map_err(|source| UpError::Files { path: folder.clone(), source })?;
    let log = log(site, number);
    site.journal.write(&Entry::Starting { name: NAME.into() })?;
    let child = Child::program(NAME, command(port, plan, &folder), &log).map_err(|e| missing(e, &log))?;
    let identity = child.identity;
    site.journal.write(&Entry::Started { name: NAME.into(), process: identity })?;
    let (tell, exit) = watch::channel(None);
    let (journal, clock) = (site.journal.clone(), site.clock.clone());
    let reap = async move {
        let (code, signal) = child.ended().await;
        let at = clock.now();
        // A journal that cannot be written keeps the process as a leftover, which heal finds to be gone.
        let _ = journal.write(&Entry::Ended { name: NAME.into(), process: identity });
        let _ = tell.send(Some(Exit { at, code, signal }));
    };
    reapers.lock().expect("no code panics while it holds the reapers").spawn(reap);
    Ok(Life { number, identity, exit })
}

fn url(addr: SocketAddr) -> String {
    format!("redis://{addr}")
}

fn data_folder(site: &Site) -> PathBuf {
    site.folder.join("redis")
}

/// Each process has its own, so that the end of one can be read after the start of the next.
fn log(site: &Site, number: usize) -> PathBuf {
    let name = if number == 1 { "redis.log".to_owned() } else { format!("redis-{number}.log") };
    site.folder.join(name)
}

fn failed(site: &Site, number: usize, why: String) -> UpError {
    UpError::Start { name: "redis-server".into(), why, log: log(site, number) }
}

fn command(port: u16, plan: &RedisPlan, folder: &Path) -> Command {
    let mut command = Command::new("redis-server");
    let append_only = if plan.persistence == Persistence::Aof { "yes" } else { "no" };
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", append_only]);
    command.args(["--appendfsync", &plan.appendfsync, "--maxmemory-policy", "noeviction"]);
    command.arg("--dir").arg(folder);
    command
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
