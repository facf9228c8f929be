//! The `in-process` backend: every instance is the testbed's own `serve`, on a thread inside mxctl. For quick trials and
//! tests: nothing has to be spawned but the private servers that the plan needs.
//!
//! In: a plan without a time line (`plan/resolve/in_process.rs` refuses every step). Out: a deployment whose instances have
//! no process of their own, and which controls none. The journal has nothing of theirs: they end with mxctl.
//!
//! # What it cannot show
//! Generator and service share one process, its allocator and its descriptors: own lag and latencies are those of a
//! trial. Processor time, memory and the exit of an instance are nobody's own here, and are not assessed.

mod service;

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::prober::{Probe, Prober};
use super::process::control::Control;
use super::process::servers::Servers;
use super::process::{Site, configuration};
use super::{
    Deployment, DownError, Endpoint, Endpoints, Instance, InstanceId, ProcessControl, Sources, UpError, ending, prober,
};
use crate::plan::{Slot, TargetPlan};
use crate::stop::Stop;
use service::{End, Service};

/// From the end of a service's socket to its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A target of services inside this process.
pub struct InProcess {
    plan: TargetPlan,
    site: Site,
    sources: Sources,
    endpoints: Endpoints,
    servers: Servers,
    lives: Mutex<Vec<Life>>,
    remarks: Mutex<Vec<String>>,
    /// Probers and listeners, which end by `over`, and who reaps private servers; `down` awaits them.
    tasks: Mutex<JoinSet<()>>,
    over: CancellationToken,
}

/// An instance, running or ended. One that never listened has no [`Instance`].
struct Life {
    name: String,
    instance: Option<Instance>,
    service: Arc<Service>,
}

impl InProcess {
    /// Brings every slot up, ready and in rotation. On failure nothing is left running.
    pub async fn up(plan: &TargetPlan, site: Site, stop: &Stop) -> Result<Box<dyn Deployment>, UpError> {
        let target = InProcess::prepared(plan, site, stop).await?;
        let filled = stop.interrupt.run_until_cancelled(target.fill_every_slot()).await;
        match filled.unwrap_or(Err(UpError::Interrupted)) {
            Ok(()) => Ok(Box::new(target)),
            Err(e) => {
                // The first error is the one that explains.
                let _ = target.down(Duration::ZERO).await;
                Err(e)
            }
        }
    }

    /// What the services need is up, and no service yet.
    async fn prepared(plan: &TargetPlan, site: Site, stop: &Stop) -> Result<InProcess, UpError> {
        let mut tasks = JoinSet::new();
        let servers = Servers::start(plan, &site, &mut tasks, stop).await?;
        Ok(InProcess {
            sources: servers.sources(plan, &site),
            plan: plan.clone(),
            site,
            servers,
            endpoints: Endpoints::default(),
            lives: Mutex::default(),
            remarks: Mutex::default(),
            tasks: Mutex::new(tasks),
            over: CancellationToken::new(),
        })
    }

    async fn fill_every_slot(&self) -> Result<(), UpError> {
        for (place, slot) in self.plan.slots.iter().enumerate() {
            let id = InstanceId(u16::try_from(place).expect("a plan has fewer than 65,535 slots"));
            self.fill(id, slot).await?;
        }
        Ok(())
    }

    /// Starts the slot's one life and waits until its readiness says so.
    async fn fill(&self, id: InstanceId, slot: &Slot) -> Result<(), UpError> {
        let name = format!("{slot}.1");
        let log = self.site.folder.join(format!("{name}.log"));
        let (service, control) = self.bear(&name, slot, &log)?;
        let unless_it_ends = UnlessItEnds { name: &name, service: &service, log: &log };
        let addr = unless_it_ends.wait(control.listening(self.plan.ready_within)).await?;
        let instance = Instance { id, name: name.clone(), slot: slot.clone(), process: None, addr };
        let probe = self.enrol(instance);
        unless_it_ends.wait(prober::ready(probe, self.plan.ready_within)).await
    }

    /// Starts a service for the slot; from then on `down` knows of it.
    fn bear(&self, name: &str, slot: &Slot, log: &Path) -> Result<(Arc<Service>, Control), UpError> {
        let config = configuration::write(name, slot, &self.plan, &self.sources, &self.site.folder)?;
        let failed = |e: std::io::Error| UpError::Start { name: name.to_owned(), why: e.to_string(), log: log.into() };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let file = File::create(log).map_err(|source| UpError::Files { path: log.into(), source })?;
        let service = Arc::new(Service::start(name, config, file, theirs).map_err(failed)?);
        self.lives().push(Life { name: name.to_owned(), instance: None, service: service.clone() });
        Ok((service, Control::new(ours, &mut self.tasks(), self.over.child_token())))
    }

    /// Gives it its prober, and, where it answers requests, its place in the routing table.
    fn enrol(&self, instance: Instance) -> watch::Receiver<Probe> {
        if instance.slot.role.answers_requests() {
            self.endpoints.add(Endpoint { id: instance.id, addr: instance.addr });
        }
        let (tell, probe) = watch::channel(Probe::default());
        let prober = Prober {
            id: instance.id,
            addr: instance.addr,
            plan: self.plan.probe.clone(),
            endpoints: self.endpoints.clone(),
            clock: self.site.clock.clone(),
        };
        self.tasks().spawn(prober.run(tell, self.over.child_token()));
        let mut lives = self.lives();
        lives.last_mut().expect("it was born just now").instance = Some(instance);
        probe
    }

    /// All are told to shut down at once; who has not when the grace is over is aborted. Says who is still there.
    async fn end_services(&self, grace: Duration) -> Vec<String> {
        let deadline = Instant::now() + grace;
        let mut left = Vec::new();
        for (name, service, before) in self.shut_down() {
            match (before, service.end(deadline).await) {
                (_, None) => left.push(format!("{name} outlives its abort: its thread is stuck")),
                (Some(end), _) => self.remark(format!("{name} had ended by itself: it {}", end.in_words())),
                (None, Some(End::InOrder)) => {}
                (None, Some(end)) => self.remark(format!("{name} {}", end.in_words())),
            }
        }
        left
    }

    /// Everyone, and how he had ended before he was told to.
    fn shut_down(&self) -> Vec<(String, Arc<Service>, Option<End>)> {
        let told = |life: &Life| {
            let before = life.service.ended();
            life.service.shut_down();
            (life.name.clone(), life.service.clone(), before)
        };
        self.lives().iter().map(told).collect()
    }

    /// For a person, and once: who has ended by order is no news when everything is taken down again.
    fn remark(&self, sentence: String) {
        if self.over.is_cancelled() {
            return;
        }
        self.remarks.lock().expect("no code panics while it holds the remarks").push(sentence);
    }

    fn lives(&self) -> MutexGuard<'_, Vec<Life>> {
        self.lives.lock().expect("no code panics while it holds the lives")
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().expect("no code panics while it holds the tasks")
    }
}

/// A service that was started and has not shown yet that it serves.
struct UnlessItEnds<'a> {
    name: &'a str,
    service: &'a Service,
    log: &'a Path,
}

impl UnlessItEnds<'_> {
    /// Waits for a sign of life, or for its end: how it ended explains more than a time-out.
    async fn wait<T>(&self, sign: impl Future<Output = std::io::Result<T>>) -> Result<T, UpError> {
        let why = tokio::select! {
            sign = sign => match sign {
                Ok(sign) => return Ok(sign),
                // Its end of the socket closes just before it says how it ended.
                Err(e) => match tokio::time::timeout(LAST_WORDS, self.service.until_ended()).await {
                    Ok(end) => format!("it {}", end.in_words()),
                    Err(_) => e.to_string(),
                },
            },
            end = self.service.until_ended() => format!("it {}", end.in_words()),
        };
        Err(UpError::Start { name: self.name.to_owned(), why, log: self.log.into() })
    }
}

#[async_trait]
impl Deployment for InProcess {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn sources(&self) -> Sources {
        self.sources.clone()
    }

    fn roster(&self) -> Vec<Instance> {
        self.lives().iter().filter_map(|life| life.instance.clone()).collect()
    }

    /// Whose service has not ended. One that crashed is no longer here, as a process would not be.
    fn alive(&self) -> Vec<Instance> {
        let lives = self.lives();
        let running = lives.iter().filter(|life| life.service.ended().is_none());
        running.filter_map(|life| life.instance.clone()).collect()
    }

    fn processes(&self) -> Option<&dyn ProcessControl> {
        None
    }

    async fn down(&self, grace: Duration) -> Result<(), DownError> {
        let mut left = self.end_services(grace).await;
        left.extend(self.servers.stop().await);
        ending::end(left, &self.over, &self.tasks).await
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks.lock().expect("no code panics while it holds the remarks").clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunClock;
    use crate::journal::Journal;
    use crate::plan::{Given, Plan};
    use crate::scenario::{Overrides, Scenario, Source};

    /// Two instances, each with its own buffer.
    async fn two_up(folder: &Path) -> InProcess {
        let mut flags = Overrides::default();
        flags.target.backend = flags.read("--backend", Some("in-process"));
        flags.target.instances = flags.read("--instances", Some("2"));
        let scenario = Scenario::read(&Source::load("loadtest").unwrap());
        let plan = Plan::resolve(scenario, flags, Given { run_number: 7, seed: 1 }).unwrap();
        let site = Site {
            executable: "nobody starts it".into(),
            folder: folder.to_owned(),
            journal: Arc::new(Journal::open(folder, "a test").unwrap()),
            clock: RunClock::starting_in(Duration::ZERO),
        };
        let target = InProcess::prepared(&plan.target, site, &Stop::new()).await.unwrap();
        target.fill_every_slot().await.unwrap();
        target
    }

    fn names(instances: Vec<Instance>) -> Vec<String> {
        instances.into_iter().map(|instance| instance.name).collect()
    }

    #[tokio::test]
    async fn instances_have_ports_of_their_own_and_no_process_and_their_ports_close_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let target = two_up(folder.path()).await;
        let roster = target.roster();
        assert_eq!(names(target.alive()), ["all-1.1", "all-2.1"]);
        assert_eq!(target.endpoints().in_rotation().len(), 2);
        assert!(roster[0].addr != roster[1].addr && roster.iter().all(|instance| instance.process.is_none()));
        assert!(target.processes().is_none());
        target.down(Duration::from_secs(10)).await.unwrap();
        target.down(Duration::ZERO).await.expect("once more is no harm");
        assert_eq!(target.remarks(), Vec::<String>::new());
        for instance in roster {
            let refused = std::net::TcpStream::connect(instance.addr).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    async fn one_that_ended_by_itself_is_not_alive_any_more_and_the_end_of_the_run_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let target = two_up(folder.path()).await;
        let victim = target.lives()[0].service.clone();
        victim.crash();
        victim.until_ended().await;
        assert_eq!(names(target.alive()), ["all-2.1"]);
        assert_eq!(names(target.roster()), ["all-1.1", "all-2.1"]);
        let ejected = async {
            while target.endpoints().in_rotation().len() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ejected).await.expect("a probe finds its port closed");
        target.down(Duration::from_secs(10)).await.unwrap();
        let told = target.remarks();
        assert!(told.len() == 1 && told[0].starts_with("all-1.1 had ended by itself: it "), "{told:?}");
    }
}
