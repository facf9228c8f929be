//! Sorts more records than memory should hold: parts that are sorted in memory wait in a file, and are merged at the
//! end.
//!
//! In: records in any order. Out: the same, in order, one at a time. Memory: one part, and then a buffer a part.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::table::Record;

/// Records in memory.
const PART: usize = 1 << 19;
const BUFFER: usize = 64 * 1024;

pub struct Sorter<R, K> {
    key: fn(&R) -> K,
    folder: PathBuf,
    held: Vec<R>,
    part: usize,
    /// Sorted parts, each in a file without a name.
    parts: Vec<File>,
}

impl<R: Record, K: Ord> Sorter<R, K> {
    /// Parts that memory should not hold wait in this folder.
    pub fn new(folder: &Path, key: fn(&R) -> K) -> Self {
        Sorter { key, folder: folder.to_owned(), held: Vec::new(), part: PART, parts: Vec::new() }
    }

    pub fn push(&mut self, record: R) -> io::Result<()> {
        if self.held.len() == self.part {
            self.put_by()?;
        }
        self.held.push(record);
        Ok(())
    }

    /// Gives every record to `take`, in order; those with equal keys in any.
    pub fn drain(mut self, mut take: impl FnMut(&R) -> io::Result<()>) -> io::Result<()> {
        self.sort();
        let files = self.parts.into_iter().map(|file| Part::File(BufReader::with_capacity(BUFFER, file)));
        let mut parts: Vec<Part<R>> = files.chain([Part::Memory(self.held.into_iter())]).collect();
        let mut heads = Vec::new();
        let mut order = BinaryHeap::new();
        for (at, part) in parts.iter_mut().enumerate() {
            let head = part.next()?;
            order.extend(head.as_ref().map(|head| Reverse(((self.key)(head), at))));
            heads.push(head);
        }
        while let Some(Reverse((_, at))) = order.pop() {
            let next = parts[at].next()?;
            order.extend(next.as_ref().map(|next| Reverse(((self.key)(next), at))));
            let head = std::mem::replace(&mut heads[at], next);
            take(&head.expect("what stands in the order has a head"))?;
        }
        Ok(())
    }

    fn sort(&mut self) {
        // Stable, because it is fast on what is nearly sorted, as a log is by key.
        self.held.sort_by_key(self.key);
    }

    fn put_by(&mut self) -> io::Result<()> {
        self.sort();
        let mut out = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&self.folder)?);
        out.write_all(bytemuck::cast_slice(&self.held))?;
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        io::Seek::rewind(&mut file)?;
        self.parts.push(file);
        self.held.clear();
        Ok(())
    }
}

enum Part<R> {
    File(BufReader<File>),
    Memory(std::vec::IntoIter<R>),
}

impl<R: Record> Part<R> {
    fn next(&mut self) -> io::Result<Option<R>> {
        let file = match self {
            Part::Memory(records) => return Ok(records.next()),
            Part::File(file) => file,
        };
        let mut record = R::zeroed();
        match file.read_exact(bytemuck::bytes_of_mut(&mut record)) {
            Ok(()) => Ok(Some(record)),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SightingRecord;
    use super::*;

    proptest! {
        #[test]
        fn it_sorts_as_memory_does(keys in prop::collection::vec(0u64..50, 0..60), part in 1usize..20) {
            let record = |key: &u64| {
                let mut record: SightingRecord = bytemuck::Zeroable::zeroed();
                record.key = *key;
                record
            };
            let mut sorter = Sorter::new(&std::env::temp_dir(), |record: &SightingRecord| record.key);
            sorter.part = part;
            keys.iter().for_each(|key| sorter.push(record(key)).unwrap());
            let mut drained = Vec::new();
            sorter.drain(|record| { drained.push(record.key); Ok(()) }).unwrap();
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            prop_assert_eq!(drained, sorted);
        }
    }
}
