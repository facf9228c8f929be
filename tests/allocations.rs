//! The load engine allocates nothing for a request: what it allocates on its thread is counted, from the end of a
//! warm-up on.
//!
//! # What may be allocated nevertheless
//! The histograms of each new second, a connection that a stall of this machine makes necessary, and a ledger's next
//! window: less than one allocation in a hundred requests, all together.

mod lab;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lab::load;
use mxctl::bench::server::{Script, Server};
use mxctl::checks::census::Census;
use mxctl::clock::Offset;
use mxctl::load::ledger::{Begin, Dispatch, End, LedgerError, LedgerWriter, Recorder};
use mxctl::plan::LoadPlan;

const WARM_UP: u64 = 5_000;
const COUNTED: u64 = 20_000;

struct Counter;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work; a cell of the thread's own is no allocation.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTER: Counter = Counter;

fn count() {
    // A thread that ends has no cell any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

/// Another recorder, and what its thread allocated while requests ended, from the end of the warm-up to the last one.
struct Counting<R> {
    inner: R,
    ended: u64,
    before: u64,
    after: u64,
}

impl<R: Recorder> Recorder for Counting<R> {
    type Closed = u64;

    fn begin(&mut self, begin: &Begin) -> Result<(), LedgerError> {
        self.inner.begin(begin)
    }

    fn dispatched(&mut self, op: u64, dispatch: &Dispatch) {
        self.inner.dispatched(op, dispatch);
    }

    fn finish(&mut self, op: u64, end: &End) {
        self.inner.finish(op, end);
        self.ended += 1;
        match self.ended {
            WARM_UP => self.before = ALLOCATIONS.get(),
            n if n == WARM_UP + COUNTED => self.after = ALLOCATIONS.get(),
            _ => {}
        }
    }

    fn end_open(&mut self, done: Offset) {
        self.inner.end_open(done);
    }

    fn close(self, issued_until: Offset) -> Result<u64, LedgerError> {
        self.inner.close(issued_until)?;
        assert_eq!(self.ended, WARM_UP + COUNTED);
        assert!(self.before > 0, "nothing is counted");
        Ok(self.after - self.before)
    }
}

fn plan() -> LoadPlan {
    const RPS: u64 = 5_000;
    LoadPlan { connections: 4, ..load::plan(RPS as f64, Duration::from_secs((WARM_UP + COUNTED) / RPS)) }
}

async fn allocations<R: Recorder>(recorder: impl Fn(mxctl::load::ledger::Part) -> Result<R, LedgerError>) -> u64 {
    // Some answers are long enough to come in several reads.
    let server = Server::start(Script { body_bytes: 20_000, ..Script::default() }, loopback()).unwrap();
    let counting = |part| Ok(Counting { inner: recorder(part)?, ended: 0, before: 0, after: 0 });
    let driven = load::into(&plan(), server.address(), counting).await.unwrap();
    assert_eq!(server.stop().unwrap().summary.answered, WARM_UP + COUNTED);
    driven.recorded.iter().sum()
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn assert_few(allocations: u64) {
    println!("{allocations} allocations over {COUNTED} requests");
    assert!(allocations < COUNTED / 100, "{allocations} allocations over {COUNTED} requests");
}

/// One after the other: each load needs a processor of its own.
#[tokio::test]
async fn a_request_allocates_nothing_whether_it_is_counted_or_recorded() {
    assert_few(allocations(|part| Ok(Census::new(&plan(), part))).await);
    let folder = tempfile::tempdir().unwrap();
    assert_few(allocations(|part| LedgerWriter::create(folder.path(), part)).await);
}
