//! The folder of a lab that stays: what it is, who keeps it, and where to talk to the keeper.
//!
//! ```text
//! reports/labs/default/
//!   lab.json         what was brought up
//!   lock             held by flock while the keeper lives
//!   keeper.json      its process
//!   keeper.sock      the socket, while the lab is up
//!   keeper.log       what the keeper said
//!   journal.jsonl    what was started, for `testbed down` after a crash
//!   target/          configurations, logs and data
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Kept, LabError};
use crate::archive::{Archive, ArchiveError};
use crate::journal::Found;
use crate::process::ProcessIdentity;

/// In the reports folder. It holds no run, and no file that would make it look like one.
const LABS: &str = "labs";
const DESCRIPTION: &str = "lab.json";
const KEEPER: &str = "keeper.json";
const SOCKET: &str = "keeper.sock";
const LOCK: &str = "lock";
const DOOR: &str = ".lock";

/// Where a lab is, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabFolder {
    name: String,
    root: PathBuf,
}

/// Whether it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It was never up, or it was taken down.
    Down,
    /// Its keeper lives and does not take requests: it is starting, or stopping.
    Between,
    Up,
    /// Its keeper died without taking it down.
    Dead,
}

impl LabFolder {
    /// The lab of this name in a reports folder.
    pub fn of(reports: &Path, name: &str) -> Result<LabFolder, LabError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(fits) {
            return Err(LabError::Name(name.to_owned()));
        }
        let labs = reports.join(LABS);
        let root = std::path::absolute(labs.join(name)).map_err(|source| LabError::Files { path: labs, source })?;
        Ok(LabFolder { name: name.to_owned(), root })
    }

    pub fn at(name: &str, root: &Path) -> LabFolder {
        LabFolder { name: name.to_owned(), root: root.to_owned() }
    }

    /// Every lab of a reports folder, by name.
    pub fn all(reports: &Path) -> Result<Vec<LabFolder>, LabError> {
        let path = reports.join(LABS);
        let fault = |source| LabError::Files { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fault)?.collect::<io::Result<Vec<_>>>().map_err(fault)?,
        };
        let labs = entries.into_iter().filter(|entry| entry.path().join(DESCRIPTION).is_file());
        let mut names: Vec<_> = labs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names.iter().map(|name| LabFolder::of(reports, name)).collect()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn target_dir(&self) -> PathBuf {
        self.root.join("target")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("keeper.log")
    }

    pub fn standing(&self) -> Result<Standing, LabError> {
        let held = Archive::is_held(&self.root).map_err(|e| self.fault(into_io(e)))?;
        let rests = Found::read(&self.root).map_err(|e| self.fault(e))?.is_none_or(|journal| journal.at_rest());
        Ok(match (held, self.root.join(SOCKET).exists()) {
            (true, true) => Standing::Up,
            (true, false) => Standing::Between,
            (false, _) if rests => Standing::Down,
            (false, _) => Standing::Dead,
        })
    }

    /// What was brought up here.
    pub fn kept(&self) -> Result<Kept, LabError> {
        self.read(DESCRIPTION)
    }

    /// The process of its keeper.
    pub fn keeper(&self) -> Result<ProcessIdentity, LabError> {
        self.read(KEEPER)
    }

    /// Makes the folder anew: what an earlier lab of this name left in it goes. Only whoever is at the
    /// [`door`](Self::door), and has seen that the lab is down, may do that.
    pub(super) fn furnish(&self, kept: &Kept) -> Result<(), LabError> {
        let made = match fs::remove_dir_all(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => fs::create_dir_all(self.target_dir()),
        };
        made.map_err(|e| self.fault(e))?;
        self.write(DESCRIPTION, kept)
    }

    /// One command at a time brings up labs in a reports folder; the next one waits here.
    pub(super) fn door(&self) -> Result<File, LabError> {
        let labs = self.root.parent().expect("a lab lies in a folder");
        let path = labs.join(DOOR);
        let opened = fs::create_dir_all(labs).and_then(|()| {
            let door = File::options().write(true).create(true).truncate(false).open(&path)?;
            door.lock()?;
            Ok(door)
        });
        opened.map_err(|source| LabError::Files { path, source })
    }

    /// For the keeper: says that it lives, for as long as the file stays open.
    pub(super) fn occupy(&self) -> Result<File, LabError> {
        let occupied = || -> io::Result<File> {
            let mut lock = File::options().write(true).create(true).truncate(true).open(self.root.join(LOCK))?;
            lock.lock()?;
            writeln!(lock, "pid {}", std::process::id())?;
            Ok(lock)
        };
        let lock = occupied().map_err(|e| self.fault(e))?;
        let me = ProcessIdentity::of(std::process::id() as i32).map_err(|e| self.fault(e))?;
        self.write(KEEPER, &me)?;
        Ok(lock)
    }

    /// The keeper's end: a socket that only this user may talk to.
    pub(super) fn listen(&self) -> Result<UnixListener, LabError> {
        let owner_only = umask(Mode::from_bits_truncate(0o177));
        let bound = self.by_short_path(|path| UnixListener::bind(path));
        umask(owner_only);
        let listening = bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        listening.map_err(|e| self.fault(e))
    }

    /// Nobody comes in any more.
    pub(super) fn stop_listening(&self) {
        // A socket that stays behind refuses whoever knocks.
        let _ = fs::remove_file(self.root.join(SOCKET));
    }

    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        self.by_short_path(|path| UnixStream::connect(path))
    }

    /// A socket's path has at most 107 bytes, and a reports folder may lie deep: it is named by the folder's
    /// descriptor.
    fn by_short_path<T>(&self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let folder = File::open(&self.root)?;
        act(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), LabError> {
        let text = serde_json::to_vec_pretty(value).expect("plain data is JSON");
        // Renamed into place: who reads it reads it whole. For this user only: an address may hold a password.
        let aside = self.root.join(format!(".writing-{name}"));
        let mut options = File::options();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&aside);
        let written = opened.and_then(|mut file| file.write_all(&text));
        written.and_then(|()| fs::rename(&aside, self.root.join(name))).map_err(|e| self.fault(e))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, LabError> {
        let path = self.root.join(name);
        let read = fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other));
        read.map_err(|source| LabError::Files { path, source })
    }

    fn fault(&self, source: io::Error) -> LabError {
        LabError::Files { path: self.root.clone(), source }
    }
}

fn into_io(error: ArchiveError) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_leave_the_folder_is_refused() {
        let reports = Path::new("reports");
        for name in ["", "..", "a/b", ".hidden", "with space"] {
            assert!(matches!(LabFolder::of(reports, name), Err(LabError::Name(_))), "{name}");
        }
        assert!(LabFolder::of(reports, "v5-night.1").is_ok());
    }

    #[test]
    fn a_lab_that_never_was_is_down_and_no_lab_is_listed() {
        let reports = tempfile::tempdir().unwrap();
        let lab = LabFolder::of(reports.path(), "default").unwrap();
        assert_eq!(lab.standing().unwrap(), Standing::Down);
        assert_eq!(LabFolder::all(reports.path()).unwrap(), []);
    }

    #[test]
    fn the_labs_of_a_reports_folder_are_no_runs() {
        let reports = tempfile::tempdir().unwrap();
        let lab = LabFolder::of(reports.path(), "default").unwrap();
        let _door = lab.door().unwrap();
        fs::create_dir_all(lab.target_dir()).unwrap();
        let _lock = lab.occupy().unwrap();
        assert_eq!(lab.standing().unwrap(), Standing::Between);
        assert_eq!(Archive::runs(reports.path()).unwrap(), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_folder_that_lies_deep_has_a_socket_all_the_same() {
        use std::os::unix::fs::PermissionsExt;
        let reports = tempfile::tempdir().unwrap();
        let deep = reports.path().join("a-folder-with-a-long-name".repeat(6));
        let lab = LabFolder::of(&deep, "default").unwrap();
        fs::create_dir_all(lab.root()).unwrap();
        let _listener = lab.listen().unwrap();
        lab.connect().unwrap();
        let mode = fs::metadata(lab.root().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only this user may talk to the keeper");
    }
}
