//! The rows of a run: as the database gives them, and as they are kept.
//!
//! In: every [`Row`] of the key range, ascending by key, then preset. Out: a [`RowSet`], whose rows are a table in the
//! run's folder.

use std::io;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::table::{Names, Record, Table, TableWriter};

/// One row of `equipment_expectation_summary`. Money in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    pub key: u64,
    pub preset: u8,
    pub seq: u64,
    /// black cube, red cube, additional cube, starforce, total, in the order of
    /// [`content::COLUMNS`](crate::content::COLUMNS).
    pub costs: [i64; 5],
    pub written_by: &'a str,
}

/// A row as it is kept: 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RowRecord {
    pub key: u64,
    pub seq: u64,
    pub costs: [i64; 5],
    written_by: u16,
    pub preset: u8,
    spare: [u8; 5],
}

const _: () = assert!(size_of::<RowRecord>() == 64);

impl Record for RowRecord {
    const MAGIC: [u8; 8] = *b"MXROWS\0\0";
}

impl RowRecord {
    fn of(row: &Row, names: &mut Names) -> Self {
        let Row { key, preset, seq, costs, written_by } = *row;
        RowRecord { key, seq, costs, written_by: names.place(written_by), preset, spare: [0; 5] }
    }
}

/// The rows of the run's key range, ascending by key, then preset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RowSet {
    /// A file of its own.
    #[serde(skip)]
    pub rows: Table<RowRecord>,
    /// What `count(*)` said in the same transaction.
    pub counted: u64,
    /// The marker that mxctl committed on the primary after settling was visible to the reader.
    pub marker_seen: bool,
    /// The query that a person can run by hand: how many rows the write-once keys have.
    pub count_query: String,
    /// Where they were read, if from a server: its URL, without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// What gave them, with its version: `SQLite 3.46.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
}

impl TableWriter<RowRecord> {
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let record = RowRecord::of(row, &mut self.names);
        self.push(&record)
    }
}

impl Table<RowRecord> {
    /// In memory.
    pub fn of_rows<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Self {
        let mut names = Names::default();
        let records = rows.into_iter().map(|row| RowRecord::of(&row, &mut names)).collect();
        Table::in_memory(records, names)
    }

    pub fn row(&self, record: &RowRecord) -> Row<'_> {
        let RowRecord { key, seq, costs, written_by, preset, .. } = *record;
        Row { key, preset, seq, costs, written_by: self.name(written_by) }
    }
}
