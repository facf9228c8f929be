//! Connection storms: a target that resets, refuses or swallows everything for a while, and returns. The schedule holds,
//! nothing is sent twice, and nothing is left behind. The server's log of arrivals is the truth.

mod lab;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lab::load;
use mxctl::bench::server::{CloseAfter, Script, Served, Server, Window};
use mxctl::clock::Offset;
use mxctl::load::ledger::Reason;
use mxctl::load::{Attempt, Connections, Outcome};
use mxctl::plan::LoadPlan;
use tokio::runtime::Builder;

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

/// A shard's memory, its ledger's window among it, with room to spare.
const MEMORY_BYTES_MAX: u64 = 48 << 20;

impl Storm {
    /// Drives the plan at a server with this script; every operation that was due must have its record, ended.
    fn weathered(script: Script, plan: &LoadPlan) -> Storm {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Storm::driven(script, plan))
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
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Sockets of this process.
fn sockets() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
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
