//! `mxctl heal`: reverts what a dead run left behind, from its journal.
//!
//! In: a reports folder, or one run. Out: what was found, and what was done about it. Idempotent: a run that is at
//! rest stays as it is, and a living run is never touched.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::archive::Archive;
use crate::journal::{Entry, Found, Journal};
use crate::process::ProcessIdentity;

/// What became of one run's leftovers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Healing {
    /// Its journal was closed, or healed before.
    AtRest,
    /// Its mxctl is alive.
    Running,
    Healed {
        reverted: Vec<String>,
    },
    /// Some of it would not go away.
    Failed {
        left: Vec<String>,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("heal {run}: {source}")]
pub struct HealError {
    pub run: PathBuf,
    pub source: io::Error,
}

/// Every run under `reports` on this target whose mxctl died and left its journal open.
pub fn unhealed(reports: &Path, target: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in runs(reports)? {
        let Some(journal) = Found::read(&folder)? else { continue };
        if journal.target() == Some(target) && !journal.at_rest() && !Archive::is_held(&folder) {
            found.push(folder);
        }
    }
    Ok(found)
}

/// The run folders under `reports`, oldest first.
pub fn runs(reports: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(reports) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders: Vec<PathBuf> = entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    folders.retain(|folder| folder.join(crate::journal::FILE).is_file());
    folders.sort();
    Ok(folders)
}

/// Reverts what one run left.
pub fn heal(run: &Path, patience: Duration) -> Result<Healing, HealError> {
    let fault = |source| HealError { run: run.to_owned(), source };
    let Some(found) = Found::read(run).map_err(fault)? else {
        return Err(fault(io::Error::new(io::ErrorKind::NotFound, "no journal in it: is it a run's folder?")));
    };
    if found.at_rest() {
        return Ok(Healing::AtRest);
    }
    if Archive::is_held(run) {
        return Ok(Healing::Running);
    }
    let (reverted, left) = end_all(&found.leftovers(), patience);
    if !left.is_empty() {
        return Ok(Healing::Failed { left });
    }
    Journal::reopen(run).and_then(|j| j.write(&Entry::Healed { reverted: reverted.clone() })).map_err(fault)?;
    Ok(Healing::Healed { reverted })
}

/// Kills what is still the same process: SIGKILL ends a frozen one, too. Says what was ended and what is left.
fn end_all(leftovers: &[(String, ProcessIdentity)], patience: Duration) -> (Vec<String>, Vec<String>) {
    let living: Vec<_> = leftovers.iter().filter(|(_, process)| process.is_alive()).collect();
    for (_, process) in &living {
        // A process that ended in this moment is what we want: `gone` below looks again.
        let _ = process.signal(Signal::SIGKILL);
    }
    let deadline = Instant::now() + patience;
    let (mut ended, mut left) = (Vec::new(), Vec::new());
    for (name, process) in living {
        let what = format!("{name} (pid {})", process.pid);
        if gone(*process, deadline) { ended.push(format!("killed {what}")) } else { left.push(what) }
    }
    (ended, left)
}

fn gone(process: ProcessIdentity, deadline: Instant) -> bool {
    while process.is_alive() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
