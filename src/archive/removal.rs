//! Taking a run's folder away: only one that [`Archive::create`] made, and that nobody holds.

use std::fs::{self, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::{Archive, ArchiveError, LOCK};

impl Archive {
    /// When a run's folder was made, from its name; `None` for a folder that [`Archive::create`] did not make: it has
    /// no such name, or is a link to somewhere else.
    pub fn made_at(root: &Path) -> Option<Timestamp> {
        let is_folder = fs::symlink_metadata(root).is_ok_and(|meta| meta.is_dir());
        if !is_folder || !root.join(LOCK).is_file() {
            return None;
        }
        let (time, rest) = root.file_name()?.to_str()?.split_once('-')?;
        let has_run_number = rest.rsplit('-').next()?.parse::<u32>().is_ok();
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok().filter(|_| has_run_number)?;
        Offset::UTC.to_timestamp(time).ok()
    }

    /// Removes a run's folder; says how many bytes that gave back to the disk.
    pub fn remove(root: &Path) -> Result<u64, ArchiveError> {
        if Self::made_at(root).is_none() {
            return Err(ArchiveError::NotARun(root.to_owned()));
        }
        let failed = |source| ArchiveError::Remove { place: root.to_owned(), source };
        let lock = fs::File::open(root.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Held(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let bytes = Self::disk_usage(root);
        clear(root).and_then(|()| fs::remove_dir_all(root)).map_err(failed)?;
        Ok(bytes)
    }

    /// The bytes that a folder takes on the disk; what cannot be looked at counts as none.
    pub fn disk_usage(folder: &Path) -> u64 {
        let size = |entry: fs::DirEntry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => Self::disk_usage(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        };
        fs::read_dir(folder).into_iter().flatten().flatten().map(size).sum()
    }
}

/// All but the lock goes first: a folder that could not be removed to its end is still known as a run.
fn clear(root: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() != LOCK => fs::remove_file(entry.path())?,
            false => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_795_478_400, 0);

    #[test]
    fn the_name_of_a_folder_says_when_it_was_made() {
        let reports = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let archive = Archive::create(reports.path(), "my-test", 17, NOW).unwrap();
            assert_eq!(Archive::made_at(archive.root()), Some(NOW));
        }
    }

    #[test]
    fn a_held_run_and_a_foreign_folder_stay() {
        let reports = tempfile::tempdir().unwrap();
        let archive = Archive::create(reports.path(), "a", 1, NOW).unwrap();
        assert!(matches!(Archive::remove(archive.root()), Err(ArchiveError::Held(_))));
        let link = reports.path().join("20261124T000000Z-a-2");
        std::os::unix::fs::symlink(archive.root(), &link).unwrap();
        let foreign = reports.path().join("mine");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join(LOCK), "").unwrap();
        for folder in [&link, &foreign] {
            assert!(matches!(Archive::remove(folder), Err(ArchiveError::NotARun(_))), "{}", folder.display());
        }
        let root = archive.root().to_owned();
        drop(archive);
        fs::write(root.join("target/data"), [1; 10_000]).unwrap();
        assert!(Archive::remove(&root).unwrap() >= 10_000);
        assert!(!root.exists() && foreign.exists());
    }
}
