//! One shard: a thread with a runtime of its own, its part of the operations, its connections, its ledger file.
//!
//! In: a [`Setup`] and a [`Recorder`]. Out: the recorder, told of every operation of the part that was due, each ended;
//! and the totals of the load.
//!
//! ```text
//! schedule ──due──▶ ledger: pending ──▶ rotation ──┬─▶ idle connection ─┐
//!                                                  ├─▶ new connection ──┼─▶ ledger: sent ─▶ answer ─▶ ledger: ended
//!                                                  └─▶ waits ───────────┘
//! ```
//!
//! # Why
//! Everything here lives on one thread: cells instead of locks, and no borrow is held across an `await`. The main
//! task wakes for the next due time, but at least every [`TICK`], to look at the routing table and the stop tokens,
//! and not sooner than [`BATCH`] after it woke before: at high rates all that became due meanwhile is issued at once.
//!
//! An open loop does not back off: where connects are refused each operation has its own, and its refusal is told as its
//! outcome. A pause between connects would keep operations waiting for us, and then tell of a target that is slow when it
//! is gone. What the plan asks for bounds them, and so does the number of connections; `Connections` counts them apart.
//!
//! A closed loop does: no plan bounds it, and each refusal would make the next connect due at once. An operation is due
//! there when it is issued, so that none waits while its place rests ([`Backoff`](super::backoff::Backoff)).

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::alarm::Alarm;
use super::client::Broken;
use super::dialogue::Dialogue;
use super::fuse::{Burnt, Fuse, Fuses};
use super::horizon::Horizon;
use super::ledger::{Begin, Dispatch, End, LedgerError, Outcome, Part, Reason, Recorder};
use super::mailbox::Mailbox;
use super::rotation::{Job, Next, Placement, Rotation};
use super::schedule::Schedule;
use super::tally::{Report, Tally, Totals};
use super::transport::{Link, OpenError, Opened, Opener};
use super::wake::WakeTimer;
use crate::backends::{Endpoint, Endpoints};
use crate::clock::{Offset, RunClock};
use crate::plan::LoadPlan;

const TICK: Duration = Duration::from_millis(5);
const BATCH: Duration = Duration::from_millis(1);
/// The runtime runs no more before it looks at its main task again (tokio's `event_interval`).
const TASKS_A_ROUND: u64 = 61;

/// What a shard is told at its start.
#[derive(Debug, Clone)]
pub struct Setup {
    pub load: LoadPlan,
    pub part: Part,
    /// Connections of this shard to each instance.
    pub connections: u32,
    pub dialogue: Arc<dyn Dialogue>,
    pub endpoints: Endpoints,
    pub clock: RunClock,
    pub alarm: Arc<dyn Alarm>,
    pub horizon: Arc<Horizon>,
    /// Issue no more; what is open may still end.
    pub interrupt: CancellationToken,
    /// End now.
    pub cut: CancellationToken,
}

struct Shard<R> {
    setup: Setup,
    schedule: RefCell<Schedule>,
    recorder: RefCell<R>,
    rotation: RefCell<Rotation>,
    tally: RefCell<Tally>,
    opener: Opener,
    connections: RefCell<JoinSet<()>>,
    fuses: Fuses,
    /// Operations begun and not ended.
    open: Cell<u64>,
    /// Whether the end of one operation makes another one due.
    closed: bool,
    /// What a connection found to be wrong with this machine.
    failure: Cell<Option<LoadError>>,
}

/// Issues and drains a shard's part. On an error the recorder is dropped as it is: a ledger file stays unsealed, with
/// open attempts.
pub async fn run<R: Recorder>(
    setup: Setup,
    recorder: R,
    reports: mpsc::Sender<Report>,
) -> Result<(R, Totals), LoadError> {
    let shard = Rc::new(Shard::new(setup, recorder, reports));
    let drained = shard.issue_and_drain().await;
    shard.end_connections().await;
    drained?;
    let shard = Rc::into_inner(shard).expect("only its connections shared it, and they have ended");
    Ok(shard.close().await)
}

impl<R: Recorder> Shard<R> {
    fn new(setup: Setup, recorder: R, reports: mpsc::Sender<Report>) -> Self {
        let Part { run, shard, shards } = setup.part;
        let opener = Opener::new(setup.dialogue.transport().clone(), setup.connections);
        let rotation = Rotation::new(setup.endpoints.clone(), opener.links_max(), shard.into());
        Shard {
            schedule: RefCell::new(Schedule::new(&setup.load, run, shard, shards)),
            recorder: RefCell::new(recorder),
            rotation: RefCell::new(rotation),
            tally: RefCell::new(Tally::new(shard, setup.load.request_timeout, reports)),
            opener,
            connections: RefCell::default(),
            fuses: Fuses::new(),
            open: Cell::new(0),
            closed: setup.load.closed.is_some(),
            failure: Cell::new(None),
            setup,
        }
    }

    async fn issue_and_drain(self: &Rc<Self>) -> Result<(), LoadError> {
        let timer = WakeTimer::new().map_err(LoadError::Timer)?;
        let mut issuing_ended = None;
        loop {
            let woke = self.setup.clock.now();
            let cut = self.setup.cut.is_cancelled();
            self.reroute();
            self.issue()?;
            self.give_up_homeless();
            self.reap();
            self.failure.take().map_or(Ok(()), Err)?;
            self.fuses.burn(woke, self.deadline(woke));
            self.tally.borrow_mut().tick(woke);
            let now = self.setup.clock.now();
            let (next_due, end) = (self.schedule.borrow_mut().next_due(), self.setup.horizon.end());
            if next_due.min(now) < end && !cut {
                let next = next_due.max(woke.plus(BATCH)).min(now.plus(TICK));
                timer.sleep(next.since(now)).await.map_err(LoadError::Timer)?;
                self.setup.alarm.woken();
                self.catch_up(next).await;
                continue;
            }
            let drained_by = issuing_ended.get_or_insert(now).plus(self.setup.load.grace);
            if cut || self.open.get() == 0 || now >= drained_by {
                return Ok(());
            }
            timer.sleep(TICK).await.map_err(LoadError::Timer)?;
            self.catch_up(now.plus(TICK)).await;
        }
    }

    /// Where this thread stood still, what came to its connections meanwhile is heard before anything is sent on them, or
    /// given up.
    async fn catch_up(&self, should_wake: Offset) {
        if self.setup.clock.now() <= should_wake.plus(BATCH) {
            return;
        }
        let waiting = self.open.get().min(self.setup.connections.into());
        for _ in 0..=waiting / TASKS_A_ROUND {
            // It comes back when the runtime has asked the kernel for events, and has run so many of the tasks they woke.
            tokio::task::yield_now().await;
        }
    }

    /// Begins everything that is due.
    fn issue(self: &Rc<Self>) -> Result<(), LedgerError> {
        if self.setup.cut.is_cancelled() || self.setup.interrupt.is_cancelled() {
            self.setup.horizon.close();
        }
        let until = self.setup.horizon.advance();
        // No schedule ends a closed loop: each end would make another one due until nothing is waited for any more.
        if self.closed && until == self.setup.horizon.end() {
            return Ok(());
        }
        let (woke, epoch) = (self.setup.clock.now(), self.setup.clock.epoch());
        let mut schedule = self.schedule.borrow_mut();
        while let Some((op, due)) = schedule.due_before(until, self.open.get()) {
            self.recorder.borrow_mut().begin(&Begin { op, due, woke, epoch })?;
            self.open.update(|open| open + 1);
            self.tally.borrow_mut().due();
            self.place(Job { op, due });
        }
        Ok(())
    }

    fn place(self: &Rc<Self>, job: Job) {
        let placement = self.rotation.borrow_mut().place(job);
        self.act(placement);
    }

    fn act(self: &Rc<Self>, placement: Placement) {
        match placement {
            Placement::Hand(mailbox, job) => mailbox.give(job),
            Placement::Open(endpoint, job) => {
                self.connections.borrow_mut().spawn_local(self.clone().serve(endpoint, job));
            }
            Placement::Waits => {}
        }
    }

    /// Places anew what lost its instance, or found one.
    fn reroute(self: &Rc<Self>) {
        let jobs = self.rotation.borrow_mut().refresh();
        jobs.into_iter().for_each(|job| self.place(job));
    }

    fn give_up_homeless(self: &Rc<Self>) {
        let now = self.setup.clock.now();
        let Some(give_up_due) = now.0.checked_sub(Offset::from_duration(self.setup.load.request_timeout).0) else {
            return;
        };
        loop {
            let expired = self.rotation.borrow_mut().expired(Offset(give_up_due));
            let Some(job) = expired else { return };
            self.finish(&job, Outcome::NotSent, Reason::NoInstance, 0);
        }
    }

    /// The life of one connection. It is opened for a job that waits.
    async fn serve(self: Rc<Self>, endpoint: Endpoint, first: Job) {
        let fuse = self.fuses.fuse();
        let opening = self.opener.open(endpoint.addr, &*self.setup.dialogue);
        let opened = fuse.hold(self.deadline(self.setup.clock.now()), opening).await;
        let unsent = match opened.unwrap_or_else(|Burnt| Err(OpenError::Connect(io::ErrorKind::TimedOut.into()))) {
            Ok(opened) => self.carry(opened, &fuse, &endpoint, first).await,
            Err(error) => {
                self.not_connected(&endpoint, &first, error);
                None
            }
        };
        let placement = self.rotation.borrow_mut().closed(endpoint.id);
        self.act(placement);
        if let Some(job) = unsent {
            let placement = self.rotation.borrow_mut().replace(endpoint.id, job);
            self.act(placement);
        }
    }

    /// Exchanges job after job. The answer is the one for which the connection had ended before a byte was written.
    async fn carry(self: &Rc<Self>, opened: Opened, fuse: &Fuse, endpoint: &Endpoint, first: Job) -> Option<Job> {
        let Opened { mut link, mut is_new, spoken } = opened;
        if is_new {
            self.tally.borrow_mut().connections.opened(spoken);
        }
        let mailbox = Rc::<Mailbox>::default();
        let mut job = first;
        loop {
            link.ready().await;
            let free = self.setup.clock.now();
            if !link.usable() {
                self.ended_by_target(&link);
                return if is_new { self.nobody_there(endpoint, job) } else { Some(job) };
            }
            // The rotation may have changed since the job was given: nothing is sent to an ejected instance.
            self.reroute();
            if !self.rotation.borrow().has(endpoint.id) {
                return Some(job);
            }
            if is_new {
                self.schedule.borrow_mut().connected();
            }
            if !self.exchange(&mut link, fuse, endpoint, &job, free).await {
                return None;
            }
            is_new = false;
            let next = self.rotation.borrow_mut().freed(endpoint.id, &mailbox);
            job = match next {
                Next::Take(job) => job,
                Next::Idle => self.idle(&mut link, endpoint, &mailbox).await?,
                Next::Close => return None,
            };
        }
    }

    /// An idle connection may end for many reasons; a new one only because there is nobody. Where nothing takes its instance
    /// out of rotation, that refuses the job: else one connection after another would be opened for it.
    fn nobody_there(self: &Rc<Self>, endpoint: &Endpoint, job: Job) -> Option<Job> {
        self.eject(endpoint, "eof");
        if !self.rotation.borrow().has(endpoint.id) {
            return Some(job);
        }
        self.refused(endpoint, &job);
        None
    }

    /// Waits for a job; `None`: the connection is to be closed.
    async fn idle(&self, link: &mut Link, endpoint: &Endpoint, mailbox: &Rc<Mailbox>) -> Option<Job> {
        tokio::select! {
            // A job that was already given must not be lost: `carry` finds out that the connection has ended.
            biased;
            job = mailbox.next() => job,
            () = link.ended() => {
                self.ended_by_target(link);
                self.rotation.borrow_mut().withdraw(endpoint.id, mailbox);
                None
            }
        }
    }

    /// Sends one request and records how it ended. The answer: whether the connection can carry another one.
    async fn exchange(
        self: &Rc<Self>,
        link: &mut Link,
        fuse: &Fuse,
        endpoint: &Endpoint,
        job: &Job,
        free: Offset,
    ) -> bool {
        link.prepare(&job.op);
        let sent = self.setup.clock.now();
        self.dispatched(endpoint, job, free, Some(sent));
        self.tally.borrow_mut().sent();
        match fuse.hold(self.deadline(sent), link.exchange()).await {
            Ok(Ok((answer, body))) => {
                let (outcome, reason) = self.setup.dialogue.judge(&job.op, &answer, body);
                self.finish(job, outcome, reason, answer.status);
                if !answer.keep_alive {
                    self.ended_by_target(link);
                }
                answer.keep_alive
            }
            Ok(Err(broken)) => {
                self.finish(job, broken.outcome(), broken.reason(), 0);
                if let Some(why) = broken.ejects() {
                    self.ended_by_target(link);
                    self.eject(endpoint, why);
                }
                false
            }
            Err(Burnt) => {
                self.finish(job, Outcome::Unknown, Reason::TimedOut, 0);
                false
            }
        }
    }

    /// Of what begins now.
    fn deadline(&self, now: Offset) -> Offset {
        now.plus(self.setup.load.request_timeout)
    }

    fn not_connected(self: &Rc<Self>, endpoint: &Endpoint, job: &Job, error: OpenError) {
        let error = match error {
            OpenError::Connect(source) if is_own_fault(&source) => {
                self.failure.set(Some(LoadError::NoSocket { addr: endpoint.addr, source }));
                return;
            }
            error => error,
        };
        self.tally.borrow_mut().connections.refused(&error);
        self.refused(endpoint, job);
        self.eject(endpoint, "refused");
    }

    fn refused(self: &Rc<Self>, endpoint: &Endpoint, job: &Job) {
        let now = self.setup.clock.now();
        self.dispatched(endpoint, job, now, None);
        // Before its end makes another one due.
        self.schedule.borrow_mut().refused(now);
        self.finish(job, Outcome::Refused, Reason::ConnectRefused, 0);
    }

    fn ended_by_target(&self, link: &Link) {
        self.tally.borrow_mut().connections.ended_by_target += u64::from(link.tells_of_its_end());
    }

    fn eject(self: &Rc<Self>, endpoint: &Endpoint, why: &str) {
        self.setup.endpoints.eject(endpoint.id, self.setup.clock.now(), why);
        self.reroute();
    }

    fn dispatched(&self, endpoint: &Endpoint, job: &Job, free: Offset, sent: Option<Offset>) {
        let epoch = self.setup.clock.epoch();
        let dispatch = Dispatch { instance: endpoint.id, free, sent, epoch };
        self.recorder.borrow_mut().dispatched(job.op.index, &dispatch);
    }

    fn finish(self: &Rc<Self>, job: &Job, outcome: Outcome, reason: Reason, status: u16) {
        let done = self.setup.clock.now();
        self.recorder.borrow_mut().finish(job.op.index, &End { done, outcome, reason, status });
        self.tally.borrow_mut().ended(outcome, reason, done.since(job.due));
        self.open.update(|open| open - 1);
        if self.closed {
            // Its end makes the next one due, and the loop would look for it only at its next tick.
            self.issue().unwrap_or_else(|e| self.failure.set(Some(e.into())));
        }
    }

    /// Forgets connections that have ended.
    fn reap(&self) {
        while let Some(ended) = self.connections.borrow_mut().try_join_next() {
            ended.expect("a connection's task does not panic");
        }
    }

    async fn end_connections(&self) {
        let mut connections = self.connections.take();
        connections.shutdown().await;
        self.opener.close().await;
    }

    /// What is open counts at its age.
    async fn close(self) -> (R, Totals) {
        let mut recorder = self.recorder.into_inner();
        recorder.end_open(self.setup.clock.now());
        (recorder, self.tally.into_inner().close().await)
    }
}

impl Broken {
    /// Only a target that says so itself has surely not processed what was sent.
    fn outcome(self) -> Outcome {
        match self {
            Broken::GoingAway | Broken::RefusedStream => Outcome::Refused,
            Broken::Eof | Broken::Reset | Broken::StreamReset | Broken::BadAnswer(_) => Outcome::Unknown,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Broken::Eof | Broken::Reset | Broken::StreamReset => Reason::Reset,
            Broken::BadAnswer(_) => Reason::BadAnswer,
            Broken::GoingAway | Broken::RefusedStream => Reason::NotProcessed,
        }
    }

    /// A connection that ended under a request takes its instance out of rotation; nonsense does not.
    fn ejects(self) -> Option<&'static str> {
        match self {
            Broken::Eof | Broken::BadAnswer(super::response::BadAnswer::CutOff) => Some("eof"),
            Broken::Reset => Some("reset"),
            Broken::GoingAway => Some("goaway"),
            Broken::BadAnswer(_) | Broken::RefusedStream | Broken::StreamReset => None,
        }
    }
}

/// No file descriptor, port or memory for a socket: that says nothing about the target.
fn is_own_fault(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    error.raw_os_error().is_some_and(|code| [EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_our_own_fault_and_a_refusal_is_not() {
        assert!(is_own_fault(&io::Error::from_raw_os_error(nix::libc::EMFILE)));
        assert!(!is_own_fault(&io::Error::from_raw_os_error(nix::libc::ECONNREFUSED)));
        assert!(!is_own_fault(&io::ErrorKind::TimedOut.into()));
    }
}
