//! The Redis of a target, as far as a run may strike it: its process, what it is told, and what passes to it. Where there
//! is a replica, all of this is of the server that is the primary now.
//!
//! A backend that started its Redis itself has this control; the Redis of somebody else, or of a lab that stays, has
//! none.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::proxy::{Direction, Passed, Toxic};
use super::{ControlError, Exit, ProcessIdentity};

/// The name of the primary among sentinels.
pub const WATCHED_AS: &str = "mxctl";
/// A sentinel finds it down when it has not answered for this long.
pub const DOWN_AFTER: Duration = Duration::from_secs(1);

/// One that watches the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentinel {
    pub addr: SocketAddr,
    pub process: ProcessIdentity,
}

#[async_trait]
pub trait RedisControl: Send + Sync {
    /// Its process: another one after each start.
    fn process(&self) -> ProcessIdentity;
    /// Where the server itself listens, whoever its process is.
    fn addr(&self) -> SocketAddr;
    /// Where its replica listens; `None`: the plan has none. After a failover it is who was the primary before.
    fn replica(&self) -> Option<SocketAddr>;
    /// Those that watch it now.
    async fn sentinels(&self) -> Vec<Sentinel>;
    /// Where the instances find it, if that is a proxy in front of it.
    fn proxy(&self) -> Option<SocketAddr>;
    /// What the proxy has done so far; zeros without one.
    fn passed(&self) -> Passed;
    /// Sends a signal, after comparing the process's birth.
    fn signal(&self, signal: Signal) -> Result<(), ControlError>;
    /// Waits until the process has stopped (state `T`) after a SIGSTOP.
    async fn frozen(&self, within: Duration) -> Result<(), ControlError>;
    /// Waits for the end of the process; `None` when it outlives `within`.
    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError>;
    /// Starts a server where one has ended: the same port, folder and settings. Waits until it has loaded its data.
    async fn start(&self) -> Result<(), ControlError>;
    /// Changes something about it. In the journal before it is done.
    async fn change(&self, change: &Change) -> Result<(), ControlError>;
    /// Changes it back. Idempotent.
    async fn change_back(&self, change: &Change) -> Result<(), ControlError>;
}

/// Something that can be done to a server, or to what passes to it, and undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A command, and the one that undoes it; `None`: there is nothing to undo.
    Command { words: Vec<String>, back: Option<Vec<String>> },
    /// A folder where the server would put this file, so that it cannot.
    Obstruction { file: String },
    /// What the proxy does to all that passes in one direction, until it is taken out by its name.
    Toxic { name: String, direction: Direction, toxic: Toxic },
    /// What the primary does no longer reaches its replica.
    Lag,
    /// The replica becomes the primary, and the primary its replica; whoever connects from now on is led to the new one.
    /// Writes wait meanwhile, so that none is taken by both; with `caught_up` until the replica has them all.
    Failover { caught_up: bool },
    /// Sentinels watch the primary, whose replica follows it without the link: where they are told that it is.
    Sentinels,
    /// Somebody else has made this server the primary: whoever connects from now on is led there. What is undone is that
    /// the one before is away: it starts again where it has ended, and follows the new one.
    LeadTo { primary: SocketAddr },
}

impl Change {
    pub fn command(words: &[&str], back: Option<&[&str]>) -> Change {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Change::Command { words: owned(words), back: back.map(owned) }
    }

    pub fn setting(name: &str, value: &str, before: &str) -> Change {
        Change::command(&["CONFIG", "SET", name, value], Some(&["CONFIG", "SET", name, before]))
    }

    /// How it is undone, for the journal.
    pub fn undone_by(&self) -> String {
        match self {
            Change::Command { back: Some(words), .. } => told(words),
            Change::Command { back: None, .. } => "nothing: it is over as soon as it is done".to_owned(),
            Change::Obstruction { file } => format!("remove the folder {file}"),
            Change::Toxic { name, .. } => format!("remove the toxic {name}"),
            Change::Lag => "let the link to the replica pass again".to_owned(),
            Change::Failover { .. } => "nothing: either of them may be the primary".to_owned(),
            Change::Sentinels => "end them, and lead the replica to its link again".to_owned(),
            Change::LeadTo { .. } => "start the primary before, as a replica of this one".to_owned(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Command { words, .. } => f.write_str(&told(words)),
            Change::Obstruction { file } => write!(f, "a folder in place of {file}"),
            Change::Lag => f.write_str("hold the link to the replica"),
            Change::Failover { caught_up: true } => f.write_str("failover to the replica once it has caught up"),
            Change::Failover { caught_up: false } => f.write_str("failover to the replica as it is"),
            Change::Sentinels => f.write_str("sentinels for the primary"),
            Change::LeadTo { primary } => write!(f, "lead whoever connects to {primary}"),
            Change::Toxic { name, direction, toxic } => write!(f, "toxic {name}: {toxic}, {}", direction.word()),
        }
    }
}

/// As at `redis-cli`.
fn told(words: &[String]) -> String {
    let word = |word: &String| if word.is_empty() { "\"\"".to_owned() } else { word.clone() };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_does_and_how_it_is_undone() {
        let change = Change::setting("save", "3600 1", "");
        assert_eq!(change.to_string(), "CONFIG SET save 3600 1");
        assert_eq!(change.undone_by(), "CONFIG SET save \"\"");
    }
}
