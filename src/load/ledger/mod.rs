//! The ledger: what was attempted, in a folder of files that survives the harness.
//!
//! Every attempt is in the ledger *before* it is sent: one record of 64 bytes in a preallocated, memory-mapped window
//! of its shard's file (`shard-0.led`, `shard-1.led`, …). [`LedgerWriter`] fills and seals a file; a [`Ledger`] is
//! what was closed, and reads straight from the files.
//!
//! A file that is whole and sealed is evidence; anything else is [`Soundness::Torn`], with the reason, and what can
//! be read of it is still read.

mod file;
mod header;
mod record;
mod recorder;
mod writer;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lanes::Lane;
use crate::backends::InstanceId;
use crate::clock::Offset;
use file::ShardFile;
pub use header::Part;
pub use record::{Begin, Dispatch, End};
pub use recorder::Recorder;
pub use writer::{LedgerWriter, disk_bytes};

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

impl Outcome {
    pub const ALL: [Outcome; 4] = [Outcome::Acked, Outcome::Refused, Outcome::Unknown, Outcome::NotSent];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| *outcome as u8 == byte)
    }
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
    /// When a connection was free for it; of an attempt that was never sent: when it woke.
    pub free: Offset,
    /// When its first byte was written; `None`: nothing was sent.
    pub sent: Option<Offset>,
    /// When its outcome was known; `None`: the harness died before.
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
    /// The target said that it has not processed the request: HTTP/2 has words for that.
    NotProcessed = 10,
}

impl Reason {
    pub const ALL: [Reason; 11] = [
        Reason::Answer,
        Reason::NotStored,
        Reason::ConnectRefused,
        Reason::TimedOut,
        Reason::Reset,
        Reason::BadAnswer,
        Reason::WrongEcho,
        Reason::Open,
        Reason::NoInstance,
        Reason::LoadOver,
        Reason::NotProcessed,
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == byte)
    }
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

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("create the ledger file {path}: {source}")]
    Create { path: PathBuf, source: std::io::Error },
    #[error("allocate space for the ledger file {path}: {source}")]
    Allocate { path: PathBuf, source: std::io::Error },
    #[error("seal the ledger file {path}: {source}")]
    Seal { path: PathBuf, source: std::io::Error },
    #[error("read the ledger file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("find a ledger in {folder}: it holds no shard-0.led")]
    Missing { folder: PathBuf },
}

/// A closed ledger: sealed, or recovered and marked torn.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    soundness: Soundness,
    issued_until: Offset,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<Attempt>),
    /// By shard.
    Files(Vec<ShardFile>),
}

impl Ledger {
    /// A ledger in memory, for canned evidence.
    pub fn canned(attempts: Vec<Attempt>, soundness: Soundness, issued_until: Offset) -> Self {
        Ledger { store: Store::Memory(attempts), soundness, issued_until }
    }

    /// Reads and verifies the files of a folder. What is wrong with them makes the ledger torn; an error means that
    /// there is none, or that the system would not let us read it.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let files = file::read_all(folder)?;
        let soundness = match file::faults(&files) {
            faults if faults.is_empty() => Soundness::Sealed,
            faults => Soundness::Torn { why: faults.join("; ") },
        };
        let issued_until = files.iter().map(ShardFile::issued_until).min().unwrap_or_default();
        Ok(Ledger { store: Store::Files(files), soundness, issued_until })
    }

    /// The ledger of a harness that died, or could not write it to its end: what was begun and not ended is Unknown,
    /// and the whole is torn, for this reason, even where the files look sealed.
    pub fn recover(folder: &Path, because: &str) -> Result<Self, LedgerError> {
        let mut ledger = Ledger::open(folder)?;
        ledger.soundness = match ledger.soundness {
            Soundness::Sealed => Soundness::Torn { why: because.to_owned() },
            Soundness::Torn { why } => Soundness::Torn { why: format!("{because}; {why}") },
        };
        Ok(ledger)
    }

    pub fn soundness(&self) -> &Soundness {
        &self.soundness
    }

    /// Where the load stopped issuing: the plan's end, or earlier on an interrupt. A sealed ledger holds exactly the
    /// operations that were due before it. Of a file without a seal: just after the last operation begun.
    pub fn issued_until(&self) -> Offset {
        self.issued_until
    }

    /// In the order of operations.
    pub fn attempts(&self) -> Attempts<'_> {
        let end = match &self.store {
            Store::Memory(attempts) => attempts.len() as u64,
            Store::Files(files) => files.iter().map(|f| f.slots()).max().unwrap_or(0) * files.len() as u64,
        };
        Attempts { store: &self.store, next: 0, end }
    }
}

/// The attempts of a ledger, decoded as they are asked for.
#[derive(Debug, Clone)]
pub struct Attempts<'a> {
    store: &'a Store,
    next: u64,
    end: u64,
}

impl Iterator for Attempts<'_> {
    type Item = Attempt;

    fn next(&mut self) -> Option<Attempt> {
        while self.next < self.end {
            let at = self.next;
            self.next += 1;
            let found = match self.store {
                Store::Memory(attempts) => attempts.get(at as usize).copied(),
                Store::Files(files) => {
                    let shards = files.len() as u64;
                    files[(at % shards) as usize].attempt(at / shards)
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn shard_file(shard: u16) -> String {
    format!("shard-{shard}.led")
}

#[cfg(test)]
mod tests;
