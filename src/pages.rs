//! A file that is read through memory, whose pages are let go once they were passed.
//!
//! In: a closed file. Out: its bytes, as one slice. Whoever walks along it says where he is ([`Pages::passed`]); what
//! lies well behind is taken out of this process again, so that a walk over gigabytes keeps megabytes. The bytes
//! stay readable: a second look fetches them from the system's cache, or from the disk.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions, UncheckedAdvice};

/// How far a walk goes before what lies behind it is let go.
const WINDOW: usize = 1 << 20;

#[derive(Debug)]
pub struct Pages {
    map: Mmap,
    /// Everything before this offset was let go by the walk that goes on.
    let_go: AtomicUsize,
}

impl Pages {
    /// `None`: there is no such file.
    pub fn open(path: &Path) -> io::Result<Option<Pages>> {
        match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Pages::of(&opened?).map(Some),
        }
    }

    pub fn of(file: &File) -> io::Result<Pages> {
        // SAFETY: whoever opens a file for this has closed it for writing; the run's folder is the run's own.
        let map = unsafe { MmapOptions::new().map(file) }?;
        Ok(Pages { map, let_go: AtomicUsize::new(0) })
    }

    /// A walk has come to this offset. One that is before the last walk's begins anew.
    #[inline]
    pub fn passed(&self, offset: usize) {
        let from = self.let_go.load(Ordering::Relaxed);
        if offset < from {
            self.let_go.store(0, Ordering::Relaxed);
        } else if offset - from >= WINDOW {
            self.let_go(from, offset);
        }
    }

    /// A walk has come to this element, which lies in these pages.
    #[inline]
    pub fn passed_element<T>(&self, element: &T) {
        let address = std::ptr::from_ref(element) as usize;
        self.passed(address.saturating_sub(self.map.as_ptr() as usize));
    }

    /// Over everything from this offset on, in one walk.
    pub fn crc32(&self, from: usize) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        let mut at = from;
        for part in self.map.get(from..).unwrap_or_default().chunks(WINDOW) {
            hasher.update(part);
            at += part.len();
            self.passed(at);
        }
        hasher.finalize()
    }

    #[cold]
    fn let_go(&self, from: usize, to: usize) {
        let to = to.min(self.map.len());
        // SAFETY: nobody writes through this map, so a page that is let go comes back from the file as it was.
        let advised = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) };
        // A system that will not let go keeps more memory, and the bytes are the same.
        let _ = advised;
        self.let_go.store(to, Ordering::Relaxed);
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::process::{MMapPath, Process};

    /// Resident kilobytes of the mapping of this file, as the kernel says.
    fn resident_kb(path: &Path) -> u64 {
        let maps = Process::myself().unwrap().smaps().unwrap();
        let map = maps.iter().find(|map| map.pathname == MMapPath::Path(path.to_owned())).unwrap();
        map.extension.map["Rss"] / 1024
    }

    #[test]
    fn a_walk_keeps_little_of_what_it_passed_and_reads_the_same_bytes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let bytes: Vec<u8> = (0..64 * WINDOW).map(|at| (at / 4096) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let pages = Pages::open(&path).unwrap().unwrap();
        for _ in 0..2 {
            let mut most = 0;
            for at in (0..bytes.len()).step_by(4096) {
                assert_eq!(pages[at], bytes[at]);
                pages.passed(at);
                if at % WINDOW == 0 {
                    most = most.max(resident_kb(&path));
                }
            }
            // The kernel may map 2 MiB at once, here and at the end of what was let go.
            assert!(most <= 6 << 10, "{most} kB");
        }
        assert_eq!(pages.crc32(7), crc32fast::hash(&bytes[7..]));
    }

    #[test]
    fn a_file_that_is_not_there_is_none() {
        assert!(Pages::open(Path::new("/nowhere/at/all")).unwrap().is_none());
    }
}
