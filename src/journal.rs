//! The intent journal: what a run is about to do to the world, on disk before it is done.
//!
//! One JSON line an entry, fsynced, in the run's folder. A run that ended in order closes its journal. A journal
//! that is neither closed nor healed, and whose run is dead, blocks the next run on the same target until
//! `mxctl heal` has reverted what is left of it; a living run beside it blocks nobody.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::process::ProcessIdentity;

/// The journal's name in a run's folder.
pub const FILE: &str = "journal.jsonl";

/// The names of sentinels in a journal. Each keeps what it knows in a folder of its name, which goes when it has ended.
pub const SENTINELS: [&str; 3] = ["sentinel-1", "sentinel-2", "sentinel-3"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// First line: which target this run works on.
    Opened {
        target: String,
    },
    /// A process is about to be started under this name.
    Starting {
        name: String,
    },
    /// It was started. To revert: kill it.
    Started {
        name: String,
        process: ProcessIdentity,
    },
    /// It is about to be stopped by SIGSTOP. To revert: kill it, where it was started by this run (SIGKILL ends it
    /// frozen); let it go on, where it belongs to a lab that stays.
    Freezing {
        name: String,
        process: ProcessIdentity,
    },
    /// It is about to go on after a SIGSTOP. To revert: as for any process that was started.
    Thawing {
        name: String,
        process: ProcessIdentity,
    },
    /// A task is about to be held in it. Nothing to revert: the hold ends with the process, or with the run's end of
    /// the control socket.
    Holding {
        name: String,
        point: String,
    },
    Released {
        name: String,
        point: String,
    },
    /// It is about to get a signal that ends it.
    Ending {
        name: String,
        process: ProcessIdentity,
        signal: String,
    },
    /// It was seen to be gone, and reaped.
    Ended {
        name: String,
        process: ProcessIdentity,
    },
    /// A server, or what passes to it, is about to be changed. To revert: as `revert` says; whatever it is, it ends with
    /// the server's process, which is the run's own.
    Changing {
        name: String,
        process: ProcessIdentity,
        change: String,
        revert: String,
    },
    /// It was changed back, and nothing of the change is left.
    ChangedBack {
        name: String,
        process: ProcessIdentity,
        change: String,
    },
    /// A file system of the run's own is about to be there. To revert: move what is in it beside it, and unmount it.
    Mounting {
        at: PathBuf,
    },
    /// It is gone, or never was.
    Unmounted {
        at: PathBuf,
    },
    /// A file is about to take all that is free where it is. To revert: remove it.
    Filling {
        file: PathBuf,
    },
    Emptied {
        file: PathBuf,
    },
    /// Last line of a run that left nothing behind.
    Closed,
    /// Last line after `mxctl heal`.
    Healed {
        reverted: Vec<String>,
    },
}

/// An open journal of a living run. Shared by everyone who acts.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
}

impl Journal {
    /// Opens the journal of a new run.
    pub fn open(folder: &Path, target: &str) -> io::Result<Journal> {
        let path = folder.join(FILE);
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        let journal = Journal { file: Mutex::new(file) };
        journal.write(&Entry::Opened { target: target.to_owned() })?;
        Ok(journal)
    }

    /// Opens a dead run's journal, to note that it was healed. A last line that a crash cut off goes first.
    pub fn reopen(folder: &Path) -> io::Result<Journal> {
        let path = folder.join(FILE);
        let whole_lines = std::fs::read(&path)?.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let file = OpenOptions::new().append(true).open(&path)?;
        file.set_len(whole_lines as u64)?;
        Ok(Journal { file: Mutex::new(file) })
    }

    /// On disk when this returns: only then may the caller act.
    pub fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry).expect("a journal entry is plain data");
        line.push(b'\n');
        let mut file = self.file.lock().expect("no code panics while it writes the journal");
        file.write_all(&line)?;
        file.sync_data()
    }

    pub fn close(&self) -> io::Result<()> {
        self.write(&Entry::Closed)
    }
}

/// A journal as it was found on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub entries: Vec<Entry>,
}

impl Found {
    /// Reads a run folder's journal; `None` where there is none. A last line that was cut off by a crash is an act
    /// that was never begun, since acts wait for their line: it is left out.
    pub fn read(folder: &Path) -> io::Result<Option<Found>> {
        let file = match File::open(folder.join(FILE)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut entries = Vec::new();
        for line in BufReader::new(file).lines() {
            match serde_json::from_str(&line?) {
                Ok(entry) => entries.push(entry),
                Err(_) => break,
            }
        }
        Ok(Some(Found { entries }))
    }

    pub fn target(&self) -> Option<&str> {
        match self.entries.first() {
            Some(Entry::Opened { target }) => Some(target),
            _ => None,
        }
    }

    /// Whether the run, or `mxctl heal` after it, left nothing behind.
    pub fn at_rest(&self) -> bool {
        matches!(self.entries.last(), Some(Entry::Closed | Entry::Healed { .. }))
    }

    /// Every process that was about to be frozen, and that somebody else had started: it has to go on.
    pub fn frozen(&self) -> Vec<(String, ProcessIdentity)> {
        let own = |process| self.entries.iter().any(|e| matches!(e, Entry::Started { process: p, .. } if p == process));
        let frozen = self.entries.iter().filter_map(|entry| match entry {
            Entry::Freezing { name, process } if !own(process) => Some((name.clone(), *process)),
            _ => None,
        });
        frozen.collect()
    }

    /// Every change of a server that was not changed back: whose, and which.
    pub fn changed(&self) -> Vec<(String, ProcessIdentity, String)> {
        let mut changed = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Changing { name, process, change, .. } => changed.push((name.clone(), *process, change.clone())),
                Entry::ChangedBack { process, change, .. } => changed.retain(|(_, p, c)| (p, c) != (process, change)),
                // What it was told ended with it: no setting outlives its process.
                Entry::Ended { process, .. } => changed.retain(|(_, p, _)| p != process),
                _ => {}
            }
        }
        changed
    }

    /// Every file system that was made and not seen to be gone.
    pub fn mounted(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Mounting { at } => left.push(at.clone()),
                Entry::Unmounted { at } => left.retain(|other| other != at),
                _ => {}
            }
        }
        left
    }

    /// Every filler that was not removed.
    pub fn fillers(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Filling { file } => left.push(file.clone()),
                Entry::Emptied { file } => left.retain(|other| other != file),
                _ => {}
            }
        }
        left
    }

    /// No process, no file system, and no filler.
    pub fn left_nothing(&self) -> bool {
        self.leftovers().is_empty() && self.mounted().is_empty() && self.fillers().is_empty()
    }

    /// Every sentinel that may ever have been.
    pub fn sentinels(&self) -> Vec<&'static str> {
        let was = |name: &str| self.entries.iter().any(|e| matches!(e, Entry::Starting { name: of } if of == name));
        SENTINELS.into_iter().filter(|name| was(name)).collect()
    }

    /// Every process that was started and not seen to end.
    pub fn leftovers(&self) -> Vec<(String, ProcessIdentity)> {
        let mut left = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Started { name, process } => left.push((name.clone(), *process)),
                Entry::Ended { process, .. } => left.retain(|(_, p)| p != process),
                _ => {}
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32) -> ProcessIdentity {
        ProcessIdentity { pid, start_ticks: 5 }
    }

    #[test]
    fn a_process_that_was_seen_to_end_is_no_leftover() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "lab").unwrap();
        for (name, pid) in [("api-1.1", 10), ("api-2.1", 11)] {
            journal.write(&Entry::Started { name: name.into(), process: process(pid) }).unwrap();
        }
        journal.write(&Entry::Ended { name: "api-1.1".into(), process: process(10) }).unwrap();
        let found = Found::read(folder.path()).unwrap().unwrap();
        assert_eq!(found.leftovers(), [("api-2.1".to_owned(), process(11))]);
        assert_eq!(found.target(), Some("lab"));
        assert!(!found.at_rest());
        journal.close().unwrap();
        assert!(Found::read(folder.path()).unwrap().unwrap().at_rest());
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        Journal::open(folder.path(), "lab").unwrap().close().unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let found = Found::read(folder.path()).unwrap().unwrap();
        assert_eq!(found.entries.len(), 1);
        assert!(!found.at_rest());
        Journal::reopen(folder.path()).unwrap().write(&Entry::Healed { reverted: vec![] }).unwrap();
        assert!(Found::read(folder.path()).unwrap().unwrap().at_rest());
    }

    #[test]
    fn a_change_is_left_until_it_is_changed_back_or_its_server_ends() {
        let change = |pid, change: &str| Entry::Changing {
            name: "redis".into(),
            process: process(pid),
            change: change.into(),
            revert: "CONFIG SET maxmemory 0".into(),
        };
        let back = Entry::ChangedBack { name: "redis".into(), process: process(10), change: "a".into() };
        let ended = Entry::Ended { name: "redis".into(), process: process(11) };
        let found = Found { entries: vec![change(10, "a"), change(10, "b"), change(11, "a"), back, ended] };
        assert_eq!(found.changed(), [("redis".to_owned(), process(10), "b".to_owned())]);
    }

    #[test]
    fn a_run_has_one_journal() {
        let folder = tempfile::tempdir().unwrap();
        Journal::open(folder.path(), "lab").unwrap();
        assert_eq!(Journal::open(folder.path(), "lab").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
