//! A deployment on a lab that was up before the run, and stays: what the parent of its processes must do is asked of
//! the keeper, everything else (routing, probes, times) is the run's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinSet;

use super::LabFolder;
use super::mirror::{Life, Mirror};
use super::wire::{Act, Line, News, Reading, Reply, Request, Visitor, ask_now, say};
use crate::backends::process::{Site, wait_for_exit};
use crate::backends::{
    ControlError, Deployment, DownError, Endpoints, Exit, Instance, InstanceId, ProcessControl, Sources, UpError,
    prober,
};
use crate::journal::{Entry, Journal};
use crate::plan::{PausePoint, Slot, TargetPlan};
use crate::stop::Stop;

/// What the keeper answers at once, it answers within this.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Making the lab whole: the end of whoever was told to end, and a start for each empty slot.
const WHOLE_WITHIN: Duration = Duration::from_secs(120);

/// A run's hold on a lab. The lab is made whole when it ends, however it ends.
pub struct Attached {
    lab: LabFolder,
    session: u64,
    plan: TargetPlan,
    sources: Sources,
    journal: Arc<Journal>,
    mirror: Arc<Mirror>,
    /// Our end of the session; taken when it is over.
    line: AsyncMutex<Option<OwnedWriteHalf>>,
    end: watch::Receiver<Option<End>>,
    listener: AsyncMutex<JoinSet<()>>,
    /// What was done to make the lab whole, before the run and after it.
    restored: Mutex<Vec<String>>,
}

/// How the session ended.
#[derive(Debug, Clone)]
enum End {
    Detached(Vec<String>),
    /// The keeper is gone.
    Lost,
}

impl Attached {
    /// Attaches, and waits until the run itself has seen everyone ready.
    pub async fn to(lab: &LabFolder, plan: &TargetPlan, site: Site, stop: &Stop) -> Result<Attached, UpError> {
        let attaching = async {
            let attached = Attached::open(lab, plan, site).await?;
            attached.all_ready().await?;
            Ok(attached)
        };
        // Dropped in the middle, the connection closes: the keeper makes the lab whole.
        stop.interrupt.run_until_cancelled(attaching).await.unwrap_or(Err(UpError::Interrupted))
    }

    async fn open(lab: &LabFolder, plan: &TargetPlan, site: Site) -> Result<Attached, UpError> {
        let refused = |why: String, remedy: &str| UpError::Attach {
            lab: lab.name().to_owned(),
            why,
            remedy: remedy.replace("testbed down`", &format!("testbed down {}`", lab.name())),
        };
        let gone =
            |e: std::io::Error| refused(format!("its keeper does not answer ({e})"), "see `mxctl testbed status`");
        let run = site.folder.parent().unwrap_or(&site.folder).display().to_string();
        let mut line = lab.connect().and_then(Line::of_std).map_err(gone)?;
        let attach = Request::Attach(Visitor { pid: std::process::id() as i32, run });
        say(&mut line.write, &attach).await.map_err(gone)?;
        let reply = tokio::time::timeout(WHOLE_WITHIN, line.read.hear()).await;
        let reply = reply.map_err(|_| gone(std::io::ErrorKind::TimedOut.into()))?.map_err(gone)?;
        let (session, instances, sources, restored) = match reply {
            Reply::Attached { session, instances, sources, restored } => (session, instances, sources, restored),
            Reply::Refused { why, remedy } => return Err(refused(why, &remedy)),
            other => return Err(refused(format!("its keeper answers {other:?}"), "see `mxctl testbed status`")),
        };
        let mirror = Arc::new(Mirror::new(plan.probe.clone(), site.clock));
        for instance in instances {
            mirror.enrol(instance);
        }
        let (tell, end) = watch::channel(None);
        let mut listener = JoinSet::new();
        listener.spawn(listen(line.read, mirror.clone(), tell));
        Ok(Attached {
            lab: lab.clone(),
            session,
            plan: plan.clone(),
            sources,
            journal: site.journal,
            mirror,
            line: AsyncMutex::new(Some(line.write)),
            end,
            listener: AsyncMutex::new(listener),
            restored: Mutex::new(restored),
        })
    }

    async fn all_ready(&self) -> Result<(), UpError> {
        for Life { instance, probe, .. } in self.mirror.living() {
            prober::ready(probe, self.plan.ready_within).await.map_err(|e| UpError::Attach {
                lab: self.lab.name().to_owned(),
                why: format!("{}: {e}", instance.name),
                remedy: format!("see `mxctl testbed status {}`", self.lab.name()),
            })?;
        }
        Ok(())
    }

    /// Asks the keeper for an act, over a connection of its own.
    async fn act(&self, act: Act, within: Duration) -> Result<Reply, ControlError> {
        let request = Request::Act { session: self.session, act };
        let asking = async { self.lab.connect().and_then(Line::of_std)?.ask(&request).await };
        let asked = tokio::time::timeout(within + AT_ONCE, asking).await;
        self.understood(asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())))
    }

    fn understood(&self, reply: std::io::Result<Reply>) -> Result<Reply, ControlError> {
        match reply {
            Ok(Reply::Failed { why }) => Err(ControlError::Keeper(why)),
            Ok(Reply::Refused { why, .. }) => Err(self.silent(&why)),
            Ok(reply) => Ok(reply),
            Err(e) => Err(self.silent(&e)),
        }
    }

    fn silent(&self, why: &dyn std::fmt::Display) -> ControlError {
        ControlError::Keeper(format!("talk to the keeper of the lab `{}`: {why}", self.lab.name()))
    }

    /// Ends the session; what it took to make the lab whole.
    async fn detach(&self) -> Result<Vec<String>, String> {
        let Some(mut line) = self.line.lock().await.take() else { return Ok(Vec::new()) };
        // A keeper that is gone is found out by the wait.
        let _ = say(&mut line, &Request::Detach).await;
        let mut end = self.end.clone();
        let end = tokio::time::timeout(WHOLE_WITHIN, end.wait_for(Option::is_some)).await;
        match end.ok().and_then(|end| end.ok().and_then(|end| end.clone())) {
            Some(End::Detached(restored)) => Ok(restored),
            Some(End::Lost) => Err("its keeper is gone".into()),
            None => Err(format!("it was not whole again within {WHOLE_WITHIN:?}")),
        }
    }
}

/// Keeps the mirror true until the session ends.
async fn listen(mut read: Reading, mirror: Arc<Mirror>, tell: watch::Sender<Option<End>>) {
    loop {
        match read.hear().await {
            Ok(News::Born(instance)) => drop(mirror.enrol(instance)),
            Ok(News::Ended { id, code, signal }) => mirror.ended(id, code, signal),
            Ok(News::Detached { restored }) => return drop(tell.send_replace(Some(End::Detached(restored)))),
            Err(_) => {
                mirror.all_ended();
                return drop(tell.send_replace(Some(End::Lost)));
            }
        }
    }
}

#[async_trait]
impl Deployment for Attached {
    fn endpoints(&self) -> &Endpoints {
        &self.mirror.endpoints
    }

    fn sources(&self) -> Sources {
        self.sources.clone()
    }

    fn roster(&self) -> Vec<Instance> {
        self.mirror.roster()
    }

    fn alive(&self) -> Vec<Instance> {
        self.mirror.living().into_iter().map(|life| life.instance).collect()
    }

    fn processes(&self) -> Option<&dyn ProcessControl> {
        Some(self)
    }

    /// The lab stays: whom the run froze, held, stopped or added is put back.
    async fn down(&self, _grace: Duration) -> Result<(), DownError> {
        let detached = self.detach().await;
        self.mirror.close().await;
        self.listener.lock().await.shutdown().await;
        let name = self.lab.name();
        match detached {
            Ok(restored) => {
                self.restored.lock().expect("no code panics while it holds this").extend(restored);
                Ok(())
            }
            Err(why) => Err(DownError(vec![format!("the lab `{name}`: {why}; `mxctl testbed down {name}` ends it")])),
        }
    }

    fn remarks(&self) -> Vec<String> {
        let restored = self.restored.lock().expect("no code panics while it holds this").clone();
        restored.into_iter().map(|done| format!("lab {}: {done}", self.lab.name())).collect()
    }
}

#[async_trait]
impl ProcessControl for Attached {
    fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        self.mirror.in_slot(slot)
    }

    async fn start(&self, slot: &Slot) -> Result<Instance, ControlError> {
        // Its port, and then its readiness: each has the whole time.
        let reply = self.act(Act::Start { slot: slot.clone() }, self.plan.ready_within * 2).await?;
        let Reply::Started(theirs) = reply else { return Err(self.silent(&"it answers something else")) };
        let life = self.mirror.enrol(theirs);
        let ready = prober::ready(life.probe.clone(), self.plan.ready_within).await;
        ready.map_err(|e| ControlError::Start(format!("{}: {e}", life.instance.name)))?;
        Ok(life.instance)
    }

    /// Asked for at once, as a signal is sent: the thread waits for the keeper as it would for its own journal.
    fn signal(&self, id: InstanceId, signal: Signal) -> Result<(), ControlError> {
        let Life { instance, there, .. } = self.mirror.life(id);
        let (process, name) = (instance.own_process()?, instance.name);
        self.journal.write(&match signal {
            Signal::SIGSTOP => Entry::Freezing { name, process },
            _ => Entry::Ending { name, process, signal: signal.as_str().to_owned() },
        })?;
        let act = Act::Signal { id: there, number: signal as i32 };
        let request = Request::Act { session: self.session, act };
        let reply = self.lab.connect().and_then(|line| ask_now(line, &request, AT_ONCE));
        self.understood(reply).map(drop)
    }

    async fn frozen(&self, id: InstanceId, within: Duration) -> Result<(), ControlError> {
        let instance = self.mirror.life(id).instance;
        match instance.own_process()?.freezes(within).await {
            true => Ok(()),
            false => Err(ControlError::TimedOut { what: format!("freeze {}", instance.name), within }),
        }
    }

    async fn exited(&self, id: InstanceId, within: Duration) -> Result<Option<Exit>, ControlError> {
        let life = self.mirror.life(id);
        let exit = wait_for_exit(life.exit, within).await;
        if let Some(exit) = exit {
            life.over.cancel();
            self.mirror.endpoints.remove(id, exit.at);
        }
        Ok(exit)
    }

    async fn probed(&self, id: InstanceId, within: Duration) -> Result<bool, ControlError> {
        let life = self.mirror.life(id);
        let what = || ControlError::TimedOut { what: format!("probe {}", life.instance.name), within };
        prober::next(life.probe.clone(), self.mirror.clock.now(), within).await.ok_or_else(what)
    }

    async fn hold(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError> {
        let life = self.mirror.life(id);
        self.journal.write(&Entry::Holding { name: life.instance.name, point: point.word().to_owned() })?;
        self.act(Act::Hold { id: life.there, point }, Duration::ZERO).await.map(drop)
    }

    async fn held(&self, id: InstanceId, point: PausePoint, within: Duration) -> Result<Option<u64>, ControlError> {
        match self.act(Act::Held { id: self.mirror.life(id).there, point, within }, within).await? {
            Reply::Held(tasks) => Ok(tasks),
            _ => Err(self.silent(&"it answers something else")),
        }
    }

    async fn release(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError> {
        let life = self.mirror.life(id);
        self.act(Act::Release { id: life.there, point }, Duration::ZERO).await?;
        Ok(self.journal.write(&Entry::Released { name: life.instance.name, point: point.word().to_owned() })?)
    }
}
