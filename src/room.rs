//! A room: a small file system of the run's own, in memory, so that a disk can be full without filling anybody's disk.
//!
//! It takes root. What is in it is moved out before it goes; what a killed run left of it, `mxctl heal` takes away.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Its name in the folder of the target.
const NAME: &str = "room";
/// A file that takes what is free, by its name in the room: it is of no use outside.
pub const FILLER: &str = "filler";
const AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    at: PathBuf,
}

impl Room {
    /// Of the target with this folder; it need not be there.
    pub fn new(folder: &Path) -> Room {
        Room { at: folder.join(NAME) }
    }

    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Makes it, with this many bytes.
    pub fn make(&self, bytes: u64) -> io::Result<()> {
        std::fs::create_dir_all(&self.at)?;
        let options = CString::new(format!("size={bytes},mode=0755")).expect("digits and letters");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let made = mount(Some("mxctl"), &self.at, Some("tmpfs"), flags, Some(options.as_bytes()));
        made.map_err(|e| {
            // Only what was made a moment ago, by us, and is empty.
            let _ = std::fs::remove_dir(&self.at);
            io::Error::from(e)
        })
    }

    /// Whether a file system of its own is there: it has another device number than the folder around it.
    pub fn is_there(&self) -> bool {
        let device = |path: &Path| path.metadata().ok().map(|met| met.dev());
        let around = self.at.parent().and_then(device);
        device(&self.at).is_some_and(|own| around.is_some_and(|around| around != own))
    }

    /// Moves what is in it into the folder around it, and takes it away. Waits for whoever is closing a file in it.
    pub fn leave(&self, outside: &Path, within: Duration) -> io::Result<()> {
        if self.is_there() {
            copy_all(&self.at, outside)?;
            self.unmount(within)?;
        }
        match std::fs::remove_dir(&self.at) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn unmount(&self, within: Duration) -> io::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            match umount2(&self.at, MntFlags::UMOUNT_NOFOLLOW) {
                Err(nix::Error::EBUSY) if Instant::now() < deadline => std::thread::sleep(AGAIN),
                unmounted => return unmounted.map_err(io::Error::from),
            }
        }
    }
}

/// Files and folders, with their owners and modes; the filler, sockets and the like are of no use outside.
fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, source, copy) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir_all(&copy)?;
            copy_all(&source, &copy)?;
        } else if kind.is_file() && entry.file_name().as_bytes() != FILLER.as_bytes() {
            std::fs::copy(&source, &copy)?;
        } else {
            continue;
        }
        let met = entry.metadata()?;
        chown(&copy, Some(met.uid()), Some(met.gid()))?;
        std::fs::set_permissions(&copy, met.permissions())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new(folder.path());
        assert!(!room.is_there());
        std::fs::create_dir(room.at()).unwrap();
        assert!(!room.is_there());
        room.leave(folder.path(), Duration::ZERO).unwrap();
        assert!(!room.at().exists(), "an empty folder goes as well");
    }
}
