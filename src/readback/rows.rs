//! The final state on disk: `state/final.json`, with its two long tables beside it as CSV.
//!
//! In: a [`FinalState`]. Out: the same, read back from a run's folder; a table that is missing, truncated or changed
//! becomes a [`Source::Gap`] with its place, because judging can go on without it and must know.
//!
//! # Why CSV with a last line
//! A person can search it with `grep`, and 150,000 rows load in a tenth of a second. The last line holds the count
//! and a CRC-32 of all bytes before it: a file that was cut or edited cannot pass for a whole one.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FinalState, RowSet, Source};
use crate::archive::{Archive, ArchiveError, Piece, Stored};
use crate::content::COLUMNS;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    #[error("truncated: the last line does not hold the count and checksum of the lines before it")]
    Truncated,
    #[error("changed after it was written: its checksum is {found:08x}, its last line says {written:08x}")]
    Changed { found: u32, written: u32 },
    #[error("line {line}: {why}")]
    Line { line: u64, why: String },
    #[error("{found} lines, its last line says {written}")]
    Count { found: u64, written: u64 },
}

impl FinalState {
    /// `final.json` comes last: where it is, the tables are.
    pub fn store(&self, archive: &Archive) -> Result<(), ArchiveError> {
        if let Source::Read(set) = &self.rows {
            archive.put_bytes(Piece::Rows, &encode(&row_header(), &set.rows))?;
        }
        if let Source::Read(sightings) = &self.witness {
            archive.put_bytes(Piece::Witness, &encode(&SIGHTING_HEADER, sightings))?;
        }
        archive.put_json(Piece::State, &self.without_tables())
    }

    pub fn load(archive: &Archive) -> Result<Stored<FinalState>, ArchiveError> {
        let mut state: FinalState = match archive.get_json(Piece::State)? {
            Stored::Whole(state) => state,
            Stored::Missing { why } => return Ok(Stored::Missing { why }),
        };
        if let Source::Read(set) = state.rows {
            state.rows = match table(archive, Piece::Rows, &row_header())? {
                Source::Read(rows) => Source::Read(RowSet { rows, ..set }),
                Source::Gap { why } | Source::Absent { why } => Source::Gap { why },
            };
        }
        if let Source::Read(_) = state.witness {
            state.witness = table(archive, Piece::Witness, &SIGHTING_HEADER)?;
        }
        Ok(Stored::Whole(state))
    }

    fn without_tables(&self) -> FinalState {
        FinalState {
            settle: self.settle.clone(),
            rows: map(&self.rows, |set| RowSet { rows: Vec::new(), count_query: set.count_query.clone(), ..*set }),
            witness: map(&self.witness, |_| Vec::new()),
            queue: self.queue.clone(),
            counters: self.counters.clone(),
        }
    }
}

fn map<T, U>(source: &Source<T>, f: impl FnOnce(&T) -> U) -> Source<U> {
    match source {
        Source::Read(t) => Source::Read(f(t)),
        Source::Gap { why } => Source::Gap { why: why.clone() },
        Source::Absent { why } => Source::Absent { why: why.clone() },
    }
}

const SIGHTING_HEADER: [&str; 7] = ["order", "key", "preset", "old_seq", "new_seq", "written_by", "kind"];

/// The fields of a `Row`, its costs one column each.
fn row_header() -> Vec<&'static str> {
    [&["key", "preset", "seq"], &COLUMNS[..], &["written_by"]].concat()
}

fn table<T: DeserializeOwned>(
    archive: &Archive,
    piece: Piece,
    header: &[&str],
) -> Result<Source<Vec<T>>, ArchiveError> {
    Ok(match archive.get_bytes(piece)? {
        Stored::Missing { why } => Source::Gap { why },
        Stored::Whole(bytes) => match decode(header, &bytes) {
            Ok(items) => Source::Read(items),
            Err(e) => Source::Gap { why: format!("{}: {e}", piece.path()) },
        },
    })
}

/// A header line, one line an item, and the last line: `# 150000 lines, crc32 89abcdef`.
pub fn encode<T: Serialize>(header: &[&str], items: &[T]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(header).expect("a vector takes every write");
    for item in items {
        writer.serialize(item).expect("rows and sightings are flat");
    }
    let mut text = writer.into_inner().expect("a vector takes every write");
    let last = format!("# {} lines, crc32 {:08x}\n", items.len(), crc32fast::hash(&text));
    text.extend_from_slice(last.as_bytes());
    text
}

pub fn decode<T: DeserializeOwned>(header: &[&str], bytes: &[u8]) -> Result<Vec<T>, TableError> {
    let (lines, count, written) = split_last_line(bytes).ok_or(TableError::Truncated)?;
    let found = crc32fast::hash(lines);
    if found != written {
        return Err(TableError::Changed { found, written });
    }
    let items = parse(header, lines)?;
    match items.len() as u64 {
        n if n == count => Ok(items),
        n => Err(TableError::Count { found: n, written: count }),
    }
}

/// The lines before the last, and the count and checksum that the last line states.
fn split_last_line(bytes: &[u8]) -> Option<(&[u8], u64, u32)> {
    let end = bytes.strip_suffix(b"\n")?;
    let start = end.iter().rposition(|b| *b == b'\n')? + 1;
    let last = std::str::from_utf8(&end[start..]).ok()?;
    let (count, crc) = last.strip_prefix("# ")?.split_once(" lines, crc32 ")?;
    let crc = u32::from_str_radix(crc, 16).ok().filter(|_| crc.len() == 8)?;
    Some((&bytes[..start], count.parse().ok()?, crc))
}

fn parse<T: DeserializeOwned>(header: &[&str], lines: &[u8]) -> Result<Vec<T>, TableError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines);
    let mut record = csv::ByteRecord::new();
    let mut items = Vec::new();
    let mut first = true;
    while read(&mut reader, &mut record)? {
        if !std::mem::take(&mut first) {
            items.push(record.deserialize(None).map_err(|e| line(&record, &e))?);
        } else if record.iter().ne(header.iter().map(|name| name.as_bytes())) {
            return Err(TableError::Line { line: 1, why: format!("the columns are not {}", header.join(",")) });
        }
    }
    Ok(items)
}

fn read(reader: &mut csv::Reader<&[u8]>, record: &mut csv::ByteRecord) -> Result<bool, TableError> {
    reader.read_byte_record(record).map_err(|e| line(record, &e))
}

fn line(record: &csv::ByteRecord, error: &csv::Error) -> TableError {
    let line = error.position().or(record.position()).map_or(0, csv::Position::line);
    let mut why = String::new();
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => write!(why, "{err}"),
        _ => write!(why, "{error}"),
    }
    .expect("a string takes every write");
    TableError::Line { line, why }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{QueueState, Row, Sighting, SightingKind};
    use super::*;
    use crate::backends::{SettleEnd, SettleOutcome};
    use crate::content;

    fn row(n: u64) -> Row {
        let (key, preset) = ((17 << 32) + n / 3, (n % 3 + 1) as u8);
        Row { key, preset, seq: 1, costs: content::costs(key, 1, preset), written_by: "worker-1.1".into() }
    }

    fn sighting(order: u64) -> Sighting {
        let kind = if order.is_multiple_of(2) { SightingKind::Attempted } else { SightingKind::Dropped };
        let old_seq = (order > 1).then_some(order);
        Sighting { order, key: 17 << 32, preset: 1, old_seq, new_seq: order + 1, written_by: "a,\"b\"\n".into(), kind }
    }

    fn state(rows: u64) -> FinalState {
        let second = Duration::from_secs(1);
        FinalState {
            settle: SettleOutcome { end: SettleEnd::Quiet, drain: second, waited: second, probe_saw_something: true },
            rows: Source::Read(RowSet {
                rows: (0..rows).map(row).collect(),
                counted: rows,
                marker_seen: true,
                count_query: "select count(*)".into(),
            }),
            witness: Source::Read((0..rows).map(sighting).collect()),
            queue: Source::Read(QueueState::default()),
            counters: Source::Absent { why: "no metrics".into() },
        }
    }

    fn archive() -> (tempfile::TempDir, Archive) {
        let reports = tempfile::tempdir().unwrap();
        let archive = Archive::create(reports.path(), "rows", 17, jiff::Timestamp::UNIX_EPOCH).unwrap();
        (reports, archive)
    }

    #[test]
    fn a_final_state_comes_back_as_it_was_stored() {
        let (_reports, archive) = archive();
        assert!(matches!(FinalState::load(&archive).unwrap(), Stored::Missing { .. }));
        for rows in [0, 1, 1000] {
            state(rows).store(&archive).unwrap();
            assert_eq!(FinalState::load(&archive).unwrap(), Stored::Whole(state(rows)));
        }
    }

    #[test]
    fn a_table_that_is_gone_or_cut_is_a_gap_with_its_place_and_the_rest_is_read() {
        let (_reports, archive) = archive();
        state(10).store(&archive).unwrap();
        let whole = std::fs::read(archive.place(Piece::Rows)).unwrap();
        std::fs::write(archive.place(Piece::Rows), &whole[..whole.len() - 1]).unwrap();
        std::fs::remove_file(archive.place(Piece::Witness)).unwrap();
        let loaded = FinalState::load(&archive).unwrap().whole().unwrap();
        let why =
            "state/rows.csv: truncated: the last line does not hold the count and checksum of the lines before it";
        assert_eq!(loaded.rows.why_not(), Some(why));
        assert!(loaded.witness.why_not().unwrap().starts_with("state/witness.csv is not there"));
        assert_eq!(loaded.queue, state(10).queue);
    }

    #[test]
    fn no_cut_and_no_changed_byte_passes_for_a_whole_table() {
        let rows: Vec<Row> = (0..7).map(row).collect();
        let whole = encode(&row_header(), &rows);
        assert_eq!(decode(&row_header(), &whole), Ok(rows));
        for at in 0..whole.len() {
            assert!(decode::<Row>(&row_header(), &whole[..at]).is_err(), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(decode::<Row>(&row_header(), &changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        let wrong = encode(&row_header(), &[(1, 2, 3, 4, 5, 6, 7, "eight", "w")]);
        let error = decode::<Row>(&row_header(), &wrong).unwrap_err();
        assert!(matches!(&error, TableError::Line { line: 2, .. }), "{error}");
        let other = encode(&["key"], &[(1,)]);
        assert!(matches!(decode::<Row>(&row_header(), &other), Err(TableError::Line { line: 1, .. })));
    }
}
