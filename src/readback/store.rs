//! The final state on disk: `state/final.json`, and its two long tables beside it.
//!
//! In: a [`FinalState`], whose tables were written while they were read. Out: the same, read back from a run's folder;
//! a table that is missing, truncated or changed becomes a [`Source::Gap`] with its place, because judging can go on
//! without it and must know.

use super::table::{Record, Table, TableError};
use super::{FinalState, RowSet, Source, WitnessLog};
use crate::archive::{Archive, ArchiveError, Piece, Stored};

impl FinalState {
    /// `final.json` comes last: where it is, the tables are.
    pub fn store(&self, archive: &Archive) -> Result<(), ArchiveError> {
        archive.put_json(Piece::State, self)
    }

    pub fn load(archive: &Archive) -> Result<Stored<FinalState>, ArchiveError> {
        let mut state: FinalState = match archive.get_json(Piece::State)? {
            Stored::Whole(state) => state,
            Stored::Missing { why } => return Ok(Stored::Missing { why }),
        };
        if let Source::Read(set) = state.rows {
            state.rows = table(archive, Piece::Rows).map(|rows| RowSet { rows, ..set });
        }
        if let Source::Read(WitnessLog { .. }) = state.witness {
            state.witness = table(archive, Piece::Witness).map(|sightings| WitnessLog { sightings });
        }
        Ok(Stored::Whole(state))
    }
}

fn table<R: Record>(archive: &Archive, piece: Piece) -> Source<Table<R>> {
    match Table::open(&archive.place(piece)) {
        Ok(table) => Source::Read(table),
        Err(e) => Source::Gap { why: told(piece, &e) },
    }
}

fn told(piece: Piece, error: &TableError) -> String {
    format!("{}: {error}", piece.path())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::table::TableWriter;
    use super::super::{QueueState, Row, Sighting, SightingKind, SightingWriter};
    use super::*;
    use crate::backends::{SettleEnd, SettleOutcome};
    use crate::content;

    fn row(n: u64) -> Row<'static> {
        let (key, preset) = ((17 << 32) + n / 3, (n % 3 + 1) as u8);
        Row { key, preset, seq: 1, costs: content::costs(key, 1, preset), written_by: "worker-1.1" }
    }

    fn sighting(order: u64) -> Sighting<'static> {
        let kind = if order.is_multiple_of(2) { SightingKind::Attempted } else { SightingKind::Dropped };
        let old_seq = (order > 1).then_some(order);
        Sighting { order, key: 17 << 32, preset: 1, old_seq, new_seq: order + 1, written_by: "a,\"b\"\n", kind }
    }

    fn state(rows: u64) -> FinalState {
        let second = Duration::from_secs(1);
        FinalState {
            settle: SettleOutcome { end: SettleEnd::Quiet, drain: second, waited: second, probe_saw_something: true },
            rows: Source::Read(RowSet {
                rows: Table::of_rows((0..rows).map(row)),
                counted: rows,
                marker_seen: true,
                count_query: "select count(*)".into(),
                server: None,
                software: None,
            }),
            witness: Source::Read(WitnessLog { sightings: Table::of_sightings((0..rows).map(sighting)) }),
            queue: Source::Read(QueueState::default()),
            counters: Source::Absent { why: "no metrics".into() },
        }
    }

    /// Writes the tables as reading does, the witness's log backwards.
    fn store(archive: &Archive, rows: u64) {
        let mut table = TableWriter::begin(archive.aside(Piece::Rows).unwrap()).unwrap();
        (0..rows).for_each(|n| table.row(&row(n)).unwrap());
        archive.keep(Piece::Rows, table.finish().unwrap()).unwrap();
        let folder = archive.root().join("state");
        let mut table = SightingWriter::begin(archive.aside(Piece::Witness).unwrap(), &folder).unwrap();
        (0..rows).rev().for_each(|n| table.sighting(&sighting(n)).unwrap());
        archive.keep(Piece::Witness, table.finish().unwrap()).unwrap();
        state(rows).store(archive).unwrap();
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
            store(&archive, rows);
            assert_eq!(FinalState::load(&archive).unwrap(), Stored::Whole(state(rows)));
        }
    }

    #[test]
    fn a_table_that_is_gone_or_cut_is_a_gap_with_its_place_and_the_rest_is_read() {
        let (_reports, archive) = archive();
        store(&archive, 10);
        let whole = std::fs::read(archive.place(Piece::Rows)).unwrap();
        std::fs::write(archive.place(Piece::Rows), &whole[..whole.len() - 1]).unwrap();
        std::fs::remove_file(archive.place(Piece::Witness)).unwrap();
        let loaded = FinalState::load(&archive).unwrap().whole().unwrap();
        let why = "state/rows.table: truncated: its header speaks of 4750 bytes, and it has 4749";
        assert_eq!(loaded.rows.why_not(), Some(why));
        assert!(loaded.witness.why_not().unwrap().starts_with("state/witness.table: it is not there"));
        assert_eq!(loaded.queue, state(10).queue);
    }

    #[test]
    fn a_table_in_the_place_of_another_is_a_gap() {
        let (_reports, archive) = archive();
        store(&archive, 10);
        std::fs::copy(archive.place(Piece::Witness), archive.place(Piece::Rows)).unwrap();
        let loaded = FinalState::load(&archive).unwrap().whole().unwrap();
        assert!(loaded.rows.why_not().unwrap().contains("no such table"), "{:?}", loaded.rows);
    }
}
