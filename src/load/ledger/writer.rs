//! Writing a ledger: one file a shard, in windows that are allocated on disk before they are mapped.
//!
//! In: operations as they become due, are given to an instance, and end. Out: a sealed file.
//!
//! ```text
//! | header page | window 0 | window 1 | window 2 |        16,384 records (1 MiB) a window
//!                 unmapped   mapped:    mapped:
//!                 all ended  some open  being filled
//! ```
//!
//! # Why
//! A page of a shared mapping belongs to the kernel: `kill -9` of mxctl loses none of it. But a mapped page without
//! a block on disk turns a full disk into a SIGBUS, so a window's blocks are allocated first, and a full disk is an
//! error of [`begin`](Recorder::begin). A window whose attempts have all ended is unmapped: memory stays flat.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::{MmapMut, MmapOptions};

use super::header::{Header, PAGE, Part, Seal};
use super::record::{Begin, Dispatch, End, RECORD_SIZE, Record};
use super::{LedgerError, Outcome, Reason, Recorder, shard_file};
use crate::clock::Offset;
use crate::pages::Pages;

const WINDOW_RECORDS: u64 = 16_384;
const WINDOW_BYTES: usize = WINDOW_RECORDS as usize * RECORD_SIZE;

/// What the ledger of so many operations takes on the disk.
pub fn disk_bytes(operations: u64, shards: u16) -> u64 {
    let shards = u64::from(shards.max(1));
    let windows = operations.div_ceil(shards).div_ceil(WINDOW_RECORDS).max(1);
    shards * (PAGE as u64 + windows * WINDOW_BYTES as u64)
}

#[derive(Debug)]
pub struct LedgerWriter {
    file: File,
    path: PathBuf,
    part: Part,
    /// The mapped windows, oldest first.
    windows: VecDeque<Window>,
    /// How many windows stood before the first one here.
    unmapped: u64,
    /// Records begun: the next slot.
    begun: u64,
}

#[derive(Debug)]
struct Window {
    map: MmapMut,
    /// Attempts begun and not ended.
    open: u32,
}

impl LedgerWriter {
    /// A new file for one part of a run, in a folder that may exist. A file that exists is never overwritten.
    pub fn create(folder: &Path, part: Part) -> Result<Self, LedgerError> {
        let path = folder.join(shard_file(part.shard));
        let create = || {
            std::fs::create_dir_all(folder)?;
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            file.write_all_at(&Header { part, seal: None }.encode(), 0)?;
            Ok(file)
        };
        let file = create().map_err(|source| LedgerError::Create { path: path.clone(), source })?;
        Ok(LedgerWriter { file, path, part, windows: VecDeque::new(), unmapped: 0, begun: 0 })
    }

    fn write_seal(&self, issued_until: Offset) -> io::Result<()> {
        self.file.set_len(PAGE as u64 + self.begun * RECORD_SIZE as u64)?;
        let records_crc = Pages::of(&self.file)?.crc32(PAGE);
        let seal = Seal { count: self.begun, issued_until, records_crc };
        // The seal must not reach the disk before what it speaks of.
        self.file.sync_all()?;
        self.file.write_all_at(&Header { part: self.part, seal: Some(seal) }.encode(), 0)?;
        self.file.sync_all()
    }

    fn window(&mut self, op: u64) -> &mut Window {
        let index = self.part.slot(op) / WINDOW_RECORDS - self.unmapped;
        &mut self.windows[index as usize]
    }

    fn record(&mut self, op: u64) -> &mut Record {
        let slot = (self.part.slot(op) % WINDOW_RECORDS) as usize;
        &mut self.window(op).records()[slot]
    }

    /// The last window is being filled, so it stays.
    fn unmap_ended(&mut self) {
        while self.windows.len() > 1 && self.windows[0].open == 0 {
            self.windows.pop_front();
            self.unmapped += 1;
        }
    }
}

impl Recorder for LedgerWriter {
    type Closed = ();

    /// Records it as pending.
    fn begin(&mut self, begin: &Begin) -> Result<(), LedgerError> {
        assert_eq!(begin.op.index, self.part.op(self.begun), "operations are begun in order");
        assert_eq!(begin.op.key >> 32, u64::from(self.part.run.number), "a key belongs to its run");
        if self.begun.is_multiple_of(WINDOW_RECORDS) {
            let window = Window::allocate(&self.file, self.begun / WINDOW_RECORDS);
            self.windows.push_back(window.map_err(|source| LedgerError::Allocate { path: self.path.clone(), source })?);
        }
        self.begun += 1;
        self.window(begin.op.index).open += 1;
        self.record(begin.op.index).begin(begin);
        Ok(())
    }

    fn dispatched(&mut self, op: u64, dispatch: &Dispatch) {
        self.record(op).dispatched(dispatch);
    }

    fn finish(&mut self, op: u64, end: &End) {
        let record = self.record(op);
        assert!(record.is_pending(), "an operation ends once");
        record.finish(end);
        self.window(op).open -= 1;
        self.unmap_ended();
    }

    fn end_open(&mut self, done: Offset) {
        for window in &mut self.windows {
            for record in window.records().iter_mut().filter(|r| r.is_pending()) {
                let (outcome, reason) = match record.was_sent() {
                    true => (Outcome::Unknown, Reason::Open),
                    false => (Outcome::NotSent, Reason::LoadOver),
                };
                record.finish(&End { done, outcome, reason, status: 0 });
            }
            window.open = 0;
        }
        self.unmap_ended();
    }

    /// Cuts the file to its records, checksums them and marks the file sealed; all on disk when this returns.
    fn close(mut self, issued_until: Offset) -> Result<(), LedgerError> {
        assert!(self.windows.iter().all(|w| w.open == 0), "a ledger is sealed when every operation has ended");
        self.windows.clear();
        self.write_seal(issued_until).map_err(|source| LedgerError::Seal { path: self.path.clone(), source })
    }
}

impl Window {
    fn allocate(file: &File, index: u64) -> io::Result<Window> {
        let offset = PAGE as u64 + index * WINDOW_BYTES as u64;
        nix::fcntl::posix_fallocate(file, offset as i64, WINDOW_BYTES as i64)?;
        // SAFETY: mxctl alone writes this file, and nothing shortens it while it is mapped.
        let map = unsafe { MmapOptions::new().offset(offset).len(WINDOW_BYTES).map_mut(file) }?;
        Ok(Window { map, open: 0 })
    }

    fn records(&mut self) -> &mut [Record] {
        bytemuck::cast_slice_mut(&mut self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::lanes::{Lane, Operation};
    use crate::plan::RunKey;
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    const PART: Part = Part { run: RunKey { number: 7, seed: 1 }, shard: 0, shards: 1 };

    fn begin(writer: &mut LedgerWriter, index: u64) {
        let op = Operation { index, lane: Lane::WriteOnce, key: PART.run.key(index as u32), seq: 1 };
        writer.begin(&Begin { op, due: Offset(index), woke: Offset(index), epoch: 0 }).unwrap();
    }

    fn finish(writer: &mut LedgerWriter, op: u64) {
        let end = End { done: Offset(op), outcome: Outcome::Acked, reason: Reason::Answer, status: 202 };
        writer.finish(op, &end);
    }

    #[test]
    fn windows_that_have_ended_are_unmapped_and_one_slow_attempt_keeps_only_its_own_window_and_later_ones() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LedgerWriter::create(folder.path(), PART).unwrap();
        let slow = WINDOW_RECORDS + 1;
        for op in 0..4 * WINDOW_RECORDS {
            begin(&mut writer, op);
            if op != slow {
                finish(&mut writer, op);
            }
        }
        assert_eq!((writer.unmapped, writer.windows.len()), (1, 3));
        finish(&mut writer, slow);
        assert_eq!((writer.unmapped, writer.windows.len()), (3, 1));
        writer.close(Offset(1)).unwrap();
        let ledger = super::super::Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.attempts().count() as u64, 4 * WINDOW_RECORDS);
    }

    #[test]
    fn a_window_that_cannot_be_allocated_is_an_error() {
        // A file that may not grow refuses to allocate as a full disk does.
        let file = memfd_create("ledger", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        assert!(Window::allocate(&File::from(file), 0).is_err());
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        LedgerWriter::create(folder.path(), PART).unwrap();
        assert!(LedgerWriter::create(folder.path(), PART).is_err());
    }
}
