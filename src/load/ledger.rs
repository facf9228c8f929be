//! The ledger: what was attempted, in a file that survives the harness.
//!
//! Every attempt is in the ledger *before* it is sent: one fixed-size record ([`Attempt`], 64 bytes) in a
//! preallocated, memory-mapped window of the file. A killed mxctl leaves its pages to the kernel, so the file is
//! whole; a full disk is found when a window is allocated, never as a SIGBUS in the middle; memory stays flat.

use serde::{Deserialize, Serialize};

use super::lanes::Lane;
use crate::backends::InstanceId;
use crate::clock::Offset;

/// What became of an attempt. Nobody turns `Unknown` into something nicer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Outcome {
    /// A complete 2xx that satisfies the predicate and echoes key and seq (for a read: a complete 200 or 404).
    Acked = 1,
    /// Surely not stored: nothing was sent, or the answer says `stored: false`.
    Refused = 2,
    /// Anything else, also an attempt that was open when the harness ended.
    Unknown = 3,
    /// Due, and never given to a connection: no instance in rotation, or the load was over.
    NotSent = 4,
}

/// One attempt, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The operation's index in the plan.
    pub op: u64,
    pub lane: Lane,
    pub key: u64,
    pub seq: u32,
    /// From 1; above 1 only where retries are on.
    pub attempt: u8,
    pub due: Offset,
    /// When the engine woke for it.
    pub woke: Offset,
    /// When a connection was free for it.
    pub free: Offset,
    /// When its first byte was written; `None`: nothing was sent.
    pub sent: Option<Offset>,
    /// When its outcome was known.
    pub done: Option<Offset>,
    pub outcome: Outcome,
    pub reason: Reason,
    /// HTTP status, 0 where there was none.
    pub status: u16,
    pub instance: InstanceId,
    pub epoch: u16,
}

/// Why an outcome is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Reason {
    /// A complete answer.
    Answer = 0,
    /// The answer says `stored: false`.
    NotStored = 1,
    /// Connection refused, nothing sent.
    ConnectRefused = 2,
    TimedOut = 3,
    /// The connection ended after bytes were sent.
    Reset = 4,
    /// The answer was cut off, or was no HTTP.
    BadAnswer = 5,
    /// A complete 2xx that does not echo this key and seq.
    WrongEcho = 6,
    /// Open when the load's grace, or the harness, ended.
    Open = 7,
    /// No instance was in rotation.
    NoInstance = 8,
    /// The load ended before a connection was free.
    LoadOver = 9,
}

/// Whether a ledger can carry a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Soundness {
    Sealed,
    /// Recovered after a crash, truncated, or changed: it may lack attempts.
    Torn {
        why: String,
    },
}

/// A closed ledger: sealed, or recovered and marked torn.
#[derive(Debug)]
pub struct Ledger {
    attempts: Vec<Attempt>,
    soundness: Soundness,
    /// Where the load stopped issuing: the plan's end, or earlier on an interrupt.
    issued_until: Offset,
}

impl Ledger {
    /// A ledger in memory, for canned evidence.
    pub fn canned(attempts: Vec<Attempt>, soundness: Soundness, issued_until: Offset) -> Self {
        Ledger { attempts, soundness, issued_until }
    }

    pub fn soundness(&self) -> &Soundness {
        &self.soundness
    }

    pub fn issued_until(&self) -> Offset {
        self.issued_until
    }

    /// In the order of operations.
    pub fn attempts(&self) -> impl Iterator<Item = Attempt> + Clone + '_ {
        self.attempts.iter().copied()
    }
}
