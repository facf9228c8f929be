//! The `process` backend: child processes of one executable, and the private servers that the plan needs, in the run's folder.
//!
//! Every child dies with this process (PDEATHSIG), has its own log, and is in the journal before it exists.

mod child;
pub(super) mod configuration;
pub(super) mod control;
mod database_server;
mod mariadb;
mod newborn;
mod port;
mod postgres;
mod recipe;
mod redis;
mod redis_server;
mod run_room;
mod sentinels;
pub(super) mod servers;
mod slots;
mod sqlite_file;
mod unprivileged;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::prober::{Probe, Prober};
use super::{
    ControlError, DatabaseControl, DatabaseSource, Deployment, DownError, Endpoint, Endpoints, Exit, Instance,
    InstanceId, ProcessControl, ProcessIdentity, QueueSource, RedisControl, Sources, UpError, ending, prober,
};
use crate::clock::RunClock;
use crate::journal::{Entry, Journal};
use crate::plan::{Database, PausePoint, Slot, TargetPlan};
use crate::stop::Stop;
use child::Child;
pub use child::{CONTROL_FD, DATABASE_URL};
use control::Control;
use newborn::Newborn;
use servers::Servers;
use slots::Slots;

/// The key of the Redis list, and the beginning of every other key of the buffer.
pub const LIST_KEY: &str = "{expectation:write:buffer}";

/// The SQLite file, in the folder of the target.
const DATABASE: &str = "expectation.db";

/// Where a private database has its data, in the folder of the target.
pub fn database_in_target(database: Database) -> PathBuf {
    match database {
        Database::Sqlite => DATABASE.into(),
        server => Path::new(server.word()).join("data"),
    }
}

/// What the backend needs besides the plan.
#[derive(Clone)]
pub struct Site {
    /// The executable that has a `serve` command: this one, as a rule.
    pub executable: PathBuf,
    /// The run's folder for the target: configurations, logs, data.
    pub folder: PathBuf,
    pub journal: Arc<Journal>,
    pub clock: RunClock,
}

impl Site {
    /// Sends a signal to a process of a server of the run's own; it is in the journal before.
    fn signal(&self, name: &str, process: ProcessIdentity, signal: Signal) -> Result<(), ControlError> {
        let owned = || name.to_owned();
        self.journal.write(&match signal {
            Signal::SIGSTOP => Entry::Freezing { name: owned(), process },
            Signal::SIGCONT => Entry::Thawing { name: owned(), process },
            _ => Entry::Ending { name: owned(), process, signal: signal.as_str().to_owned() },
        })?;
        match process.signal(signal) {
            Err(nix::Error::ESRCH) => Err(ControlError::Gone { name: owned() }),
            sent => sent.map_err(|source| ControlError::Signal { name: owned(), source }),
        }
    }
}

/// A target of child processes.
pub struct Processes {
    plan: TargetPlan,
    site: Site,
    endpoints: Endpoints,
    servers: Servers,
    slots: Mutex<Slots>,
    /// Probers and listeners, which end by `over`, and reapers, which end with their process; `down` awaits them.
    tasks: Mutex<JoinSet<()>>,
    over: CancellationToken,
}

/// A living or dead instance, with the handles to it.
#[derive(Clone)]
struct Handle {
    instance: Instance,
    process: ProcessIdentity,
    control: Arc<Control>,
    exit: watch::Receiver<Option<Exit>>,
    probe: watch::Receiver<Probe>,
    over: CancellationToken,
}

impl Processes {
    /// Brings every slot up, ready and in rotation. On failure nothing is left running.
    pub async fn up(plan: &TargetPlan, site: Site, stop: &Stop) -> Result<Box<dyn Deployment>, UpError> {
        let servers = Servers::start(plan, &site, stop).await?;
        let target = Processes {
            plan: plan.clone(),
            site,
            servers,
            endpoints: Endpoints::default(),
            slots: Mutex::default(),
            tasks: Mutex::default(),
            over: CancellationToken::new(),
        };
        let filled = stop.interrupt.run_until_cancelled(target.fill_every_slot()).await;
        match filled.unwrap_or(Err(UpError::Interrupted)) {
            Ok(()) => Ok(Box::new(target)),
            Err(e) => {
                // What could not be ended is in the journal; the first error is the one that explains.
                let _ = target.down(Duration::ZERO).await;
                Err(e)
            }
        }
    }

    async fn fill_every_slot(&self) -> Result<(), UpError> {
        for slot in &self.plan.slots {
            self.fill(slot).await?;
        }
        Ok(())
    }

    /// Starts the slot's next life and waits until its readiness says so.
    async fn fill(&self, slot: &Slot) -> Result<Instance, UpError> {
        let newborn = self.bear(slot)?;
        let addr = newborn.unless_it_ends(newborn.control.listening(self.plan.ready_within)).await?;
        let (instance, probe) = self.enrol(&newborn, addr);
        newborn.unless_it_ends(prober::ready(probe, self.plan.ready_within)).await?;
        Ok(instance)
    }

    /// Starts a process for the slot; it is in the journal before it exists.
    fn bear(&self, slot: &Slot) -> Result<Newborn, UpError> {
        let (id, name) = self.slots().announce(slot);
        let config = configuration::write(
            &name,
            slot,
            &self.plan,
            &self.servers.for_instances(&self.sources()),
            &self.site.folder,
        )?;
        let log = self.site.folder.join(format!("{name}.log"));
        self.site.journal.write(&Entry::Starting { name: name.clone() })?;
        let (child, socket) = Child::service(&name, &self.site.executable, &config, self.plan.existing.as_ref(), &log)
            .map_err(|e| UpError::Start { name: name.clone(), why: e.to_string(), log: log.clone() })?;
        let process = child.identity;
        self.site.journal.write(&Entry::Started { name: name.clone(), process })?;
        let over = self.over.child_token();
        let exit = self.reap(child, name.clone());
        let control = Arc::new(Control::new(socket, &mut self.tasks(), over.clone()));
        Ok(Newborn { id, name, slot: slot.clone(), process, control, exit, over, log })
    }

    /// Gives it its slot, its prober, and, where it answers requests, its place in the routing table.
    fn enrol(&self, newborn: &Newborn, addr: SocketAddr) -> (Instance, watch::Receiver<Probe>) {
        let instance = newborn.at(addr);
        if instance.slot.role.answers_requests() {
            self.endpoints.add(Endpoint { id: instance.id, addr });
        }
        let probe = self.probe(&instance, newborn.over.clone());
        self.slots().fill(Handle {
            instance: instance.clone(),
            process: newborn.process,
            control: newborn.control.clone(),
            exit: newborn.exit.clone(),
            probe: probe.clone(),
            over: newborn.over.clone(),
        });
        (instance, probe)
    }

    /// Awaits the end of a child in a task of its own, so that no zombie stays and the moment is known. One that has
    /// not come as far as its slot when everything ends is known to nobody else, and is ended here.
    fn reap(&self, child: Child, name: String) -> watch::Receiver<Option<Exit>> {
        let (tell, exit) = watch::channel(None);
        let (clock, journal, over) = (self.site.clock.clone(), self.site.journal.clone(), self.over.clone());
        self.tasks().spawn(async move {
            let process = child.identity;
            let mut ended = pin!(child.ended());
            let (code, signal) = match over.run_until_cancelled(ended.as_mut()).await {
                Some(how) => how,
                None => {
                    // One that ended in this moment is what we want.
                    let _ = process.signal(Signal::SIGKILL);
                    ended.await
                }
            };
            let _ = tell.send(Some(Exit { at: clock.now(), code, signal }));
            // A journal that cannot be written keeps the process as a leftover, which heal finds to be gone.
            let _ = journal.write(&Entry::Ended { name, process });
        });
        exit
    }

    fn probe(&self, instance: &Instance, over: CancellationToken) -> watch::Receiver<Probe> {
        let (tell, probe) = watch::channel(Probe::default());
        let prober = Prober {
            id: instance.id,
            addr: instance.addr,
            plan: self.plan.probe.clone(),
            endpoints: self.endpoints.clone(),
            clock: self.site.clock.clone(),
        };
        self.tasks().spawn(prober.run(tell, over));
        probe
    }

    fn handle(&self, id: InstanceId) -> Handle {
        self.slots().handle(id).expect("an instance id comes from this roster")
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().expect("no code panics while it holds the slots")
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().expect("no code panics while it holds the tasks")
    }

    /// SIGTERM to everyone (and SIGCONT: a frozen one would not notice), SIGKILL after the grace.
    async fn end_instances(&self, grace: Duration) -> Vec<String> {
        let mut left = Vec::new();
        let handles = self.slots().living();
        for handle in &handles {
            self.end(handle, Signal::SIGTERM);
            let _ = handle.process.signal(Signal::SIGCONT);
        }
        for handle in handles {
            if wait_for_exit(handle.exit.clone(), grace).await.is_none() {
                self.end(&handle, Signal::SIGKILL);
                if wait_for_exit(handle.exit.clone(), Duration::from_secs(5)).await.is_none() {
                    left.push(format!("{} (pid {}) outlives SIGKILL", handle.instance.name, handle.process.pid));
                }
            }
            handle.over.cancel();
        }
        left
    }

    fn end(&self, handle: &Handle, signal: Signal) {
        let Handle { instance: Instance { name, .. }, process, .. } = handle;
        // The end of a run goes on whether or not its disk is full: the process itself is looked at next.
        let _ = self.site.journal.write(&Entry::Ending {
            name: name.clone(),
            process: *process,
            signal: signal.as_str().to_owned(),
        });
        let _ = process.signal(signal);
    }
}

#[async_trait]
impl Deployment for Processes {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn sources(&self) -> Sources {
        self.servers.sources(&self.plan)
    }

    fn roster(&self) -> Vec<Instance> {
        self.slots().roster()
    }

    fn alive(&self) -> Vec<Instance> {
        self.slots().living().into_iter().map(|h| h.instance).collect()
    }

    fn processes(&self) -> Option<&dyn ProcessControl> {
        Some(self)
    }

    fn redis(&self) -> Option<&dyn RedisControl> {
        self.servers.redis()
    }

    fn database(&self) -> Option<&dyn DatabaseControl> {
        self.servers.database()
    }

    async fn down(&self, grace: Duration) -> Result<(), DownError> {
        let mut left = self.end_instances(grace).await;
        left.extend(self.servers.stop().await);
        ending::end(left, &self.over, &self.tasks).await
    }
}

#[async_trait]
impl ProcessControl for Processes {
    fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        self.slots().in_slot(slot)
    }

    async fn start(&self, slot: &Slot) -> Result<Instance, ControlError> {
        self.fill(slot).await.map_err(|e| ControlError::Start(e.to_string()))
    }

    fn signal(&self, id: InstanceId, signal: Signal) -> Result<(), ControlError> {
        let Handle { instance: Instance { name, .. }, process, .. } = self.handle(id);
        let entry = match signal {
            Signal::SIGSTOP => Entry::Freezing { name: name.clone(), process },
            Signal::SIGCONT => Entry::Thawing { name: name.clone(), process },
            _ => Entry::Ending { name: name.clone(), process, signal: signal.as_str().to_owned() },
        };
        self.site.journal.write(&entry)?;
        match process.signal(signal) {
            Err(nix::Error::ESRCH) => Err(ControlError::Gone { name }),
            sent => sent.map_err(|source| ControlError::Signal { name, source }),
        }
    }

    async fn frozen(&self, id: InstanceId, within: Duration) -> Result<(), ControlError> {
        let Handle { instance: Instance { name, .. }, process, .. } = self.handle(id);
        match process.freezes(within).await {
            true => Ok(()),
            false => Err(ControlError::TimedOut { what: format!("freeze {name}"), within }),
        }
    }

    async fn exited(&self, id: InstanceId, within: Duration) -> Result<Option<Exit>, ControlError> {
        let handle = self.handle(id);
        let exit = wait_for_exit(handle.exit.clone(), within).await;
        if let Some(exit) = exit {
            handle.over.cancel();
            self.endpoints.remove(id, exit.at);
        }
        Ok(exit)
    }

    async fn probed(&self, id: InstanceId, within: Duration) -> Result<bool, ControlError> {
        let handle = self.handle(id);
        let what = || ControlError::TimedOut { what: format!("probe {}", handle.instance.name), within };
        prober::next(handle.probe.clone(), self.site.clock.now(), within).await.ok_or_else(what)
    }

    async fn hold(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError> {
        let handle = self.handle(id);
        let name = handle.instance.name.clone();
        self.site.journal.write(&Entry::Holding { name, point: point.word().to_owned() })?;
        handle.control.hold(point).await.map_err(|why| socket_error(&handle, why))
    }

    async fn held(&self, id: InstanceId, point: PausePoint, within: Duration) -> Result<Option<u64>, ControlError> {
        Ok(self.handle(id).control.held(point, within).await)
    }

    async fn release(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError> {
        let handle = self.handle(id);
        handle.control.release(point).await.map_err(|why| socket_error(&handle, why))?;
        let name = handle.instance.name.clone();
        Ok(self.site.journal.write(&Entry::Released { name, point: point.word().to_owned() })?)
    }
}

fn socket_error(handle: &Handle, why: std::io::Error) -> ControlError {
    ControlError::Socket { name: handle.instance.name.clone(), why: why.to_string() }
}

pub(super) async fn wait_for_exit(mut exit: watch::Receiver<Option<Exit>>, within: Duration) -> Option<Exit> {
    let ended = tokio::time::timeout(within, exit.wait_for(Option::is_some)).await;
    ended.ok().and_then(|seen| seen.ok().and_then(|exit| *exit))
}
