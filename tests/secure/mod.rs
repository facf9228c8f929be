//! Servers of the tests' own that speak TLS and HTTP/2, and count what they were asked: their count is the truth.

pub mod authority;
pub mod frames;
pub mod served;

use std::sync::atomic::{AtomicU64, Ordering};

/// What a server has seen and done.
#[derive(Debug, Default)]
pub struct Seen {
    pub connections: AtomicU64,
    /// Requests that came.
    pub requests: AtomicU64,
    /// Of those, answered whole.
    pub answered: AtomicU64,
    /// HTTP/2: said not to be processed.
    pub unprocessed: AtomicU64,
    /// HTTP/2: streams that the client reset.
    pub cancelled: AtomicU64,
    /// HTTP/2: the most streams that were open at a time, on one connection.
    pub open_most: AtomicU64,
    pub body_bytes: AtomicU64,
}

pub fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::SeqCst)
}

pub fn add(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}
