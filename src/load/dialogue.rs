//! What is said to a target, and what its answers mean: the engine knows connections, times and HTTP, and nothing of
//! either.
//!
//! In: operations. Out: the bytes of a request, and, for a complete answer, what it says of its operation.

use std::fmt::Debug;
use std::net::SocketAddr;

use super::Operation;
use super::ledger::{Outcome, Reason};
use super::predicate;
use super::request::ServiceRequests;
use super::response::{Answer, Bodies};
use super::transport::{self, Transport};

/// Shared by every connection of a load.
pub trait Dialogue: Debug + Send + Sync {
    /// What one connection to an instance at `host` sends.
    fn requests(&self, host: SocketAddr) -> Box<dyn Requests>;
    /// What a complete answer says of its operation.
    fn judge(&self, op: &Operation, answer: &Answer, body: &[u8]) -> (Outcome, Reason);
    /// What is to be done with the bodies of answers: `judge` sees those that are kept, and no others.
    fn bodies(&self) -> Bodies {
        Bodies::Kept
    }
    /// How it is carried. Over HTTP/2 the same is said in its frames.
    fn transport(&self) -> &Transport {
        &transport::PLAIN
    }
}

/// Rendered once a connection, patched for each operation: nothing is allocated while the load runs.
pub trait Requests: Debug {
    /// Makes the request of an operation the one that is sent next.
    fn render(&mut self, op: &Operation);
    /// The request that was rendered last.
    fn rendered(&self) -> &[u8];
}

/// The contract of the testbed's service (DESIGN §1): one POST writes three presets of a key, one GET reads them.
#[derive(Debug, Clone)]
pub struct ServiceDialogue {
    /// In the path of requests: `v4` or `v5`.
    pub api_version: String,
}

impl Dialogue for ServiceDialogue {
    fn requests(&self, host: SocketAddr) -> Box<dyn Requests> {
        Box::new(ServiceRequests::new(&self.api_version, host))
    }

    fn judge(&self, op: &Operation, answer: &Answer, body: &[u8]) -> (Outcome, Reason) {
        predicate::judge(op, answer.status, body)
    }
}
