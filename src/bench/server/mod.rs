//! A scriptable HTTP server whose log of arrivals is the truth about a load generator: when its requests came, and when
//! each was answered.
//!
//! In: a [`Script`]. Out, at its end: a [`Summary`], and the log ([`Arrivals`]). Start with `service`: it is the
//! server.
//!
//! ```text
//! script ─ schedule ─┐                ┌─ request ─ connection ─ answers
//! door ─ poll ───────┴─ service ──────┤
//!                                     └─ arrivals ─ summary
//! ```
//!
//! # Why one thread and no runtime
//! The server must not be what is measured. A request costs it a read, a write and a share of a wait; answers are
//! rendered before the first one, and nothing is allocated for any. Whoever starts it pins it to a core of its own.

mod answers;
mod arrivals;
mod clock;
mod connection;
mod door;
mod poll;
mod request;
mod schedule;
mod script;
mod service;
mod summary;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::eventfd::EventFd;
use thiserror::Error;

pub use arrivals::{Arrival, Arrivals};
pub use schedule::Schedule;
pub use script::{CloseAfter, Drip, Script, Window};
pub use summary::{Ending, Summary, dispersion};

use crate::process::raise_limit_of_open_files;
use service::Service;

#[derive(Debug, Error)]
pub enum ServerError {
    #[error("listen on {address}: {source}; {}", listen_remedy(source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("take a connection: {0}; raise the limit of open files (`ulimit -n`), or use fewer connections")]
    Accept(io::Error),
    #[error("wait for connections: {0}; raise the limit of open files (`ulimit -n`)")]
    Poll(io::Error),
    #[error("start the server's thread: {0}; raise the limit of processes (`ulimit -u`)")]
    Thread(io::Error),
}

fn listen_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "end what listens there, or take port 0, which is one that is free",
        io::ErrorKind::PermissionDenied => "take a port above 1023, or 0, which is one that is free",
        _ => "take another address",
    }
}

/// A server on a thread of its own. Where it is dropped it serves on, until its process ends.
pub struct Server {
    address: SocketAddr,
    stopper: Stopper,
    thread: JoinHandle<Result<Served, ServerError>>,
}

/// What is there at the end.
pub struct Served {
    pub summary: Summary,
    pub arrivals: Arrivals,
}

impl Server {
    /// Listens when this returns; port 0 becomes one that is free. As many files as the system lets it open may be open
    /// in this process from then on.
    pub fn start(script: Script, address: SocketAddr) -> Result<Server, ServerError> {
        raise_limit_of_open_files();
        let service = Service::open(script, address)?;
        let (address, stopper) = (service.address(), Stopper(service.stop()));
        let thread = std::thread::Builder::new().name("bench-server".into());
        let thread = thread.spawn(|| service.serve()).map_err(ServerError::Thread)?;
        Ok(Server { address, stopper, thread })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for its end: by its script, or by a [`Stopper`].
    pub fn join(self) -> Result<Served, ServerError> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Ends it now. What is not answered stays so.
    pub fn stop(self) -> Result<Served, ServerError> {
        self.stopper.stop();
        self.join()
    }
}

/// Ends a server, from any thread.
#[derive(Clone)]
pub struct Stopper(Arc<EventFd>);

impl Stopper {
    pub fn stop(&self) {
        // It fails only where it was told so 2^64 times already.
        let _ = self.0.write(1);
    }
}
