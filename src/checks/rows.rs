//! Rows and attempts, each findable by key: what the database has, and what anybody asked it for.
//!
//! In: the sorted rows, and the ledger's write operations. Out: the rows of one key, and whether a (key, seq) was
//! ever attempted. Both are read in step with the ledger, whose write-once keys rise: a lookup starts where the
//! last one ended, and finds its way by doubling where the order is broken.

use std::collections::BTreeMap;

use crate::load::{Attempt, Outcome};
use crate::plan::{Plan, RunKey};
use crate::readback::Row;

/// A lookup over sorted things that remembers where it was.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a, T> {
    sorted: &'a [T],
    at: usize,
}

impl<'a, T> Cursor<'a, T> {
    pub fn over(sorted: &'a [T]) -> Self {
        Cursor { sorted, at: 0 }
    }

    /// Everything with this key.
    pub fn find<K: Ord>(&mut self, sought: K, key: impl Fn(&T) -> K) -> &'a [T] {
        let behind = self.sorted.get(self.at).is_none_or(|here| key(here) > sought);
        self.at = self.first_from(if behind { 0 } else { self.at }, |t| key(t) < sought);
        let end = self.first_from(self.at, |t| key(t) == sought);
        &self.sorted[self.at..end]
    }

    /// The first index, not before `from`, at which `holds` is false; steps double, so that near ones cost little.
    fn first_from(&self, from: usize, holds: impl Fn(&T) -> bool) -> usize {
        let (mut low, mut step) = (from, 1);
        while self.sorted.get(low + step).is_some_and(&holds) {
            low += step;
            step *= 2;
        }
        let high = self.sorted.len().min(low + step);
        low + self.sorted[low..high].partition_point(holds)
    }
}

/// The database's rows; hot keys stand before the write-once keys.
pub(super) struct Rows<'a> {
    hot: Cursor<'a, Row>,
    once: Cursor<'a, Row>,
    first_once: u64,
}

impl<'a> Rows<'a> {
    pub fn of(plan: &Plan, rows: &'a [Row]) -> Self {
        let first_once = plan.run.key(plan.load.hot_keys);
        let (hot, once) = rows.split_at(rows.partition_point(|row| row.key < first_once));
        Rows { hot: Cursor::over(hot), once: Cursor::over(once), first_once }
    }

    pub fn of_key(&mut self, key: u64) -> &'a [Row] {
        let lane = if key < self.first_once { &mut self.hot } else { &mut self.once };
        lane.find(key, |row| row.key)
    }

    /// How many rows the write-once keys have.
    pub fn written_once(&self) -> u64 {
        self.once.sorted.len() as u64
    }
}

/// Every (key, seq) that was attempted: given to a connection, whatever became of it.
pub(super) struct Attempted {
    run: RunKey,
    hot_keys: u32,
    /// Indices of the write-once keys that were attempted with seq 1, ascending.
    once: Vec<u32>,
    /// All else, by key: the seqs, ascending.
    others: BTreeMap<u64, Vec<u32>>,
}

impl Attempted {
    pub fn of(plan: &Plan, writes: impl Iterator<Item = Attempt>) -> Self {
        let mut attempted =
            Attempted { run: plan.run, hot_keys: plan.load.hot_keys, once: Vec::new(), others: BTreeMap::new() };
        for write in writes.filter(|write| write.outcome != Outcome::NotSent) {
            match attempted.once_index(write.key, write.seq.into()) {
                Some(index) => attempted.once.push(index),
                None => attempted.others.entry(write.key).or_default().push(write.seq),
            }
        }
        attempted.once.sort_unstable();
        attempted.others.values_mut().for_each(|seqs| seqs.sort_unstable());
        attempted
    }

    fn once_index(&self, key: u64, seq: u64) -> Option<u32> {
        let index = u32::try_from(key.checked_sub(self.run.key(0))?).ok()?;
        (seq == 1 && index >= self.hot_keys).then_some(index)
    }

    /// A lookup that goes through the keys in rising order.
    pub fn lookup(&self) -> Lookup<'_> {
        Lookup { attempted: self, once: Cursor::over(&self.once) }
    }
}

pub(super) struct Lookup<'a> {
    attempted: &'a Attempted,
    once: Cursor<'a, u32>,
}

impl Lookup<'_> {
    pub fn contains(&mut self, key: u64, seq: u64) -> bool {
        match self.attempted.once_index(key, seq) {
            Some(index) => !self.once.find(index, |i| *i).is_empty(),
            None => {
                let seqs = self.attempted.others.get(&key);
                seqs.zip(u32::try_from(seq).ok()).is_some_and(|(seqs, seq)| seqs.binary_search(&seq).is_ok())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In whatever order one asks, the cursor finds what a plain search finds.
        #[test]
        fn a_cursor_finds_what_is_there(mut keys in prop::collection::vec(0u32..60, 0..80), asked in prop::collection::vec(0u32..60, 1..40)) {
            keys.sort_unstable();
            let mut cursor = Cursor::over(&keys);
            for key in asked {
                let expected = keys.iter().filter(|k| **k == key).count();
                prop_assert_eq!(cursor.find(key, |k| *k).len(), expected);
            }
        }
    }

    #[test]
    fn an_operation_that_was_never_sent_was_never_attempted() {
        let canned = crate::checks::canned::healthy();
        let writes = super::super::operations::writes(&canned.evidence.ledger);
        let not_sent = writes.map(|write| Attempt { outcome: Outcome::NotSent, ..write });
        let attempted = Attempted::of(&canned.plan, not_sent);
        assert!(attempted.once.is_empty() && attempted.others.is_empty());
    }

    #[test]
    fn a_write_once_key_was_attempted_with_seq_one_only() {
        let canned = crate::checks::canned::healthy();
        let attempted = Attempted::of(&canned.plan, super::super::operations::writes(&canned.evidence.ledger));
        let (hot, once) = (canned.plan.run.key(0), canned.plan.run.key(canned.plan.load.hot_keys));
        let mut lookup = attempted.lookup();
        assert!(lookup.contains(once, 1) && !lookup.contains(once, 2) && !lookup.contains(once, 0));
        assert!(lookup.contains(hot, 1) && lookup.contains(hot, 2) && !lookup.contains(hot, 1 << 33));
        assert!(!lookup.contains(1, 1), "a key of another run");
    }
}
