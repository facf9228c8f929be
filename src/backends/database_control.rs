//! The database of a target, as far as a run may strike it: its processes, its connections, what passes to it, and where
//! its file has room.
//!
//! A backend that made its database itself has this control; the database of somebody else, or of a lab that stays, has
//! none.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::proxy::{Direction, Passed, Toxic};
use super::{ControlError, DatabaseSource, Exit, ProcessIdentity};

#[async_trait]
pub trait DatabaseControl: Send + Sync {
    /// Where it is itself: never through the proxy.
    fn source(&self) -> DatabaseSource;
    /// Where the instances find it, if that is a proxy in front of it.
    fn proxied(&self) -> Option<DatabaseSource>;
    /// What the proxy has done so far; zeros without one.
    fn passed(&self) -> Passed;
    /// The file system of the run's own that the file is in, where there is one.
    fn room(&self) -> Option<PathBuf>;
    /// Every process of the server, the one that the others come from first; nobody, where it is a file.
    fn processes(&self) -> Vec<ProcessIdentity>;
    /// Sends a signal to every process, after comparing its birth.
    fn signal(&self, signal: Signal) -> Result<(), ControlError>;
    /// Tells the server to end in order, and at once.
    fn end_in_order(&self) -> Result<(), ControlError>;
    /// Waits until every process has stopped (state `T`) after a SIGSTOP.
    async fn frozen(&self, within: Duration) -> Result<(), ControlError>;
    /// Waits for the end of every process: how the first one ended; `None` when one outlives `within`.
    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError>;
    /// Starts a server where one has ended: the same port, folder and settings. Waits until it serves its data.
    async fn start(&self) -> Result<(), ControlError>;
    /// Who is connected, but for whoever asks: an id is never used again.
    async fn connections(&self) -> Result<BTreeSet<String>, ControlError>;
    /// Changes something about it. In the journal before it is done.
    async fn change(&self, change: &Change) -> Result<(), ControlError>;
    /// Changes it back. Idempotent.
    async fn change_back(&self, change: &Change) -> Result<(), ControlError>;
}

/// Something that can be done to a database, or to what passes to it, and undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The server ends every connection but our own.
    Disconnect,
    /// What the proxy does to all that passes in one direction, until it is taken out by its name.
    Toxic { name: String, direction: Direction, toxic: Toxic },
    /// mxctl holds the write lock of a file.
    WriteLock,
    /// A file of our own takes all that is free where the database is.
    Filler,
}

impl Change {
    /// How it is undone, for the journal.
    pub fn undone_by(&self) -> String {
        match self {
            Change::Disconnect => "nothing: it is over as soon as it is done".to_owned(),
            Change::Toxic { name, .. } => format!("remove the toxic {name}"),
            Change::WriteLock => "end the transaction that holds it".to_owned(),
            Change::Filler => "remove the filler".to_owned(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Disconnect => f.write_str("every connection ended"),
            Change::Toxic { name, direction, toxic } => write!(f, "toxic {name}: {toxic}, {}", direction.word()),
            Change::WriteLock => f.write_str("the write lock held"),
            Change::Filler => f.write_str("a filler beside the database"),
        }
    }
}
