//! The run's folder: everything that a later command re-reads.
//!
//! ```text
//! reports/20261124T001203Z-rolling-update-17/
//!   lock                   held by flock while the run lives
//!   plan.json environment.json standing.json incidents.json
//!   target/                configurations, logs and data of what the run started
//!   ledger/                every attempt
//!   state/                 final.json, rows.table, witness.table
//!   latency.hlog           histograms of all requests
//!   junit.xml report.md
//!   run.json               written last: a report is whole or absent
//! ```
//!
//! In: bytes or serde types, by [`Piece`]. Out: the same, from a finished or a broken run: a piece that is missing
//! is [`Stored::Missing`], one that cannot be read is a named error with its place.
//!
//! # Why every write is a rename
//! A piece is written beside its place, fsynced, then renamed over it. A full disk or a `kill -9` leaves the old
//! piece or none, and nothing that is half there under its own name.

mod environment;
mod piece;
mod removal;

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::mask::mask;
use crate::scenario::Size;

pub use environment::Environment;
pub use piece::{Piece, Stored};

const LOCK: &str = "lock";
const FOLDERS: [&str; 3] = ["target", "ledger", "state"];
/// Enough that a nearly full disk is found before anything is started.
const PROBE_BYTES: usize = 64 * 1024;

/// A run's folder. It is locked while the archive that created it lives; one that was opened only reads.
#[derive(Debug)]
pub struct Archive {
    root: PathBuf,
    lock: Option<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("make the run's folder {}: {source}; {}", place.display(), remedy(source))]
    Create { place: PathBuf, source: io::Error },
    #[error("look for runs in {}: {source}; {}", place.display(), remedy(source))]
    Runs { place: PathBuf, source: io::Error },
    #[error(
        "open {}: not a run's folder: it has no file named {LOCK}; name one that is in the reports folder",
        .0.display()
    )]
    NotARun(PathBuf),
    #[error("find the latest run in {}: there is none; name the folder of runs with `--reports`", .0.display())]
    NoRuns(PathBuf),
    #[error("write {}: {source}; {}", place.display(), remedy(source))]
    Write { place: PathBuf, source: io::Error },
    #[error("remove {}: {source}", place.display())]
    Remove { place: PathBuf, source: io::Error },
    #[error("remove {}: its run is still going on", .0.display())]
    Held(PathBuf),
    #[error("read {}: {source}", place.display())]
    Read { place: PathBuf, source: io::Error },
    /// It is there, and it is not what was written.
    #[error("read {}: {why}; the file is damaged: take it from a whole copy of the run's folder", place.display())]
    Corrupt { place: PathBuf, why: String },
}

/// What a person can do about it.
fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => "make room there, or name another folder",
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => "make it writable, or name another folder",
        Kind::NotADirectory | Kind::AlreadyExists => "a file is in the way: move it, or name another folder",
        _ => "name another folder",
    }
}

impl Archive {
    /// Makes `<reports>/<UTC time>-<name>-<run number>/`, finds out that it can be written, and locks it.
    /// Whatever fails here is bad input (exit code 2): nothing has been started yet, and no folder stays behind.
    pub fn create(reports: &Path, name: &str, run_number: u32, now: Timestamp) -> Result<Archive, ArchiveError> {
        let stem = format!("{}-{}-{run_number}", now.strftime("%Y%m%dT%H%M%SZ"), as_file_name(name));
        let root = unique_folder(reports, &stem)
            .map_err(|source| ArchiveError::Create { place: reports.join(&stem), source })?;
        match furnish(&root) {
            Ok(lock) => Ok(Archive { root, lock: Some(lock) }),
            Err(source) => {
                // Only what was made a moment ago, by us. That it cannot be removed either adds nothing.
                let _ = fs::remove_dir_all(&root);
                Err(ArchiveError::Create { place: root, source })
            }
        }
    }

    /// Finds out that the disk has room for what a run is going to write; else no folder stays behind.
    pub fn reserve(self, bytes: u64) -> Result<Archive, ArchiveError> {
        match free_bytes(&self.root) {
            Ok(free) if free >= bytes => Ok(self),
            found => {
                let why = |free| format!("{} are free, and this run writes about {}", Size(free), Size(bytes));
                let source =
                    found.map_or_else(Into::into, |free| io::Error::new(io::ErrorKind::StorageFull, why(free)));
                // Only what was made a moment ago, by us, as in `create`.
                let _ = fs::remove_dir_all(&self.root);
                Err(ArchiveError::Create { place: self.root, source })
            }
        }
    }

    /// Opens the folder of a finished or broken run for reading: it is not locked.
    pub fn open(root: &Path) -> Result<Archive, ArchiveError> {
        if !root.join(LOCK).is_file() {
            return Err(ArchiveError::NotARun(root.to_owned()));
        }
        Ok(Archive { root: root.to_owned(), lock: None })
    }

    /// Whether a live process holds the run's folder.
    pub fn is_held(root: &Path) -> Result<bool, ArchiveError> {
        let place = root.join(LOCK);
        let lock = match File::open(&place) {
            Ok(lock) => lock,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(ArchiveError::Read { place, source }),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(ArchiveError::Read { place, source }),
        }
    }

    /// The folders of all runs under `reports`, oldest first; none where `reports` does not exist.
    pub fn runs(reports: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
        let entries = match fs::read_dir(reports) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.and_then(|all| all.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()),
        };
        let mut runs = entries.map_err(|source| ArchiveError::Runs { place: reports.to_owned(), source })?;
        runs.retain(|path| path.join(LOCK).is_file());
        runs.sort();
        Ok(runs)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Configurations, logs and data of what the run started.
    pub fn target_dir(&self) -> PathBuf {
        self.root.join("target")
    }

    pub fn ledger_dir(&self) -> PathBuf {
        self.root.join("ledger")
    }

    pub fn place(&self, piece: Piece) -> PathBuf {
        self.root.join(piece.path())
    }

    pub fn put_json<T: Serialize>(&self, piece: Piece, value: &T) -> Result<(), ArchiveError> {
        let text = serde_json::to_vec_pretty(value)
            .map_err(|e| ArchiveError::Write { place: self.place(piece), source: e.into() })?;
        self.put_bytes(piece, &text)
    }

    pub fn put_bytes(&self, piece: Piece, bytes: &[u8]) -> Result<(), ArchiveError> {
        assert!(piece != Piece::Run, "the report is written by seal");
        self.publish(vec![self.stage(piece, bytes)?])
    }

    /// Where a piece grows that is too long to be held: a file beside its place, which is gone unless it is [kept].
    ///
    /// [kept]: Archive::keep
    pub fn aside(&self, piece: Piece) -> Result<NamedTempFile, ArchiveError> {
        assert!(self.lock.is_some() && !piece.is_text(), "only the holder of the lock writes, and text is masked");
        let place = self.place(piece);
        let folder = place.parent().expect("a piece lies in a folder");
        file_aside(folder).map_err(|source| ArchiveError::Write { place, source })
    }

    /// Fsyncs what grew aside, and gives it its place.
    pub fn keep(&self, piece: Piece, aside: NamedTempFile) -> Result<(), ArchiveError> {
        let synced = aside.as_file().sync_all();
        synced.map_err(|source| ArchiveError::Write { place: self.place(piece), source })?;
        self.publish(vec![(piece, aside)])
    }

    /// Writes the files of the report, `run.json` last. All of them are on the disk under other names before the
    /// first takes its place: a disk that is full leaves the earlier report, or none.
    pub fn seal(&self, report: &[(Piece, Vec<u8>)]) -> Result<(), ArchiveError> {
        let (last, others): (Vec<_>, Vec<_>) = report.iter().partition(|(piece, _)| *piece == Piece::Run);
        assert_eq!(last.len(), 1, "a report has exactly one run.json");
        let staged = others.into_iter().chain(last).map(|(piece, bytes)| self.stage(*piece, bytes));
        let staged = staged.collect::<Result<Vec<_>, _>>()?;
        self.unseal()?;
        self.publish(staged)
    }

    pub fn get_json<T: DeserializeOwned>(&self, piece: Piece) -> Result<Stored<T>, ArchiveError> {
        Ok(match self.get_bytes(piece)? {
            Stored::Missing { why } => Stored::Missing { why },
            Stored::Whole(bytes) => Stored::Whole(
                serde_json::from_slice(&bytes)
                    .map_err(|e| ArchiveError::Corrupt { place: self.place(piece), why: e.to_string() })?,
            ),
        })
    }

    pub fn get_bytes(&self, piece: Piece) -> Result<Stored<Vec<u8>>, ArchiveError> {
        let place = self.place(piece);
        match fs::read(&place) {
            Ok(bytes) => Ok(Stored::Whole(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Stored::Missing { why: piece.why_missing() }),
            Err(source) => Err(ArchiveError::Read { place, source }),
        }
    }

    /// An earlier report must not stand beside files of a newer one.
    fn unseal(&self) -> Result<(), ArchiveError> {
        let place = self.place(Piece::Run);
        match fs::remove_file(&place) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ArchiveError::Write { place, source }),
            _ => Ok(()),
        }
    }

    /// Writes a piece, fsynced, under a name of its own in the folder where it belongs.
    fn stage(&self, piece: Piece, bytes: &[u8]) -> Result<(Piece, NamedTempFile), ArchiveError> {
        assert!(self.lock.is_some(), "only the holder of the lock writes");
        let place = self.place(piece);
        let folder = place.parent().expect("a piece lies in a folder");
        let masked = piece.is_text().then(|| mask(&String::from_utf8_lossy(bytes)).into_bytes());
        let staged = write_aside(folder, masked.as_deref().unwrap_or(bytes));
        staged.map(|file| (piece, file)).map_err(|source| ArchiveError::Write { place, source })
    }

    /// Renames each staged piece to its place, in order.
    fn publish(&self, staged: Vec<(Piece, NamedTempFile)>) -> Result<(), ArchiveError> {
        for (piece, file) in staged {
            let place = self.place(piece);
            let renamed = file.persist(&place).map_err(|e| e.error);
            let folder = place.parent().expect("a piece lies in a folder");
            renamed
                .and_then(|_| File::open(folder)?.sync_all())
                .map_err(|source| ArchiveError::Write { place: place.clone(), source })?;
        }
        Ok(())
    }
}

/// Writes a file that is about several runs beside their folders: whole, or not at all.
pub fn put_beside_runs(reports: &Path, name: &str, text: &str) -> Result<PathBuf, ArchiveError> {
    let place = reports.join(name);
    let written = || {
        fs::create_dir_all(reports)?;
        write_aside(reports, mask(text).as_bytes())?.persist(&place).map_err(|e| e.error)?;
        File::open(reports)?.sync_all()
    };
    match written() {
        Ok(()) => Ok(place),
        Err(source) => Err(ArchiveError::Write { place, source }),
    }
}

/// `name` as part of a file's name.
fn as_file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// Makes a folder that was not there: `stem`, `stem-2`, `stem-3`, …
fn unique_folder(reports: &Path, stem: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(reports)?;
    for n in 1u32.. {
        let root = reports.join(if n == 1 { stem.to_owned() } else { format!("{stem}-{n}") });
        match fs::create_dir(&root) {
            Ok(()) => return Ok(root),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Takes the lock, makes the subfolders, and finds out whether there is room.
fn furnish(root: &Path) -> io::Result<File> {
    let mut lock = File::options().read(true).write(true).create_new(true).open(root.join(LOCK))?;
    lock.lock()?;
    writeln!(lock, "pid {}", std::process::id())?;
    for folder in FOLDERS {
        fs::create_dir(root.join(folder))?;
    }
    write_aside(root, &[0; PROBE_BYTES])?.close()?;
    Ok(lock)
}

/// What a user may still write there.
pub fn free_bytes(folder: &Path) -> nix::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(folder)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// A file with a name of its own, whole and fsynced, removed unless it is renamed.
fn write_aside(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = file_aside(folder)?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn file_aside(folder: &Path) -> io::Result<NamedTempFile> {
    // Readable by whom the umask allows, not only by the owner: other users collect the reports of a CI job.
    let mode = Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".writing-").permissions(mode).tempfile_in(folder)
}

#[cfg(test)]
mod tests;
