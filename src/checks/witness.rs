//! The witness: what database triggers and workers logged of every upsert, so that a hot key's older writes and
//! the order of all of them can be judged.
//!
//! In: the sightings, by (key, preset, seq, order). Out: whether a write was ever seen, and the counts of duplicates
//! and reorderings. The sightings of write-once keys are read in step with the ledger, or with the rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::Cursor;
use crate::plan::Plan;
use crate::readback::table::Table;
use crate::readback::{RowRecord, SightingKind, SightingRecord};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCounts {
    /// Writes seen more than once.
    pub duplicates: u64,
    /// An older seq attempted after a newer one, on one key and preset.
    pub reordered: u64,
    pub dropped_as_superseded: u64,
}

/// The sightings, findable by write.
pub(super) struct Witness<'a> {
    table: &'a Table<SightingRecord>,
    hot: Cursor<'a, SightingRecord>,
    once: Cursor<'a, SightingRecord>,
    first_once: u64,
}

impl<'a> Witness<'a> {
    pub fn of(plan: &Plan, table: &'a Table<SightingRecord>) -> Self {
        let first_once = plan.run.key(plan.load.hot_keys);
        let all = table.records();
        let (hot, once) = all.split_at(all.partition_point(|seen| seen.key < first_once));
        Witness { table, hot: Cursor::over(hot), once: Cursor::along(once, table.pages()), first_once }
    }

    /// Every sighting of one write, in order.
    pub fn of_write(&mut self, key: u64, preset: u8, seq: u64) -> &'a [SightingRecord] {
        let lane = if key < self.first_once { &mut self.hot } else { &mut self.once };
        lane.find((key, preset, seq), write)
    }

    /// A row that nobody was seen writing shows that the witness misses something.
    pub fn contradiction(&mut self, rows: &Table<RowRecord>) -> Option<String> {
        let mut attempted = |row: &RowRecord| self.of_write(row.key, row.preset, row.seq).iter().any(is_attempt);
        let unseen = rows.walk().filter(|row| !attempted(row)).count();
        (unseen > 0).then(|| format!("{unseen} rows have a seq that the witness never saw attempted"))
    }

    pub fn order(&self) -> OrderCounts {
        let mut counts = OrderCounts::default();
        for of_row in self.table.records().chunk_by(|a, b| (a.key, a.preset) == (b.key, b.preset)) {
            if let Some(pages) = self.table.pages() {
                pages.passed_element(&of_row[0]);
            }
            counts.duplicates +=
                of_row.chunk_by(|a, b| a.new_seq == b.new_seq).filter(|seen| seen.len() > 1).count() as u64;
            counts.reordered += reordered(of_row);
            counts.dropped_as_superseded += of_row.iter().filter(|seen| !is_attempt(seen)).count() as u64;
        }
        counts
    }
}

/// Whether an upsert of this write changed its row: there was none, or an older one.
pub(super) fn applied(sightings: &[SightingRecord]) -> bool {
    sightings.iter().any(|seen| is_attempt(seen) && seen.old_seq().is_none_or(|old| old < seen.new_seq))
}

/// Attempts that came after one of a newer seq, of the sightings of one row by seq: seen from the newest seq on, the
/// earliest attempt so far tells for each.
fn reordered(of_row: &[SightingRecord]) -> u64 {
    let (mut earliest_newer, mut count) = (u64::MAX, 0);
    for of_seq in of_row.chunk_by(|a, b| a.new_seq == b.new_seq).rev() {
        let attempts = || of_seq.iter().filter(|seen| is_attempt(seen));
        count += attempts().filter(|seen| seen.order > earliest_newer).count() as u64;
        earliest_newer = attempts().map(|seen| seen.order).fold(earliest_newer, u64::min);
    }
    count
}

fn is_attempt(sighting: &SightingRecord) -> bool {
    sighting.kind() == SightingKind::Attempted
}

fn write(sighting: &SightingRecord) -> (u64, u8, u64) {
    (sighting.key, sighting.preset, sighting.new_seq)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::checks::canned;
    use crate::readback::Sighting;

    const KEY: u64 = 7;

    fn seen(order: u64, old_seq: Option<u64>, new_seq: u64, kind: SightingKind) -> Sighting<'static> {
        Sighting { order, key: KEY, preset: 1, old_seq, new_seq, written_by: "worker-1.1", kind }
    }

    fn order(sightings: impl IntoIterator<Item = Sighting<'static>>) -> OrderCounts {
        Witness::of(&canned::healthy().plan, &Table::of_sightings(sightings)).order()
    }

    use SightingKind::{Attempted, Dropped};

    #[test]
    fn a_write_that_was_seen_twice_is_a_duplicate() {
        let sightings = [seen(1, None, 1, Attempted), seen(2, Some(1), 1, Attempted), seen(3, Some(1), 2, Attempted)];
        assert_eq!(order(sightings).duplicates, 1);
    }

    #[test]
    fn an_older_write_after_a_newer_one_is_reordered_and_a_dropped_one_is_not() {
        let sightings = [seen(1, None, 3, Attempted), seen(2, Some(3), 2, Attempted), seen(3, None, 1, Dropped)];
        assert_eq!(order(sightings), OrderCounts { duplicates: 0, reordered: 1, dropped_as_superseded: 1 });
    }

    #[test]
    fn a_write_that_lost_the_version_test_was_seen_and_not_applied() {
        let table = Table::of_sightings([seen(1, None, 3, Attempted), seen(2, Some(3), 2, Attempted)]);
        let mut witness = Witness::of(&canned::healthy().plan, &table);
        let (lost, won) = (witness.of_write(KEY, 1, 2), witness.of_write(KEY, 1, 3));
        assert!(lost.len() == 1 && !applied(lost) && applied(won));
        assert!(witness.of_write(KEY, 2, 3).is_empty());
    }

    proptest! {
        /// What one walk by seq counts is what the log in its own order shows.
        #[test]
        fn reordered_is_what_the_log_in_its_order_shows(log in prop::collection::vec((0u8..3, 0u64..6, any::<bool>()), 0..40)) {
            let (mut newest, mut expected, mut sightings) = (BTreeMap::new(), 0, Vec::new());
            for (at, (preset, seq, attempted)) in log.into_iter().enumerate() {
                let kind = if attempted { Attempted } else { Dropped };
                sightings.push(Sighting { preset, ..seen(at as u64, None, seq, kind) });
                let newest = newest.entry(preset).or_insert(0);
                expected += u64::from(attempted && seq < *newest);
                *newest = if attempted { seq.max(*newest) } else { *newest };
            }
            prop_assert_eq!(order(sightings).reordered, expected);
        }
    }
}
