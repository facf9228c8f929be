//! The witness: what database triggers and workers logged of every upsert, so that a hot key's older writes and
//! the order of all of them can be judged.
//!
//! In: the sightings. Out: whether a write was ever seen, and the counts of duplicates and reorderings.

use std::collections::BTreeMap;

use super::OrderCounts;
use crate::readback::{Row, Sighting, SightingKind};

/// The sightings, findable by write.
pub(super) struct Witness<'a> {
    /// By key, preset, seq, order.
    by_write: Vec<&'a Sighting>,
}

impl<'a> Witness<'a> {
    pub fn of(sightings: &'a [Sighting]) -> Self {
        let mut by_write: Vec<&Sighting> = sightings.iter().collect();
        by_write.sort_unstable_by_key(|s| (write(s), s.order));
        Witness { by_write }
    }

    /// Every sighting of one write, in order.
    pub fn of_write(&self, key: u64, preset: u8, seq: u64) -> &[&'a Sighting] {
        let sought = (key, preset, seq);
        let from = self.by_write.partition_point(|s| write(s) < sought);
        let to = from + self.by_write[from..].partition_point(|s| write(s) == sought);
        &self.by_write[from..to]
    }

    pub fn saw(&self, key: u64, preset: u8, seq: u64) -> bool {
        !self.of_write(key, preset, seq).is_empty()
    }

    /// Whether an upsert of this write changed its row: there was none, or an older one.
    pub fn saw_applied(&self, key: u64, preset: u8, seq: u64) -> bool {
        let changed = |s: &&Sighting| s.kind == SightingKind::Attempted && s.old_seq.is_none_or(|old| old < seq);
        self.of_write(key, preset, seq).iter().any(changed)
    }

    /// A row that nobody was seen writing shows that the witness misses something.
    pub fn contradiction(&self, rows: &[Row]) -> Option<String> {
        let attempted =
            |row: &Row| self.of_write(row.key, row.preset, row.seq).iter().any(|s| s.kind == SightingKind::Attempted);
        let unseen = rows.iter().filter(|row| !attempted(row)).count();
        (unseen > 0).then(|| format!("{unseen} rows have a seq that the witness never saw attempted"))
    }

    pub fn order(&self) -> OrderCounts {
        let repeated = self.by_write.chunk_by(|a, b| write(a) == write(b)).filter(|seen| seen.len() > 1);
        let dropped = self.by_write.iter().filter(|s| s.kind == SightingKind::Dropped);
        OrderCounts {
            duplicates: repeated.count() as u64,
            reordered: self.reordered(),
            dropped_as_superseded: dropped.count() as u64,
        }
    }

    fn reordered(&self) -> u64 {
        let mut attempts: Vec<&Sighting> = self.by_write.clone();
        attempts.retain(|s| s.kind == SightingKind::Attempted);
        attempts.sort_unstable_by_key(|s| s.order);
        let mut newest = BTreeMap::new();
        let older_than_newest = |s: &&&Sighting| {
            let newest = newest.entry((s.key, s.preset)).or_insert(0);
            *newest = s.new_seq.max(*newest);
            s.new_seq < *newest
        };
        attempts.iter().filter(older_than_newest).count() as u64
    }
}

fn write(sighting: &Sighting) -> (u64, u8, u64) {
    (sighting.key, sighting.preset, sighting.new_seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(order: u64, old_seq: Option<u64>, new_seq: u64, kind: SightingKind) -> Sighting {
        Sighting { order, key: 7, preset: 1, old_seq, new_seq, written_by: "worker-1.1".into(), kind }
    }

    use SightingKind::{Attempted, Dropped};

    #[test]
    fn a_write_that_was_seen_twice_is_a_duplicate() {
        let sightings = [seen(1, None, 1, Attempted), seen(2, Some(1), 1, Attempted), seen(3, Some(1), 2, Attempted)];
        assert_eq!(Witness::of(&sightings).order().duplicates, 1);
    }

    #[test]
    fn an_older_write_after_a_newer_one_is_reordered_and_a_dropped_one_is_not() {
        let sightings = [seen(1, None, 3, Attempted), seen(2, Some(3), 2, Attempted), seen(3, None, 1, Dropped)];
        let order = Witness::of(&sightings).order();
        assert_eq!(order, OrderCounts { duplicates: 0, reordered: 1, dropped_as_superseded: 1 });
    }

    #[test]
    fn a_write_that_lost_the_version_test_was_seen_and_not_applied() {
        let sightings = [seen(1, None, 3, Attempted), seen(2, Some(3), 2, Attempted)];
        let witness = Witness::of(&sightings);
        assert!(witness.saw(7, 1, 2) && !witness.saw_applied(7, 1, 2));
        assert!(witness.saw_applied(7, 1, 3));
        assert!(!witness.saw(7, 2, 3));
    }
}
