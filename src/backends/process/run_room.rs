//! The room of a run, with all that is done to it: a small file system in the target's folder, and the filler that takes
//! what is free in it. Each is in the journal before it is there.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Site;
use crate::archive::free_bytes;
use crate::backends::{ControlError, UpError};
use crate::journal::Entry;
use crate::plan::TargetPlan;
use crate::room::{FILLER, Room};
use crate::scenario::Size;

/// Somebody may still be closing a file in it.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);
/// What the logs of a database may still take, beside what the load writes.
const LOGS_BYTES: u64 = 40 << 20;
const PIECE: usize = 64 * 1024;

#[derive(Clone)]
pub(super) struct RunRoom {
    site: Site,
    room: Room,
}

impl RunRoom {
    /// The one that the plan wants; `None`: it wants none.
    pub fn make_for(plan: &TargetPlan, site: &Site) -> Result<Option<RunRoom>, UpError> {
        match plan.database_setup.room_bytes {
            0 => Ok(None),
            bytes => RunRoom::make(site, bytes).map(Some),
        }
    }

    fn make(site: &Site, bytes: u64) -> Result<RunRoom, UpError> {
        let missing = |why: String| UpError::Missing {
            what: "a small file system for the database".to_owned(),
            why,
            remedy: "run mxctl as root, or leave the step `database-full` out of a scenario of your own".to_owned(),
        };
        let room = Room::new(&site.folder);
        site.journal.write(&Entry::Mounting { at: room.at().to_owned() })?;
        let mounted = room.make(bytes);
        if mounted.is_err() {
            site.journal.write(&Entry::Unmounted { at: room.at().to_owned() })?;
        }
        mounted.map_err(|e| missing(format!("mount a tmpfs at {}: {e}", room.at().display())))?;
        Ok(RunRoom { site: site.clone(), room })
    }

    pub fn at(&self) -> &Path {
        self.room.at()
    }

    /// Whether the load will fit in beside what is there already; otherwise why not.
    pub fn takes(&self, load_bytes: u64) -> Result<(), String> {
        let free = free_bytes(self.at()).map_err(|e| format!("look for room in {}: {e}", self.at().display()))?;
        let needed = load_bytes + LOGS_BYTES;
        if free >= needed {
            return Ok(());
        }
        let [free, needed] = [free, needed].map(Size);
        Err(format!("the empty database left {free} free in {}, and the load may take {needed}", self.at().display()))
    }

    fn filler(&self) -> PathBuf {
        self.at().join(FILLER)
    }

    /// Takes all that is free.
    pub async fn fill(&self) -> Result<(), ControlError> {
        let filler = self.filler();
        self.site.journal.write(&Entry::Filling { file: filler.clone() })?;
        let written = tokio::task::spawn_blocking(move || write_until_full(&filler));
        Ok(written.await.map_err(io::Error::other)??)
    }

    /// Idempotent.
    pub fn empty(&self) -> Result<(), ControlError> {
        let file = self.filler();
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        Ok(self.site.journal.write(&Entry::Emptied { file })?)
    }

    /// Takes it away, once nobody uses it any more; what is in it stays beside it. Says what would not go.
    pub fn leave(&self) -> Result<(), String> {
        let left = self.room.leave(&self.site.folder, EMPTY_WITHIN);
        left.map_err(|e| format!("{}: {e}", self.at().display()))?;
        // A journal that cannot be written keeps the room as a leftover, which heal finds to be gone.
        let _ = self.site.journal.write(&Entry::Unmounted { at: self.at().to_owned() });
        Ok(())
    }
}

fn write_until_full(filler: &Path) -> io::Result<()> {
    let mut file = File::create(filler)?;
    let zeros = [0; PIECE];
    loop {
        match file.write(&zeros) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::StorageFull => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::RunClock;
    use crate::journal::Journal;

    #[test]
    fn a_load_that_would_fill_it_by_itself_is_refused_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(folder.path(), "lab").unwrap());
        let clock = RunClock::starting_in(Duration::ZERO);
        let site = Site { executable: PathBuf::new(), folder: folder.path().to_owned(), journal, clock };
        let room = RunRoom { room: Room::new(folder.path()), site };
        std::fs::create_dir(room.at()).unwrap();
        let free = free_bytes(room.at()).unwrap();
        assert_eq!(room.takes(free / 2 - LOGS_BYTES), Ok(()));
        let refused = room.takes(free).unwrap_err();
        assert!(refused.contains("the empty database left"), "{refused}");
    }
}
