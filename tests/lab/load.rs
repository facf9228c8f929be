//! The load engine alone, driven by a test inside its own process: plain GETs to one address, any 2xx is a success.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mxctl::backends::{Endpoint, Endpoints, InstanceId};
use mxctl::clock::RunClock;
use mxctl::load::alarm::Timer;
use mxctl::load::dialogue::{Dialogue, Requests};
use mxctl::load::ledger::{LedgerError, Part, Reason, Recorder};
use mxctl::load::response::{Answer, Bodies};
use mxctl::load::{Driven, Ledger, Load, LoadError, Operation, Outcome, drive, drive_into};
use mxctl::plan::{Arrivals, LoadPlan, Mix, ReadKeys, RunKey, Shape};
use mxctl::stop::Stop;
use mxctl::watch::Unwatched;

const RUN: RunKey = RunKey { number: 1, seed: 1 };

/// So many operations a second, on one thread.
pub fn plan(rps: f64, duration: Duration) -> LoadPlan {
    LoadPlan {
        shape: Shape::constant(rps, duration),
        mix: Mix { write_once: 0, hot_key: 0, read: 0, poison: 0, request: 1000 },
        hot_keys: 1,
        arrivals: Arrivals::Even,
        closed: None,
        read_keys: ReadKeys::All,
        connections: 10,
        shards: 1,
        request_timeout: Duration::from_secs(5),
        grace: Duration::from_secs(10),
        own_lag_limit: Duration::from_millis(20),
        rate_floor: 0.99,
        rate_tolerance: Duration::from_millis(20),
        acked_floor: 0.9,
    }
}

/// Drives to the end, every operation in a ledger below this folder.
pub async fn into_ledger(plan: &LoadPlan, addr: SocketAddr, folder: &Path) -> Result<Driven<Ledger>, LoadError> {
    into_ledger_by(&clock(), plan, addr, folder).await
}

/// By a clock of the test's, which knows what else happened when.
pub async fn into_ledger_by(
    clock: &RunClock,
    plan: &LoadPlan,
    addr: SocketAddr,
    folder: &Path,
) -> Result<Driven<Ledger>, LoadError> {
    let (endpoints, stop) = parts(addr);
    drive(load(plan, &endpoints, clock, &stop), folder).await
}

/// Drives to the end, with a recorder for each thread.
pub async fn into<R: Recorder>(
    plan: &LoadPlan,
    addr: SocketAddr,
    recorder: impl FnMut(Part) -> Result<R, LedgerError>,
) -> Result<Driven<Vec<R::Closed>>, LoadError> {
    let (endpoints, stop) = parts(addr);
    drive_into(load(plan, &endpoints, &clock(), &stop), recorder).await
}

/// One that starts at once, nearly.
pub fn clock() -> RunClock {
    RunClock::starting_in(Duration::from_millis(20))
}

fn parts(addr: SocketAddr) -> (Endpoints, Stop) {
    (Endpoints::fixed(Endpoint { id: InstanceId(1), addr }), Stop::new())
}

fn load<'a>(plan: &'a LoadPlan, endpoints: &'a Endpoints, clock: &'a RunClock, stop: &'a Stop) -> Load<'a> {
    let (dialogue, alarm) = (Arc::new(Gets), Arc::new(Timer));
    Load { plan, run: RUN, dialogue, endpoints, clock, alarm, watch: &Unwatched, stop }
}

/// `GET /0000000042`: its path is the operation's index.
#[derive(Debug)]
struct Gets;

#[derive(Debug)]
struct Get(Vec<u8>);

impl Dialogue for Gets {
    fn requests(&self, _: SocketAddr) -> Box<dyn Requests> {
        Box::new(Get(Vec::with_capacity(64)))
    }

    fn judge(&self, _: &Operation, answer: &Answer, _: &[u8]) -> (Outcome, Reason) {
        match answer.status {
            200..300 => (Outcome::Acked, Reason::Answer),
            _ => (Outcome::Unknown, Reason::Answer),
        }
    }

    fn bodies(&self) -> Bodies {
        Bodies::Dropped
    }
}

impl Requests for Get {
    fn render(&mut self, op: &Operation) {
        use std::io::Write;
        self.0.clear();
        write!(self.0, "GET /{:010} HTTP/1.1\r\nHost: x\r\n\r\n", op.index)
            .expect("memory takes what is written to it");
    }

    fn rendered(&self) -> &[u8] {
        &self.0
    }
}
