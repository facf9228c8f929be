//! Connection storms: a target that resets, refuses or swallows everything for a while, and returns. The schedule holds,
//! nothing is sent twice, and nothing is left behind. The server's log of arrivals is the truth.

mod lab;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lab::load;
use lab::scribe::{Entry, Scribe, Weather};
use mxctl::bench::server::{CloseAfter, Script, Served, Server, Window};
use mxctl::clock::{Offset, RunClock};
use mxctl::load::ledger::Reason;
use mxctl::load::{Attempt, Connections, Outcome};
use mxctl::plan::LoadPlan;
use procfs::process::{FDTarget, Process};
use tokio::runtime::Builder;
use tokio::time::sleep_until;

const RPS: u64 = 400;
const STORM: Window = Window { at: Duration::from_millis(400), lasts: Duration::from_millis(800) };

/// What load and server say afterwards.
struct Storm {
    attempts: Vec<Attempt>,
    connections: Connections,
    served: Served,
    /// The most that were open at once, beside those from before.
    sockets: usize,
}

/// Descriptors and memory are the whole process's: one storm at a time, and one runtime, which has sockets of its own.
static ALONE: Mutex<()> = Mutex::new(());

/// A shard's memory, its ledger's window among it: twice what the longest of them takes, and more.
const MEMORY_BYTES_MAX: u64 = 12 << 20;

impl Storm {
    /// Drives the plan at a server with this script; every operation that was due must have its record, ended.
    fn weathered(script: Script, plan: &LoadPlan) -> Storm {
        alone(Storm::driven(script, plan))
    }

    async fn driven(script: Script, plan: &LoadPlan) -> Storm {
        let (before, memory) = (sockets(), memory_bytes());
        let server = Server::start(script, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut sockets_max = before;
        let driven = tokio::select! {
            driven = load::into_ledger(plan, server.address(), folder.path()) => driven.unwrap(),
            () = watch_sockets(&mut sockets_max) => unreachable!("it never ends"),
        };
        let storm = Storm {
            attempts: driven.recorded.attempts().collect(),
            connections: driven.connections,
            served: server.stop().unwrap(),
            sockets: sockets_max - before,
        };
        assert_eq!(sockets(), before, "sockets are left behind");
        assert!(memory_bytes() < memory + MEMORY_BYTES_MAX, "{} after {memory}", memory_bytes());
        storm.assert_conserved(plan);
        storm
    }

    fn assert_conserved(&self, plan: &LoadPlan) {
        let due = RPS * plan.duration().as_millis() as u64 / 1000;
        assert!(self.attempts.iter().map(|attempt| attempt.op).eq(0..due), "each operation that was due, once");
        assert_eq!(Outcome::ALL.iter().map(|outcome| self.count(*outcome)).sum::<usize>(), self.attempts.len());
        assert!(self.attempts.iter().all(|a| a.sent.is_none_or(|sent| sent >= a.due)), "nothing before its time");
        // What a reset took from the server's hands has not arrived; all else arrived once.
        let (arrived, sent) = (self.served.summary.requests as usize, self.sent());
        assert!((self.count(Outcome::Acked)..=sent).contains(&arrived), "{arrived} arrived of {sent}");
        assert!(self.served.summary.connections as u64 <= self.connections.opened);
        assert!(self.connections.ended_by_target <= self.connections.opened);
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome == outcome).count()
    }

    fn sent(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.sent.is_some()).count()
    }

    /// Those due from this moment on that were acknowledged.
    fn acked_from(&self, due: Duration) -> usize {
        let due = Offset::from_duration(due);
        self.attempts.iter().filter(|a| a.due >= due && a.outcome == Outcome::Acked).count()
    }
}

fn alone<T>(storm: impl Future<Output = T>) -> T {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Builder::new_current_thread().enable_all().build().unwrap().block_on(storm)
}

async fn watch_sockets(most: &mut usize) {
    loop {
        *most = sockets().max(*most);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Both ends of each connection, those that either end has not let go of yet, the server's door, and the runtimes' own.
fn sockets_max(plan: &LoadPlan) -> usize {
    3 * plan.connections as usize + 8
}

/// Resident, of this process.
fn memory_bytes() -> u64 {
    Process::myself().unwrap().statm().unwrap().resident * procfs::page_size()
}

/// Sockets of this process.
fn sockets() -> usize {
    let descriptors = Process::myself().unwrap().fd().unwrap().flatten();
    descriptors.filter(|descriptor| matches!(descriptor.target, FDTarget::Socket(_))).count()
}

fn plan() -> LoadPlan {
    load::plan(RPS as f64, Duration::from_secs(2))
}

#[test]
fn a_target_that_resets_and_refuses_costs_what_was_due_meanwhile_and_no_more() {
    let storm = Storm::weathered(Script { refusals: vec![STORM], ..Script::default() }, &plan());
    let (refused, unknown) = (storm.count(Outcome::Refused), storm.count(Outcome::Unknown));
    assert!(refused > 0, "the refusal took no effect");
    // So does a connection that ends before it can be used.
    assert!(storm.connections.refused as usize <= refused, "each refused connect refuses one operation");
    // At most one request was open on each connection when they were reset.
    assert!(unknown <= plan().connections as usize, "{unknown}");
    assert!(storm.attempts.iter().filter(|a| a.outcome == Outcome::Refused).all(|a| a.sent.is_none()));
    assert_eq!(storm.count(Outcome::NotSent), 0);
    assert!(storm.sockets <= sockets_max(&plan()), "{}", storm.sockets);
    assert!(storm.connections.ended_by_target > 0);
    assert!(storm.acked_from(STORM.at + STORM.lasts) > 0, "it came back, and nobody noticed");
}

#[test]
fn a_target_that_swallows_everything_and_returns_gets_what_waited_and_nothing_twice() {
    let storm = Storm::weathered(Script { blackholes: vec![STORM], ..Script::default() }, &plan());
    assert_eq!(storm.count(Outcome::Acked), storm.attempts.len(), "time-outs are longer than the storm");
    assert_eq!(storm.served.summary.requests as usize, storm.attempts.len());
    assert_eq!((storm.connections.refused, storm.connections.ended_by_target), (0, 0));
    assert!(storm.connections.opened <= plan().connections.into(), "{:?}", storm.connections);
    assert!(storm.sockets <= sockets_max(&plan()), "{}", storm.sockets);
    // An open loop sends at once what waited: that burst is of what was due meanwhile, and of nothing else.
    let waited = storm.attempts.iter().filter(|a| a.free.since(a.woke) > Duration::from_millis(100));
    assert!(waited.count() > 0, "the blackhole took no effect");
}

#[test]
fn what_a_silent_target_keeps_beyond_the_time_out_is_unknown_and_not_asked_again() {
    let plan = LoadPlan { request_timeout: Duration::from_millis(200), ..plan() };
    let storm = Storm::weathered(Script { blackholes: vec![STORM], ..Script::default() }, &plan);
    let timed_out = storm.attempts.iter().filter(|a| a.reason == Reason::TimedOut).count();
    assert!(timed_out >= plan.connections as usize, "{timed_out}");
    assert_eq!(storm.count(Outcome::Unknown), timed_out);
    // Each of them cost its connection.
    assert!(storm.connections.opened as usize > timed_out);
    assert!(storm.acked_from(STORM.at + STORM.lasts) > 0, "it came back, and nobody noticed");
}

#[test]
fn a_target_that_ends_every_connection_gets_each_request_once_on_a_new_one() {
    for abruptly in [false, true] {
        let close = Some(CloseAfter { answers: NonZeroU64::MIN, abruptly });
        let storm = Storm::weathered(Script { close, ..Script::default() }, &plan());
        let (acked, unknown) = (storm.count(Outcome::Acked), storm.count(Outcome::Unknown));
        // Where it was not said, a request may be on its way while the connection ends.
        assert!(acked + unknown == storm.attempts.len() && (abruptly || unknown == 0), "{acked} and {unknown}");
        let Connections { opened, refused, ended_by_target, .. } = storm.connections;
        assert!(refused == 0 && opened >= acked as u64, "{:?}", storm.connections);
        assert!(ended_by_target + u64::from(plan().connections) >= opened, "{:?}", storm.connections);
    }
}

const FAST_RPS: u64 = 2000;
const RESTART: Window = Window { at: Duration::from_secs(1), lasts: Duration::from_millis(500) };
const STANDSTILL: Window = Window { at: Duration::from_millis(2500), lasts: Duration::from_secs(10) };

/// A target that restarts, refuses meanwhile, stands still for ten seconds, and returns: what the ledger says, and what the
/// target wrote down.
struct Odyssey {
    attempts: Vec<Attempt>,
    entries: Vec<Entry>,
    clock: RunClock,
    returned: Offset,
}

impl Odyssey {
    async fn driven(plan: &LoadPlan) -> Odyssey {
        let (before, memory) = (sockets(), memory_bytes());
        let (scribe, clock, folder) = (Scribe::start(), load::clock(), tempfile::tempdir().unwrap());
        let mut memory_max = memory;
        let both = async {
            tokio::join!(load::into_ledger_by(&clock, plan, scribe.addr, folder.path()), conduct(&scribe, &clock))
        };
        let (driven, returned) = tokio::select! {
            both = both => both,
            () = watch_memory(&mut memory_max) => unreachable!("it never ends"),
        };
        let (attempts, entries) = (driven.unwrap().recorded.attempts().collect(), scribe.end());
        assert_eq!(sockets(), before, "sockets are left behind");
        assert!(memory_max < memory + MEMORY_BYTES_MAX, "{memory_max} after {memory}");
        Odyssey { attempts, entries, clock, returned }
    }

    fn at(&self, entry: &Entry) -> Offset {
        Offset::from_duration(entry.at - self.clock.instant(Offset::ZERO))
    }

    fn attempt(&self, entry: &Entry) -> &Attempt {
        &self.attempts[entry.number as usize]
    }

    fn count(&self, which: impl Fn(&Attempt) -> bool) -> usize {
        self.attempts.iter().filter(|attempt| which(attempt)).count()
    }

    /// Each operation was due when the plan says, and has one end.
    fn assert_scheduled(&self, plan: &LoadPlan) {
        let due = FAST_RPS * plan.duration().as_secs();
        let planned = (0..due).map(|op| (op, Offset(op * 1_000_000_000 / FAST_RPS)));
        assert!(self.attempts.iter().map(|attempt| (attempt.op, attempt.due)).eq(planned));
        assert!(self.attempts.iter().all(|attempt| attempt.done.is_some()));
        let ended = Outcome::ALL.map(|outcome| self.count(|attempt| attempt.outcome == outcome));
        assert_eq!(ended.iter().sum::<usize>() as u64, due, "{ended:?}");
    }

    /// What the target wrote down is what was sent, each once, and not before its time.
    fn assert_written_down(&self) {
        let mut written = vec![false; self.attempts.len()];
        for entry in &self.entries {
            let attempt = self.attempt(entry);
            assert!(!std::mem::replace(&mut written[entry.number as usize], true), "twice: {attempt:?}");
            assert!(attempt.sent.is_some() && self.at(entry) >= attempt.due, "{entry:?} of {attempt:?}");
        }
        for attempt in self.attempts.iter().filter(|attempt| !written[attempt.op as usize]) {
            // A reset may take a request from the hands of who was about to read it.
            let lost = attempt.outcome == Outcome::Unknown && attempt.reason == Reason::Reset;
            assert!(lost || attempt.sent.is_none(), "it never came: {attempt:?}");
        }
    }

    /// At every moment after the return the target had got no more than what it had swallowed, what was waiting for it, and
    /// what the plan made due since.
    fn assert_no_burst_but_of_what_waited(&self) {
        let waiting = self.count(|a| a.due < self.returned && a.sent.is_none_or(|sent| sent >= self.returned));
        let after = self.entries.iter().filter(|entry| self.at(entry) >= self.returned);
        let (swallowed, sent): (Vec<&Entry>, Vec<&Entry>) =
            after.partition(|entry| self.attempt(entry).sent < Some(self.returned));
        for (before, entry) in sent.into_iter().enumerate() {
            let due = self.count_due(self.at(entry)) - self.count_due(self.returned);
            assert!(before < waiting + due, "{before} were more than {waiting} and {due}");
        }
        assert!(waiting > 9 * FAST_RPS as usize, "{waiting}: the standstill took no effect");
        assert!(!swallowed.is_empty());
    }

    fn count_due(&self, by: Offset) -> usize {
        self.attempts.partition_point(|attempt| attempt.due <= by)
    }
}

/// Makes the weather; gives the moment of its last turn.
async fn conduct(scribe: &Scribe, clock: &RunClock) -> Offset {
    let mut turned = Offset::ZERO;
    for (at, weather) in [
        (RESTART.at, Weather::Shut),
        (RESTART.at + RESTART.lasts, Weather::Fair),
        (STANDSTILL.at, Weather::Swallows),
        (STANDSTILL.at + STANDSTILL.lasts, Weather::Fair),
    ] {
        sleep_until(clock.instant(Offset::from_duration(at))).await;
        turned = clock.now();
        scribe.turn(weather);
    }
    turned
}

async fn watch_memory(most: &mut u64) {
    loop {
        *most = memory_bytes().max(*most);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_target_that_restarts_and_stands_still_for_ten_seconds_gets_what_is_due_once_and_no_burst_of_ours() {
    let plan = load::plan(FAST_RPS as f64, Duration::from_secs(15));
    let plan = LoadPlan { request_timeout: Duration::from_secs(1), ..plan };
    let odyssey = alone(Odyssey::driven(&plan));
    odyssey.assert_scheduled(&plan);
    odyssey.assert_written_down();
    odyssey.assert_no_burst_but_of_what_waited();
    assert!(odyssey.count(|a| a.outcome == Outcome::Refused) > 0, "the restart took no effect");
    // One request at a time on each connection, each for a whole time-out.
    let timed_out = odyssey.count(|a| a.reason == Reason::TimedOut);
    let rounds = odyssey.returned.since(Offset::from_duration(STANDSTILL.at)).as_secs() as usize + 1;
    let connections = plan.connections as usize;
    assert!((connections..=connections * rounds).contains(&timed_out), "{timed_out}");
    let returned = |a: &Attempt| a.due >= odyssey.returned;
    assert_eq!(odyssey.count(|a| returned(a) && a.outcome == Outcome::Acked), odyssey.count(returned));
}
