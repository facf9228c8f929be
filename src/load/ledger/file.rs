//! Reading one file of a ledger, whatever state it is in.
//!
//! In: a folder. Out: its [`ShardFile`]s, each with what is wrong with it. Nothing in a file is trusted: garbage, a
//! file cut anywhere and a bit turned anywhere end as a fault, never as a panic or as records that look whole.

use std::io;
use std::path::Path;

use super::header::{Header, PAGE, Part};
use super::record::{Garbled, RECORD_SIZE, Record};
use super::{Attempt, LedgerError, shard_file};
use crate::clock::Offset;
use crate::pages::Pages;

#[derive(Debug)]
pub struct ShardFile {
    name: String,
    /// `None`: shorter than a header, or missing.
    map: Option<Pages>,
    header: Option<Header>,
    fault: Option<String>,
    issued_until: Offset,
}

/// The shards of a folder, in order. Their number is what the first readable header says.
pub fn read_all(folder: &Path) -> Result<Vec<ShardFile>, LedgerError> {
    if !folder.join(shard_file(0)).is_file() {
        return Err(LedgerError::Missing { folder: folder.to_owned() });
    }
    let first = ShardFile::read(folder, 0)?;
    let shards = match first.header {
        Some(header) => header.part.shards,
        None => (0..u16::MAX).take_while(|n| folder.join(shard_file(*n)).is_file()).count() as u16,
    };
    let rest = (1..shards).map(|n| ShardFile::read(folder, n));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// Everything that keeps these files from being evidence; nothing for a sealed ledger.
pub fn faults(files: &[ShardFile]) -> Vec<String> {
    let each = files.iter().filter_map(|f| Some(format!("{} {}", f.name, f.fault.as_deref()?)));
    let faults: Vec<String> = each.collect();
    match faults.is_empty() && !fit_together(files) {
        true => vec!["its files do not belong to one run".to_owned()],
        false => faults,
    }
}

/// Whether sealed files are the shards of one load: same run, same end, operations dealt out evenly.
fn fit_together(files: &[ShardFile]) -> bool {
    let headers: Vec<Header> = files.iter().filter_map(|f| f.header).collect();
    let seals: Vec<_> = headers.iter().filter_map(|h| h.seal).collect();
    let shards = files.len() as u64;
    let total: u64 = seals.iter().map(|s| s.count).sum();
    let dealt = |shard: usize| (total + shards - 1 - shard as u64) / shards;
    seals.len() == files.len()
        && headers.iter().all(|h| h.part.run == headers[0].part.run && u64::from(h.part.shards) == shards)
        && seals.iter().all(|s| s.issued_until == seals[0].issued_until)
        && seals.iter().enumerate().all(|(shard, s)| s.count == dealt(shard))
}

impl ShardFile {
    fn read(folder: &Path, shard: u16) -> Result<ShardFile, LedgerError> {
        let path = folder.join(shard_file(shard));
        let map = map(&path).map_err(|source| LedgerError::Read { path, source })?;
        let mut file =
            ShardFile { name: shard_file(shard), map, header: None, fault: None, issued_until: Offset::ZERO };
        file.fault = file.verify(shard).err();
        Ok(file)
    }

    /// The attempt in a slot, where one was begun and can be read.
    pub fn attempt(&self, slot: u64) -> Option<Attempt> {
        self.decode(slot).ok().flatten()
    }

    /// How many slots there are; some may be empty where the writer died.
    pub fn slots(&self) -> u64 {
        self.header.map_or(0, |_| self.records().len() as u64)
    }

    pub fn issued_until(&self) -> Offset {
        self.issued_until
    }

    fn verify(&mut self, shard: u16) -> Result<(), String> {
        let page = self.map.as_deref().and_then(|map| map.first_chunk::<PAGE>()).ok_or("is shorter than its header")?;
        let header = Header::decode(page).map_err(|why| format!("its header {why}"))?;
        if header.part.shard != shard {
            return Err(format!("holds shard {}", header.part.shard));
        }
        self.header = Some(header);
        let (begun, garbled, last_due) = self.survey();
        self.issued_until = header.seal.map_or(last_due, |seal| seal.issued_until);
        let Some(seal) = header.seal else {
            return Err(format!("was never sealed ({begun} attempts begun, {garbled} unreadable)"));
        };
        let bytes = self.map.as_deref().map_or(0, <[u8]>::len) as u64;
        if seal.count.checked_mul(RECORD_SIZE as u64).and_then(|b| b.checked_add(PAGE as u64)) != Some(bytes) {
            return Err(format!("was sealed with {} attempts and is {bytes} bytes long", seal.count));
        }
        let records_crc = self.map.as_ref().map(|map| map.crc32(PAGE));
        if records_crc != Some(seal.records_crc) || begun != seal.count {
            return Err("was changed after it was sealed".to_owned());
        }
        Ok(())
    }

    /// Attempts begun, slots that cannot be read, and the moment after the last begun one was due.
    fn survey(&self) -> (u64, u64, Offset) {
        let (mut begun, mut garbled, mut last_due) = (0, 0, Offset::ZERO);
        for slot in 0..self.slots() {
            match self.decode(slot) {
                Ok(None) => {}
                Ok(Some(attempt)) => {
                    begun += 1;
                    last_due = last_due.max(Offset(attempt.due.0.saturating_add(1)));
                }
                Err(Garbled) => garbled += 1,
            }
        }
        (begun, garbled, last_due)
    }

    fn decode(&self, slot: u64) -> Result<Option<Attempt>, Garbled> {
        let (Some(Header { part, .. }), Some(record)) = (self.header, self.records().get(slot as usize)) else {
            return Ok(None);
        };
        if let Some(map) = &self.map {
            map.passed_element(record);
        }
        record.decode(part.run, Part::op(part, slot))
    }

    /// Whole records only: a mapping begins on a page, so they are aligned.
    fn records(&self) -> &[Record] {
        let Some(bytes) = self.map.as_deref().and_then(|map| map.get(PAGE..)) else { return &[] };
        bytemuck::cast_slice(&bytes[..bytes.len() - bytes.len() % RECORD_SIZE])
    }
}

/// `None`: missing, or too short to be mapped and read.
fn map(path: &Path) -> io::Result<Option<Pages>> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        found => match found?.len() < PAGE as u64 {
            true => Ok(None),
            false => Pages::open(path),
        },
    }
}
