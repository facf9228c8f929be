//! What anybody may ask of a keeper without a session: who is there, and to take the lab down.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::wire::{Gone, Line, Reply, Request, Sight};
use super::{LabError, LabFolder};
use crate::process::ProcessIdentity;

/// A keeper that lives answers a look at once.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// Beyond the grace, for whoever needs SIGKILL, and for Redis.
const DOWN_WITHIN: Duration = Duration::from_secs(30);
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Who is there.
pub async fn look(folder: &LabFolder) -> Result<Sight, LabError> {
    match ask(folder, &Request::Look, LOOK_WITHIN).await? {
        Reply::Seen(sight) => Ok(sight),
        other => Err(silent(folder, &format!("it answers {other:?}"))),
    }
}

/// Ends the lab: SIGTERM to everyone, SIGKILL after the grace. Under an attached run only if forced.
pub async fn take_down(folder: &LabFolder, force: bool, grace: Duration) -> Result<Gone, LabError> {
    match ask(folder, &Request::Down { force }, grace + DOWN_WITHIN).await? {
        Reply::Gone(gone) => Ok(gone),
        Reply::Refused { why, remedy } => {
            Err(LabError::Down { name: folder.name().to_owned(), why: format!("{why}; {remedy}") })
        }
        other => Err(silent(folder, &format!("it answers {other:?}"))),
    }
}

/// SIGTERM, then SIGKILL, to a keeper that does not do what it is asked; its children die with it. False: it outlives
/// both.
pub async fn end_keeper(keeper: ProcessIdentity, grace: Duration) -> bool {
    for (signal, within) in [(Signal::SIGTERM, grace + DOWN_WITHIN), (Signal::SIGKILL, KILL_PATIENCE)] {
        // One that ended already is what we want.
        let _ = keeper.signal(signal);
        if keeper.ends(within).await {
            return true;
        }
    }
    false
}

async fn ask(folder: &LabFolder, request: &Request, within: Duration) -> Result<Reply, LabError> {
    let asking = async { folder.connect().and_then(Line::of_std)?.ask(request).await };
    let asked = tokio::time::timeout(within, asking).await;
    asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|e| silent(folder, &e.to_string()))
}

fn silent(folder: &LabFolder, why: &str) -> LabError {
    LabError::Keeper { name: folder.name().to_owned(), why: why.to_owned() }
}
