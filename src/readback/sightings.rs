//! What the witness saw: every upsert, as a trigger or the service in the same transaction logged it.
//!
//! In: every [`Sighting`], in any order. Out: a [`WitnessLog`], a table in the run's folder by (key, preset, new seq,
//! order): judging walks it in step with the rows and the ledger.
//!
//! # Why it is sorted here
//! A database has the log by its order, and sorts it by key only at length. Write-once keys rise with time, so for us
//! the log is nearly sorted.

use std::io;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::sorter::Sorter;
use super::table::{Names, Record, Table, TableWriter};

/// What a trigger, or the service in the same transaction, logged of one upsert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting<'a> {
    /// Rises with each attempted upsert.
    pub order: u64,
    pub key: u64,
    pub preset: u8,
    /// The row's seq before, where there was a row.
    pub old_seq: Option<u64>,
    pub new_seq: u64,
    pub written_by: &'a str,
    pub kind: SightingKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SightingKind {
    /// An upsert was attempted (it may have lost the version test).
    Attempted,
    /// A worker dropped it in a batch, for a newer one of the same key and preset.
    Dropped,
}

impl SightingKind {
    pub fn word(self) -> &'static str {
        match self {
            SightingKind::Attempted => "attempted",
            SightingKind::Dropped => "dropped",
        }
    }
}

/// In place of a seq, where there was no row.
const NO_SEQ: u64 = u64::MAX;
const DROPPED: u8 = 2;

/// A sighting as it is kept: 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct SightingRecord {
    pub key: u64,
    pub new_seq: u64,
    pub order: u64,
    old_seq: u64,
    written_by: u16,
    pub preset: u8,
    kind: u8,
    spare: [u8; 4],
}

const _: () = assert!(size_of::<SightingRecord>() == 40);

impl Record for SightingRecord {
    const MAGIC: [u8; 8] = *b"MXSEEN\0\0";
}

impl SightingRecord {
    fn of(sighting: &Sighting, names: &mut Names) -> Self {
        let Sighting { order, key, preset, old_seq, new_seq, written_by, kind } = *sighting;
        SightingRecord {
            key,
            new_seq,
            order,
            old_seq: old_seq.unwrap_or(NO_SEQ),
            written_by: names.place(written_by),
            preset,
            kind: if kind == SightingKind::Dropped { DROPPED } else { 1 },
            spare: [0; 4],
        }
    }

    pub fn old_seq(&self) -> Option<u64> {
        (self.old_seq != NO_SEQ).then_some(self.old_seq)
    }

    pub fn kind(&self) -> SightingKind {
        if self.kind == DROPPED { SightingKind::Dropped } else { SightingKind::Attempted }
    }

    fn place(&self) -> (u64, u8, u64, u64) {
        (self.key, self.preset, self.new_seq, self.order)
    }
}

/// The sightings of the run's key range, by (key, preset, new seq, order).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WitnessLog {
    /// A file of its own.
    #[serde(skip)]
    pub sightings: Table<SightingRecord>,
}

/// Takes sightings in any order.
pub struct SightingWriter {
    table: TableWriter<SightingRecord>,
    sorter: Sorter<SightingRecord, (u64, u8, u64, u64)>,
}

impl SightingWriter {
    /// Parts that wait to be merged lie in `folder`.
    pub fn begin(file: NamedTempFile, folder: &Path) -> io::Result<Self> {
        Ok(SightingWriter { table: TableWriter::begin(file)?, sorter: Sorter::new(folder, SightingRecord::place) })
    }

    pub fn sighting(&mut self, sighting: &Sighting) -> io::Result<()> {
        self.sorter.push(SightingRecord::of(sighting, &mut self.table.names))
    }

    pub fn finish(mut self) -> io::Result<NamedTempFile> {
        self.sorter.drain(|record| self.table.push(record))?;
        self.table.finish()
    }
}

impl Table<SightingRecord> {
    /// In memory, from sightings in any order.
    pub fn of_sightings<'a>(sightings: impl IntoIterator<Item = Sighting<'a>>) -> Self {
        let mut names = Names::default();
        let mut records: Vec<_> = sightings.into_iter().map(|seen| SightingRecord::of(&seen, &mut names)).collect();
        records.sort_by_key(SightingRecord::place);
        Table::in_memory(records, names)
    }

    pub fn sighting(&self, record: &SightingRecord) -> Sighting<'_> {
        let SightingRecord { key, new_seq, order, written_by, preset, .. } = *record;
        let (old_seq, kind) = (record.old_seq(), record.kind());
        Sighting { order, key, preset, old_seq, new_seq, written_by: self.name(written_by), kind }
    }
}
