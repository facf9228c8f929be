//! A TCP proxy that spoils what passes through it: the faults of a network, between a server and those who use it.
//!
//! ```text
//! instances ── connection ──▶ proxy ── connection ──▶ server
//!               ◀── to the client ── toxics, by name ── to the server ──▶
//! ```
//!
//! In: the server's address. Out: an address that stands for it. Without a toxic every byte passes as it came. A toxic
//! is put in and taken out by its name, and acts on the connections that are open as well as on new ones.
//!
//! # Why a thread of its own
//! What the run is busy with otherwise (reading a database, starting an instance) must not show as delay of the network.

mod carrier;
mod toxic;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use carrier::Carrier;
pub use toxic::{Direction, Toxic, Toxics};

/// Out of descriptors, for example: the next accept may find some.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// What a proxy has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Connections that it took on.
    pub connections: u64,
    /// Pieces of data that it delayed, held back, or swallowed.
    pub delayed: u64,
    pub held: u64,
    pub swallowed: u64,
    /// Connections that it reset.
    pub reset: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    delayed: AtomicU64,
    held: AtomicU64,
    swallowed: AtomicU64,
    reset: AtomicU64,
}

/// A proxy that runs. It ends with [`end`](Proxy::end), or with the process.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    server: watch::Sender<SocketAddr>,
    toxics: watch::Sender<Toxics>,
    counters: std::sync::Arc<Counters>,
    over: CancellationToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 in place of `server`.
    pub fn start(server: SocketAddr) -> io::Result<Proxy> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (toxics, seen) = watch::channel(Toxics::default());
        let (server, led_to) = watch::channel(server);
        let (counters, over) = (std::sync::Arc::<Counters>::default(), CancellationToken::new());
        let carrier = Carrier { server: led_to, toxics: seen, counters: counters.clone() };
        let until = over.clone();
        let run = move || runtime.block_on(serve(listener, carrier, until));
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(run)?;
        Ok(Proxy { addr, server, toxics, counters, over, thread: Mutex::new(Some(thread)) })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whoever connects from now on reaches this server. Open connections stay where they are.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Puts a toxic in, in place of the one of this name.
    pub fn put(&self, name: &str, direction: Direction, toxic: Toxic) {
        self.toxics.send_modify(|toxics| toxics.put(name, direction, toxic));
    }

    /// Takes a toxic out. What it held goes on.
    pub fn take(&self, name: &str) {
        self.toxics.send_modify(|toxics| toxics.take(name));
    }

    pub fn passed(&self) -> Passed {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { connections, delayed, held, swallowed, reset } = &*self.counters;
        Passed {
            connections: of(connections),
            delayed: of(delayed),
            held: of(held),
            swallowed: of(swallowed),
            reset: of(reset),
        }
    }

    /// Closes every connection, and waits for the thread.
    pub fn end(&self) {
        self.over.cancel();
        let thread = self.thread.lock().expect("no code panics while it holds this").take();
        if let Some(thread) = thread {
            // A panic in there has told of itself on stderr.
            let _ = thread.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// Carries every connection until `over`.
async fn serve(listener: StdListener, carrier: Carrier, over: CancellationToken) {
    let listener = TcpListener::from_std(listener).expect("a runtime with I/O runs the proxy");
    let mut connections = JoinSet::new();
    while let Some(accepted) = over.run_until_cancelled(listener.accept()).await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((client, _)) => drop(connections.spawn(carrier.clone().carry(client))),
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
    connections.shutdown().await;
}

#[cfg(test)]
mod tests;
