//! The keeper: the process that a lab lives in between two runs.
//!
//! In: a lab's folder, from [`birth`](super::birth). Out: a target that is up, and answers over the folder's socket,
//! until `testbed down` or SIGTERM. It runs the process backend, and adds nothing to it but the door.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{RwLock, broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::birth::{Birth, Parent};
use super::restore::Custody;
use super::wire::{Act, Ending, Gone, Line, News, Reply, Request, Sight, Visitor, say};
use super::{LabError, LabFolder, target};
use crate::backends::process::{DATABASE_URL, Processes, Site};
use crate::backends::{ControlError, Deployment, DownError, InstanceId, ProcessControl};
use crate::clock::RunClock;
use crate::journal::{Found, Journal};
use crate::plan::{DatabaseUrl, TargetPlan};
use crate::stop::Stop;

/// News that a session may be behind with before it is lost.
const NEWS: usize = 1024;
/// For the last answers, when everything else is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Keeps a lab until it is told to take it down.
pub async fn keep(folder: &LabFolder, executable: PathBuf) -> Result<(), LabError> {
    let (mut birth, parent) = Birth::inherited().map_err(LabError::NotBorn)?;
    let _occupied = folder.occupy()?;
    birth.locked().await;
    let stop = Stop::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(listen_for_signals(stop.clone()));
    let wanted = CancellationToken::new();
    tasks.spawn(listen_to(parent, wanted.clone(), stop.clone()));

    let (keeper, journal) = match bring_up(folder, executable, &stop).await {
        Ok(up) => up,
        Err(e) => {
            birth.failed(e.to_string()).await;
            return Err(e);
        }
    };
    match folder.listen() {
        Ok(listener) => {
            birth.ready().await;
            tokio::select! { () = wanted.cancelled() => {}, () = stop.interrupt.cancelled() => {} }
            keeper.serve(listener, &stop).await;
        }
        Err(e) => birth.failed(e.to_string()).await,
    }
    folder.stop_listening();
    let grace = if wanted.is_cancelled() { keeper.plan.grace } else { Duration::ZERO };
    keeper.down(grace, folder, &journal).await
}

async fn bring_up(
    folder: &LabFolder,
    executable: PathBuf,
    stop: &Stop,
) -> Result<(Arc<Keeper>, Arc<Journal>), LabError> {
    let failed = |why: String| LabError::Keeper { name: folder.name().to_owned(), why };
    let mut kept = folder.kept()?;
    kept.target.existing = existing(&kept.target).map_err(failed)?;
    let opened = Journal::open(folder.root(), &target(folder.name()));
    let journal = Arc::new(opened.map_err(|e| failed(format!("write its journal: {e}")))?);
    let clock = RunClock::starting_in(Duration::ZERO);
    let site = Site { executable, folder: folder.target_dir(), journal: journal.clone(), clock };
    match Processes::up(&kept.target, site, stop).await {
        Ok(deployment) => Ok((Keeper::of(deployment, kept.target), journal)),
        Err(e) => {
            close_if_nothing_is_left(folder, &journal);
            Err(failed(e.to_string()))
        }
    }
}

/// With its password, which the lab's description does not have.
fn existing(target: &TargetPlan) -> Result<Option<DatabaseUrl>, String> {
    if target.existing.is_none() {
        return Ok(None);
    }
    let text = std::env::var(DATABASE_URL).map_err(|e| format!("find its database in {DATABASE_URL}: {e}"))?;
    let (_, url) = DatabaseUrl::read(&text).map_err(|why| format!("use its database: its URL {why}"))?;
    Ok(Some(url))
}

fn close_if_nothing_is_left(folder: &LabFolder, journal: &Journal) {
    if Found::read(folder.root()).is_ok_and(|found| found.is_some_and(|found| found.leftovers().is_empty())) {
        // A journal that stays open makes `testbed down` look again.
        let _ = journal.close();
    }
}

/// Without `keep`, nobody wants the lab: it goes down as if interrupted.
async fn listen_to(parent: Parent, wanted: CancellationToken, stop: Stop) {
    match parent.wants_it().await {
        true => wanted.cancel(),
        false => stop.interrupt.cancel(),
    }
}

async fn listen_for_signals(stop: Stop) {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process may listen for SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
    loop {
        let kind = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        stop.signalled(kind.as_raw_value());
    }
}

pub(super) struct Keeper {
    pub deployment: Box<dyn Deployment>,
    pub plan: TargetPlan,
    pub custody: Mutex<Custody>,
    /// Acts hold it for reading; who makes the lab whole holds it alone.
    pub acts: RwLock<()>,
    visit: watch::Sender<Option<Visit>>,
    news: broadcast::Sender<News>,
    followed: Mutex<BTreeSet<InstanceId>>,
    tasks: Mutex<JoinSet<()>>,
    endings: Mutex<Vec<Ending>>,
    closing: CancellationToken,
    gone: watch::Sender<Option<Gone>>,
}

/// The session that there is.
#[derive(Debug, Clone)]
struct Visit {
    session: u64,
    visitor: Visitor,
    /// It has ended, and the lab is being made whole.
    over: CancellationToken,
}

impl Keeper {
    fn of(deployment: Box<dyn Deployment>, plan: TargetPlan) -> Arc<Keeper> {
        let keeper = Arc::new(Keeper {
            deployment,
            plan,
            custody: Mutex::default(),
            acts: RwLock::default(),
            visit: watch::Sender::new(None),
            news: broadcast::Sender::new(NEWS),
            followed: Mutex::default(),
            tasks: Mutex::default(),
            endings: Mutex::default(),
            closing: CancellationToken::new(),
            gone: watch::Sender::new(None),
        });
        keeper.follow_newcomers();
        keeper
    }

    pub fn processes(&self) -> &dyn ProcessControl {
        self.deployment.processes().expect("the process backend controls its processes")
    }

    /// Answers until the lab is to go down.
    async fn serve(self: &Arc<Self>, listener: std::os::unix::net::UnixListener, stop: &Stop) {
        let listener = UnixListener::from_std(listener).expect("a runtime with I/O runs the keeper");
        loop {
            tokio::select! {
                came = listener.accept() => match came {
                    Ok((stream, _)) => self.welcome(stream),
                    // Out of descriptors, for example: the next one may find some.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                () = stop.interrupt.cancelled() => return self.closing.cancel(),
                () = self.closing.cancelled() => return,
            }
        }
    }

    fn welcome(self: &Arc<Self>, stream: UnixStream) {
        let mut tasks = lock(&self.tasks);
        // A lab stays for days: what has been answered is not kept.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(self.clone().answer(stream));
    }

    /// Ends everything, tells whoever waits for it, and closes the journal where nothing is left.
    async fn down(self: Arc<Self>, grace: Duration, folder: &LabFolder, journal: &Journal) -> Result<(), LabError> {
        self.closing.cancel();
        let left = self.deployment.down(grace).await.err().map_or_else(Vec::new, |DownError(left)| left);
        let told = LabError::Down { name: folder.name().to_owned(), why: left.join("; ") };
        let closed = if left.is_empty() { journal.close().map_err(|_| told) } else { Err(told) };
        self.gone.send_replace(Some(Gone { ended: lock(&self.endings).clone(), left }));
        let mut last = std::mem::take(&mut *lock(&self.tasks));
        let _ = tokio::time::timeout(LAST_WORDS, async { while last.join_next().await.is_some() {} }).await;
        closed
    }

    async fn answer(self: Arc<Self>, stream: UnixStream) {
        let mut line = Line::new(stream);
        let Ok(request) = line.read.hear().await else { return };
        let reply = match request {
            Request::Look => Reply::Seen(self.sight()),
            Request::Act { session, act } => self.act(session, act).await,
            Request::Down { force } => self.take_down(force).await,
            Request::Attach(visitor) => return self.attend(visitor, line).await,
            Request::Detach => return,
        };
        // Who has gone wants no answer.
        let _ = say(&mut line.write, &reply).await;
    }

    fn sight(&self) -> Sight {
        let attached = self.visit.borrow().as_ref().map(|visit| visit.visitor.clone());
        Sight { instances: self.deployment.alive(), sources: self.deployment.sources(), attached }
    }

    async fn take_down(&self, force: bool) -> Reply {
        if let (Some(visit), false) = (&*self.visit.borrow(), force) {
            let Visitor { pid, run } = &visit.visitor;
            let why = format!("a run is attached (pid {pid}, {run})");
            return Reply::Refused { why, remedy: "wait for its end, or add `--force`".into() };
        }
        let mut gone = self.gone.subscribe();
        self.closing.cancel();
        let gone = gone.wait_for(Option::is_some).await.ok().and_then(|gone| gone.clone());
        Reply::Gone(gone.unwrap_or_default())
    }

    /// One session, from its beginning to the whole lab after it.
    async fn attend(self: Arc<Self>, visitor: Visitor, mut line: Line) {
        let visit = match self.admit(visitor).await {
            Ok(visit) => visit,
            Err(refused) => return drop(say(&mut line.write, &refused).await),
        };
        let (restored, whole) = self.make_whole().await;
        let mut news = self.news.subscribe();
        let mut asked_to_end = false;
        match whole {
            Ok(()) => {
                let (instances, sources) = (self.deployment.alive(), self.deployment.sources());
                let attached = Reply::Attached { session: visit.session, instances, sources, restored };
                if say(&mut line.write, &attached).await.is_ok() {
                    asked_to_end = self.converse(&mut line, &mut news).await;
                }
            }
            Err(why) => {
                let remedy = "`mxctl testbed down` it, and bring it up again".to_owned();
                let _ = say(&mut line.write, &Reply::Refused { why, remedy }).await;
            }
        }
        visit.over.cancel();
        let (mut restored, whole) = match self.closing.is_cancelled() {
            true => (Vec::new(), Ok(())),
            false => self.make_whole().await,
        };
        restored.extend(whole.err().map(|why| format!("it is not whole: {why}")));
        if asked_to_end {
            let _ = say(&mut line.write, &News::Detached { restored }).await;
        }
        self.visit.send_replace(None);
    }

    /// One at a time. Who comes while the lab is being made whole after another waits for that.
    async fn admit(&self, visitor: Visitor) -> Result<Visit, Reply> {
        let mut visits = self.visit.subscribe();
        loop {
            let standing = visits.borrow_and_update().clone();
            match standing {
                None => {}
                Some(visit) if visit.over.is_cancelled() => {
                    let _ = visits.changed().await;
                    continue;
                }
                Some(Visit { visitor: Visitor { pid, run }, .. }) => {
                    let why = format!("a run is attached to it (pid {pid}, {run})");
                    return Err(Reply::Refused { why, remedy: "wait for its end".into() });
                }
            }
            // Nothing awaits between the look and the entry, on the one thread that there is.
            let visit = Visit { session: next_session(), visitor: visitor.clone(), over: CancellationToken::new() };
            self.visit.send_replace(Some(visit.clone()));
            return Ok(visit);
        }
    }

    /// Tells the news until the session ends; true: it asked for it.
    async fn converse(&self, line: &mut Line, news: &mut broadcast::Receiver<News>) -> bool {
        let Line { read, write } = line;
        loop {
            tokio::select! {
                some = news.recv() => match some {
                    Ok(some) if say(write, &some).await.is_ok() => {}
                    // It is gone, or so far behind that it does not know who lives.
                    _ => return false,
                },
                said = read.hear::<Request>() => return matches!(said, Ok(Request::Detach)),
                () = self.closing.cancelled() => return false,
            }
        }
    }

    async fn act(self: &Arc<Self>, session: u64, act: Act) -> Reply {
        let over = self.visit.borrow().as_ref().filter(|visit| visit.session == session).map(|v| v.over.clone());
        let _beside_others = self.acts.read().await;
        let Some(over) = over.filter(|over| !over.is_cancelled()) else {
            return Reply::Refused { why: "its session is over".into(), remedy: "attach again".into() };
        };
        match self.carry_out(act, &over).await {
            Ok(reply) => reply,
            Err(e) => Reply::Failed { why: e.to_string() },
        }
    }

    async fn carry_out(self: &Arc<Self>, act: Act, over: &CancellationToken) -> Result<Reply, ControlError> {
        if let Act::Signal { id, .. } | Act::Hold { id, .. } | Act::Held { id, .. } | Act::Release { id, .. } = act
            && !self.deployment.roster().iter().any(|instance| instance.id == id)
        {
            return Err(ControlError::Keeper(format!("find instance {}: it was never here", id.0)));
        }
        let processes = self.processes();
        match act {
            Act::Start { slot } => {
                let started = processes.start(&slot).await;
                // One that came and is not ready is there, too.
                self.follow_newcomers();
                return started.map(Reply::Started);
            }
            Act::Signal { id, number } => {
                let signal =
                    Signal::try_from(number).map_err(|e| ControlError::Keeper(format!("send signal {number}: {e}")))?;
                lock(&self.custody).signalled(id, signal);
                processes.signal(id, signal)?;
            }
            Act::Hold { id, point } => {
                lock(&self.custody).holds.insert((id, point));
                processes.hold(id, point).await?;
            }
            Act::Held { id, point, within } => {
                let held = over.run_until_cancelled(processes.held(id, point, within)).await;
                return held.unwrap_or(Ok(None)).map(Reply::Held);
            }
            Act::Release { id, point } => {
                processes.release(id, point).await?;
                lock(&self.custody).holds.remove(&(id, point));
            }
        }
        Ok(Reply::Done)
    }

    /// Tells of everyone who has come since the last look, and, later, of his end.
    pub fn follow_newcomers(self: &Arc<Self>) {
        for instance in self.deployment.alive() {
            if lock(&self.followed).insert(instance.id) {
                // No session, no reader: that is no loss.
                let _ = self.news.send(News::Born(instance.clone()));
                lock(&self.tasks).spawn(self.clone().follow(instance.id, instance.name));
            }
        }
    }

    async fn follow(self: Arc<Self>, id: InstanceId, name: String) {
        let Ok(Some(exit)) = self.processes().exited(id, Duration::MAX).await else { return };
        let _ = self.news.send(News::Ended { id, code: exit.code, signal: exit.signal });
        if self.closing.is_cancelled() {
            lock(&self.endings).push(Ending { name, code: exit.code, signal: exit.signal });
        }
    }
}

/// No two sessions of one keeper have the same number.
fn next_session() -> u64 {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this")
}
