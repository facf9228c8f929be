//! `mxctl heal`: reverts what a dead run left behind, from its journal.
//!
//! In: a reports folder, or one run. Out: what was found, and what was done about it. Idempotent: a run that is at
//! rest stays as it is, and a living run is never touched.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::archive::{Archive, ArchiveError};
use crate::journal::{Entry, Found, Journal};
use crate::process::ProcessIdentity;
use crate::room::{FILLER, Room};

/// Servers that hear a signal of their own when mxctl dies, and put things in order: killed in the middle of that,
/// PostgreSQL leaves shared memory that nobody removes.
const END_BY_THEMSELVES: [&str; 2] = ["postgres", "mariadb"];

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
pub enum HealError {
    #[error("read the journal of {run}: {source}")]
    Journal { run: PathBuf, source: io::Error },
    #[error("find a journal in {run}: there is none; name a run's folder, or none to look at every run")]
    NoJournal { run: PathBuf },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Every run under `reports` on this target whose mxctl died and left its journal open.
pub fn unhealed(reports: &Path, target: &str) -> Result<Vec<PathBuf>, HealError> {
    let mut found = Vec::new();
    for run in Archive::runs(reports)? {
        let journal = Found::read(&run).map_err(|source| HealError::Journal { run: run.clone(), source })?;
        let open = journal.is_some_and(|journal| journal.target() == Some(target) && !journal.at_rest());
        if open && !Archive::is_held(&run)? {
            found.push(run);
        }
    }
    Ok(found)
}

/// Reverts what one run left.
pub fn heal(run: &Path, patience: Duration) -> Result<Healing, HealError> {
    let fault = |source| HealError::Journal { run: run.to_owned(), source };
    let found = Found::read(run).map_err(fault)?.ok_or_else(|| HealError::NoJournal { run: run.to_owned() })?;
    if found.at_rest() {
        return Ok(Healing::AtRest);
    }
    if Archive::is_held(run)? {
        return Ok(Healing::Running);
    }
    let mut reverted = thaw_all(&found.frozen());
    let (ended, left) = end_all(&found.leftovers(), patience);
    reverted.extend(ended);
    if !left.is_empty() {
        return Ok(Healing::Failed { left });
    }
    reverted.extend(ended_with_their_servers(&found.changed()));
    match clear_all(&found, &run.join("target"), patience) {
        Ok(cleared) => reverted.extend(cleared),
        Err(left) => return Ok(Healing::Failed { left }),
    }
    Journal::reopen(run).and_then(|j| j.write(&Entry::Healed { reverted: reverted.clone() })).map_err(fault)?;
    Ok(Healing::Healed { reverted })
}

/// Lets those go on who belong to a lab that stays. Its keeper does, as soon as it sees the run gone; this is for
/// one that is gone as well, or does not look.
fn thaw_all(frozen: &[(String, ProcessIdentity)]) -> Vec<String> {
    let frozen = frozen.iter().filter(|(_, process)| process.is_frozen());
    let thawed = frozen.filter(|(_, process)| process.signal(Signal::SIGCONT).is_ok());
    thawed.map(|(name, process)| format!("{name} (pid {}) goes on", process.pid)).collect()
}

/// Removes what the sentinels knew, and the filler, then takes the file system of this run's own target away: what is in
/// it stays beside it. Where that is, the run's folder says, not its journal: that may have been written from another
/// folder, or be a copy.
fn clear_all(found: &Found, target: &Path, patience: Duration) -> Result<Vec<String>, Vec<String>> {
    let (mut cleared, mut left) = forget_sentinels(found, target);
    let room = Room::new(target);
    let (filler, at) = (room.at().join(FILLER), room.at().display());
    if !found.fillers().is_empty() && filler.exists() {
        match std::fs::remove_file(&filler) {
            Ok(()) => cleared.push(format!("removed the filler {}", filler.display())),
            Err(e) => left.push(format!("the filler {}: {e}", filler.display())),
        }
    }
    if !found.mounted().is_empty() {
        let was_there = room.is_there();
        match room.leave(target, patience) {
            Ok(()) => cleared.extend(was_there.then(|| format!("unmounted {at}"))),
            Err(e) => left.push(format!("the file system at {at}: {e}")),
        }
    }
    if left.is_empty() { Ok(cleared) } else { Err(left) }
}

/// What was removed, and what would not go.
fn forget_sentinels(found: &Found, target: &Path) -> (Vec<String>, Vec<String>) {
    let (mut cleared, mut left) = (Vec::new(), Vec::new());
    for folder in found.sentinels().into_iter().map(|name| target.join(name)).filter(|folder| folder.exists()) {
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => cleared.push(format!("removed {}", folder.display())),
            Err(e) => left.push(format!("{}: {e}", folder.display())),
        }
    }
    (cleared, left)
}

/// A setting, or a toxic in front of a server, does not outlive its process: nothing is left of a change whose server
/// is gone. (One that lives is a leftover of the run, and was ended before this is asked.)
fn ended_with_their_servers(changed: &[(String, ProcessIdentity, String)]) -> Vec<String> {
    let gone = changed.iter().filter(|(_, process, _)| !process.is_alive());
    gone.map(|(name, process, change)| format!("`{change}` ended with {name} (pid {})", process.pid)).collect()
}

/// Kills what is still the same process: SIGKILL ends a frozen one, too. Says what was ended and what is left.
fn end_all(leftovers: &[(String, ProcessIdentity)], patience: Duration) -> (Vec<String>, Vec<String>) {
    let deadline = Instant::now() + patience;
    for (_, process) in leftovers.iter().filter(|(name, _)| END_BY_THEMSELVES.contains(&name.as_str())) {
        if process.is_frozen() {
            // It has not heard its signal yet. One that ended in this moment is what we want.
            let _ = process.signal(Signal::SIGCONT);
        }
        gone(*process, Instant::now() + patience / 2);
    }
    let living: Vec<_> = leftovers.iter().filter(|(_, process)| process.is_alive()).collect();
    for (_, process) in &living {
        // A process that ended in this moment is what we want: `gone` below looks again.
        let _ = process.signal(Signal::SIGKILL);
    }
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

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Something that a run left behind. Ended with the value that owns it.
    struct Leftover(Child);

    impl Leftover {
        fn start() -> Self {
            Leftover(Command::new("sleep").arg("600").spawn().expect("every Linux has `sleep`"))
        }

        fn process(&self) -> ProcessIdentity {
            ProcessIdentity::of(self.0.id() as i32).expect("it lives")
        }
    }

    impl Drop for Leftover {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A run that has started `process`, and holds its lock for as long as the archive lives.
    fn run_with(reports: &Path, process: ProcessIdentity) -> (Archive, Journal) {
        let archive = Archive::create(reports, "dead", 17, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let journal = Journal::open(archive.root(), "lab").unwrap();
        journal.write(&Entry::Started { name: "api-1.1".into(), process }).unwrap();
        (archive, journal)
    }

    #[test]
    fn what_a_dead_run_left_is_killed_even_if_it_is_frozen_and_then_the_run_is_at_rest() {
        let (reports, left) = (tempfile::tempdir().unwrap(), Leftover::start());
        let process = left.process();
        process.signal(Signal::SIGSTOP).unwrap();
        let (archive, _) = run_with(reports.path(), process);
        let run = archive.root().to_owned();
        drop(archive);
        assert_eq!(unhealed(reports.path(), "lab").unwrap(), std::slice::from_ref(&run));
        assert_eq!(unhealed(reports.path(), "another lab").unwrap(), [] as [PathBuf; 0]);

        let reverted = vec![format!("killed api-1.1 (pid {})", process.pid)];
        assert_eq!(heal(&run, PATIENCE).unwrap(), Healing::Healed { reverted });
        assert!(!process.is_alive());
        assert_eq!(heal(&run, PATIENCE).unwrap(), Healing::AtRest);
        assert_eq!(unhealed(reports.path(), "lab").unwrap(), [] as [PathBuf; 0]);
    }

    #[test]
    fn what_a_dead_run_had_told_a_server_ends_with_it() {
        let (reports, left) = (tempfile::tempdir().unwrap(), Leftover::start());
        let process = left.process();
        let (archive, journal) = run_with(reports.path(), process);
        let change = "CONFIG SET maxmemory 1".to_owned();
        let revert = "CONFIG SET maxmemory 0".to_owned();
        journal.write(&Entry::Changing { name: "api-1.1".into(), process, change, revert }).unwrap();
        let run = archive.root().to_owned();
        drop(archive);
        let pid = process.pid;
        let reverted = vec![
            format!("killed api-1.1 (pid {pid})"),
            format!("`CONFIG SET maxmemory 1` ended with api-1.1 (pid {pid})"),
        ];
        assert_eq!(heal(&run, PATIENCE).unwrap(), Healing::Healed { reverted });
    }

    #[test]
    fn what_the_sentinels_of_a_dead_run_knew_goes_and_what_is_called_like_one_stays() {
        let (reports, left) = (tempfile::tempdir().unwrap(), Leftover::start());
        let (archive, journal) = run_with(reports.path(), left.process());
        journal.write(&Entry::Starting { name: "sentinel-2".into() }).unwrap();
        let run = archive.root().to_owned();
        let [of_the_run, stranger] = ["sentinel-2", "sentinel-3"].map(|name| run.join("target").join(name));
        for folder in [&of_the_run, &stranger] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("sentinel.conf"), "port 1").unwrap();
        }
        drop(archive);
        let Healing::Healed { reverted } = heal(&run, PATIENCE).unwrap() else { panic!("something is left") };
        assert_eq!(reverted.last(), Some(&format!("removed {}", of_the_run.display())));
        assert!(!of_the_run.exists() && stranger.exists());
    }

    #[test]
    fn whom_a_dead_run_froze_in_a_lab_that_stays_goes_on() {
        let (reports, of_a_lab) = (tempfile::tempdir().unwrap(), Leftover::start());
        let process = of_a_lab.process();
        let archive = Archive::create(reports.path(), "dead", 17, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let journal = Journal::open(archive.root(), "kept lab").unwrap();
        journal.write(&Entry::Freezing { name: "api-1.1".into(), process }).unwrap();
        process.signal(Signal::SIGSTOP).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !process.is_frozen() {
            assert!(Instant::now() < deadline, "not frozen within {PATIENCE:?}");
        }
        let run = archive.root().to_owned();
        drop(archive);
        let reverted = vec![format!("api-1.1 (pid {}) goes on", process.pid)];
        assert_eq!(heal(&run, PATIENCE).unwrap(), Healing::Healed { reverted });
        assert!(process.is_alive() && !process.is_frozen());
    }

    #[test]
    fn a_living_run_is_left_alone() {
        let (reports, left) = (tempfile::tempdir().unwrap(), Leftover::start());
        let (archive, _journal) = run_with(reports.path(), left.process());
        assert_eq!(unhealed(reports.path(), "lab").unwrap(), [] as [PathBuf; 0]);
        assert_eq!(heal(archive.root(), PATIENCE).unwrap(), Healing::Running);
        assert!(left.process().is_alive());
    }

    #[test]
    fn a_pid_that_was_born_again_is_nobody_we_know() {
        let (reports, stranger) = (tempfile::tempdir().unwrap(), Leftover::start());
        let process = stranger.process();
        let dead = ProcessIdentity { start_ticks: process.start_ticks - 1, ..process };
        let (archive, _) = run_with(reports.path(), dead);
        let run = archive.root().to_owned();
        drop(archive);
        assert_eq!(heal(&run, PATIENCE).unwrap(), Healing::Healed { reverted: vec![] });
        assert!(process.is_alive());
    }

    #[test]
    fn a_folder_without_a_journal_is_said_to_be_none_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(heal(folder.path(), PATIENCE), Err(HealError::NoJournal { .. })));
    }
}
