//! The Redis of a target: a server, and what a plan needs around it. Where one of its steps is a failover there is a second
//! one, its replica; where the instances must not notice who is the primary, or what passes is spoilt, a proxy.
//!
//! ```text
//! instances ── path (a proxy) ──▶ primary ◀── link (a proxy) ── replica
//!                    └─ after a failover ────────────────────────▲
//! ```
//! Each server has a link of its own, through which the other one replicates from it: a failover can be followed by one back.
//! Sentinels watch the primary for as long as a step lasts that needs them.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::Site;
use super::redis_server::{Duty, RedisServer};
use super::sentinels::Sentinels;
use crate::backends::proxy::{Direction, Passed, Proxy, Toxic};
use crate::backends::redis_control::{Change, RedisControl, Sentinel};
use crate::backends::{ControlError, Exit, UpError};
use crate::journal::Entry;
use crate::plan::RedisPlan;
use crate::process::ProcessIdentity;

/// The first one's name, and the second one's.
const NAMES: [&str; 2] = ["redis", "redis-replica"];
/// A replica that lost touch tries again every second, and may have to begin anew.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(10);
/// What is on its way to the replica when writes begin to wait.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(5);
/// Writes wait no longer than this, whatever becomes of a failover.
const PAUSE_MS_MAX: &str = "30000";
const EVERY: Duration = Duration::from_millis(5);
/// The toxic on a link.
const LAG: &str = "lag";

pub(super) struct Redis {
    nodes: Vec<Node>,
    /// Which of them.
    primary: AtomicUsize,
    /// Where the instances find the primary.
    path: Option<Proxy>,
    sentinels: Sentinels,
    /// What was changed, and of which node: it is changed back there, whoever is the primary by then.
    changed: Mutex<Vec<(Change, usize)>>,
}

struct Node {
    server: RedisServer,
    /// Whoever replicates from it comes through this.
    link: Option<Proxy>,
}

impl Redis {
    /// Starts what the plan needs, and waits until it answers, and the replica is in touch. On failure nothing is left.
    pub async fn start(plan: &RedisPlan, site: &Site) -> Result<Redis, UpError> {
        let (nodes, primary, sentinels) = (Vec::new(), AtomicUsize::new(0), Sentinels::default());
        let mut redis = Redis { nodes, primary, path: None, sentinels, changed: Mutex::default() };
        match redis.start_all(plan, site).await {
            Ok(()) => Ok(redis),
            Err(e) => {
                // What would not end is in the journal; the first error is the one that explains.
                let _ = redis.stop().await;
                Err(e)
            }
        }
    }

    async fn start_all(&mut self, plan: &RedisPlan, site: &Site) -> Result<(), UpError> {
        let failed = |what: &str, why: String| UpError::Start {
            name: "redis-server".into(),
            why: format!("{what}: {why}"),
            log: site.folder.join("redis.log"),
        };
        let proxy = |server: &RedisServer| {
            Proxy::start(server.addr()).map_err(|e| failed("start a proxy in front of it", e.to_string()))
        };
        for name in NAMES.into_iter().take(if plan.replicated { 2 } else { 1 }) {
            let server = RedisServer::start((name, 1), &Duty::Serve(plan.clone()), site).await?;
            self.nodes.push(Node { server, link: None });
        }
        if plan.replicated {
            for node in &mut self.nodes {
                node.link = Some(proxy(&node.server)?);
            }
            let joined = async {
                follow(&self.nodes[1], &self.nodes[0]).await?;
                in_touch(&self.nodes[1]).await
            };
            joined.await.map_err(|e| failed("give it a replica", e.to_string()))?;
        }
        self.path = plan.proxied.then(|| proxy(&self.nodes[0].server)).transpose()?;
        Ok(())
    }

    /// Where the instances find it.
    pub fn url_for_instances(&self) -> String {
        self.path.as_ref().map_or_else(|| self.url(), |path| format!("redis://{}", path.addr()))
    }

    /// Where it is itself.
    pub fn url(&self) -> String {
        self.server().url()
    }

    /// Ends all of it. Says what would not go.
    pub async fn stop(&self) -> Vec<String> {
        // Before what they watch: they would take its end for a failure.
        let mut left = self.sentinels.stop().await;
        self.path.iter().chain(self.nodes.iter().filter_map(|node| node.link.as_ref())).for_each(Proxy::end);
        for node in &self.nodes {
            left.extend(node.server.stop().await.err());
        }
        left
    }

    fn primary(&self) -> usize {
        self.primary.load(Ordering::Acquire)
    }

    /// The one that is the primary.
    fn server(&self) -> &RedisServer {
        &self.nodes[self.primary()].server
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, Vec<(Change, usize)>> {
        self.changed.lock().expect("no code panics while it holds this")
    }

    /// Which is the primary, and which its replica.
    fn pair(&self) -> Result<(usize, usize), ControlError> {
        let primary = self.primary();
        match self.nodes.len() {
            2 => Ok((primary, 1 - primary)),
            _ => Err(ControlError::NoReplica),
        }
    }

    fn other_than(&self, node: usize) -> Result<&Node, ControlError> {
        self.nodes.iter().enumerate().find_map(|(i, other)| (i != node).then_some(other)).ok_or(ControlError::NoReplica)
    }

    async fn fail_over(&self, caught_up: bool) -> Result<(), ControlError> {
        let (old, new) = self.pair()?;
        let server = &self.nodes[old].server;
        if caught_up {
            in_touch(&self.nodes[new]).await?;
        }
        server.tell(&words(&["CLIENT", "PAUSE", PAUSE_MS_MAX, "WRITE"])).await?;
        let switched = self.switch(old, new, caught_up).await;
        if switched.is_err() && self.primary() == new {
            // It would take writes that nobody ever reads: of two primaries, the old one goes.
            return switched.and(server.signal(Signal::SIGKILL));
        }
        // Whoever waited learns now that this is a replica.
        switched.and(server.tell(&words(&["CLIENT", "UNPAUSE"])).await)
    }

    /// While writes wait. From the moment at which the new one takes writes, everybody is led there.
    async fn switch(&self, old: usize, new: usize, caught_up: bool) -> Result<(), ControlError> {
        if caught_up {
            catch_up(&self.nodes[new], &self.nodes[old]).await?;
        }
        let promoted = &self.nodes[new].server;
        promoted.tell(&words(&["REPLICAOF", "NO", "ONE"])).await?;
        self.primary.store(new, Ordering::Release);
        self.path.iter().for_each(|path| path.lead_to(promoted.addr()));
        follow(&self.nodes[old], &self.nodes[new]).await
    }

    /// The replica follows the primary's own address: a sentinel takes another one for a mistake, and mends it.
    async fn watch(&self, primary: usize) -> Result<(), ControlError> {
        let (server, replica) = (&self.nodes[primary].server, self.other_than(primary)?);
        replica_of(replica, server.addr()).await?;
        in_touch(replica).await?;
        self.sentinels.start(server.addr(), &server.site).await
    }

    /// One that they have promoted stays the primary: it has what the other one had, who may be gone.
    async fn watch_no_more(&self, primary: usize) -> Result<(), ControlError> {
        let left = self.sentinels.stop().await;
        if !left.is_empty() {
            return Err(ControlError::Left(left.join("; ")));
        }
        let other = self.other_than(primary)?;
        match other.server.is_replica().await? {
            true => follow(other, &self.nodes[primary]).await,
            false => Ok(()),
        }
    }

    fn lead_to(&self, node: usize) {
        self.primary.store(node, Ordering::Release);
        self.path.iter().for_each(|path| path.lead_to(self.nodes[node].server.addr()));
    }

    /// Whoever was the primary before is the replica, a new process where its own has ended.
    async fn join_again(&self, primary: usize) -> Result<(), ControlError> {
        let old = self.other_than(primary)?;
        if !old.server.process().is_alive() {
            old.server.start_again().await?;
        }
        follow(old, &self.nodes[primary]).await
    }

    /// Whom a change is done to.
    fn whose(&self, change: &Change) -> Result<usize, ControlError> {
        let Change::LeadTo { primary } = change else { return Ok(self.primary()) };
        let named = self.nodes.iter().position(|node| node.server.addr() == *primary);
        named.ok_or(ControlError::NoRedisAt(*primary))
    }

    async fn act(&self, node: usize, change: &Change) -> Result<(), ControlError> {
        let Node { server, link } = &self.nodes[node];
        match change {
            Change::Command { words, .. } => server.tell(words).await,
            Change::Obstruction { file } => Ok(std::fs::create_dir(server.in_the_way(file))?),
            Change::Toxic { name, direction, toxic } => {
                let path = self.path.as_ref().ok_or(ControlError::NoProxy)?;
                path.put(name, *direction, toxic.clone());
                Ok(())
            }
            Change::Lag => {
                let link = link.as_ref().ok_or(ControlError::NoReplica)?;
                link.put(LAG, Direction::ToClient, Toxic::Blackhole);
                Ok(())
            }
            Change::Failover { caught_up } => self.fail_over(*caught_up).await,
            Change::Sentinels => self.watch(node).await,
            Change::LeadTo { .. } => {
                self.lead_to(node);
                Ok(())
            }
        }
    }

    async fn act_back(&self, node: usize, change: &Change) -> Result<(), ControlError> {
        let Node { server, link } = &self.nodes[node];
        match change {
            Change::Command { back: Some(words), .. } => server.tell(words).await?,
            Change::Command { back: None, .. } | Change::Failover { .. } => {}
            Change::Obstruction { file } => match std::fs::remove_dir(server.in_the_way(file)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed?,
            },
            Change::Toxic { name, .. } => self.path.iter().for_each(|path| path.take(name)),
            Change::Lag => link.iter().for_each(|link| link.take(LAG)),
            Change::Sentinels => self.watch_no_more(node).await?,
            Change::LeadTo { .. } => self.join_again(node).await?,
        }
        Ok(())
    }
}

/// Makes one the replica of the other, over the link.
async fn follow(replica: &Node, primary: &Node) -> Result<(), ControlError> {
    replica_of(replica, primary.link.as_ref().ok_or(ControlError::NoReplica)?.addr()).await
}

async fn replica_of(replica: &Node, addr: SocketAddr) -> Result<(), ControlError> {
    replica.server.tell(&words(&["REPLICAOF", &addr.ip().to_string(), &addr.port().to_string()])).await
}

/// Waits until a replica follows its primary.
async fn in_touch(replica: &Node) -> Result<(), ControlError> {
    let deadline = Instant::now() + FOLLOWS_WITHIN;
    while !replica.server.follows().await? {
        if Instant::now() >= deadline {
            let what = format!("wait until {} follows its primary", replica.server.name);
            return Err(ControlError::TimedOut { what, within: FOLLOWS_WITHIN });
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

/// Waits until a replica has everything that its primary, which takes no writes now, has.
async fn catch_up(replica: &Node, primary: &Node) -> Result<(), ControlError> {
    let (whole, deadline) = (primary.server.offset().await?, Instant::now() + CATCHES_UP_WITHIN);
    while replica.server.offset().await? < whole {
        if Instant::now() >= deadline {
            let what = format!("wait until {} has all {whole} bytes", replica.server.name);
            return Err(ControlError::TimedOut { what, within: CATCHES_UP_WITHIN });
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[async_trait]
impl RedisControl for Redis {
    fn process(&self) -> ProcessIdentity {
        self.server().process()
    }

    fn addr(&self) -> SocketAddr {
        self.server().addr()
    }

    fn replica(&self) -> Option<SocketAddr> {
        self.pair().ok().map(|(_, replica)| self.nodes[replica].server.addr())
    }

    async fn sentinels(&self) -> Vec<Sentinel> {
        self.sentinels.living().await
    }

    fn proxy(&self) -> Option<SocketAddr> {
        self.path.as_ref().map(Proxy::addr)
    }

    fn passed(&self) -> Passed {
        self.path.as_ref().map(Proxy::passed).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        self.server().signal(signal)
    }

    async fn frozen(&self, within: Duration) -> Result<(), ControlError> {
        let server = self.server();
        match server.process().freezes(within).await {
            true => Ok(()),
            false => Err(ControlError::TimedOut { what: format!("freeze {}", server.name), within }),
        }
    }

    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError> {
        Ok(self.server().exited(within).await)
    }

    async fn start(&self) -> Result<(), ControlError> {
        self.server().start_again().await
    }

    async fn change(&self, change: &Change) -> Result<(), ControlError> {
        let node = self.whose(change)?;
        let server = &self.nodes[node].server;
        let (name, process) = (server.name.to_owned(), server.process());
        let entry = Entry::Changing { name, process, change: change.to_string(), revert: change.undone_by() };
        server.site.journal.write(&entry)?;
        self.changed().push((change.clone(), node));
        self.act(node, change).await
    }

    async fn change_back(&self, change: &Change) -> Result<(), ControlError> {
        let of_change = self.changed().iter().rfind(|(changed, _)| changed == change).map(|(_, node)| *node);
        let node = of_change.unwrap_or_else(|| self.primary());
        self.act_back(node, change).await?;
        self.changed().retain(|(changed, of)| (changed, *of) != (change, node));
        let server = &self.nodes[node].server;
        let (name, process) = (server.name.to_owned(), server.process());
        Ok(server.site.journal.write(&Entry::ChangedBack { name, process, change: change.to_string() })?)
    }
}
