//! Rows and attempts, each findable by key: what the database has, and what anybody asked it for.
//!
//! In: the sorted rows, and the ledger's write operations. Out: the rows of one key, and whether a (key, seq) was
//! ever attempted. Rows are read in step with the ledger, whose write-once keys rise: a lookup starts where the last
//! one ended, finds its way by doubling where the order is broken, and lets go of what it passed.

use std::collections::BTreeMap;

use crate::load::{Attempt, Outcome};
use crate::pages::Pages;
use crate::plan::{Plan, RunKey};
use crate::readback::RowRecord;
use crate::readback::table::Table;

/// A lookup over sorted things that remembers where it was.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a, T> {
    sorted: &'a [T],
    at: usize,
    /// Where the things lie, if what was passed is to leave the memory.
    pages: Option<&'a Pages>,
}

impl<'a, T> Cursor<'a, T> {
    /// For lookups that come back.
    pub fn over(sorted: &'a [T]) -> Self {
        Cursor { sorted, at: 0, pages: None }
    }

    /// For lookups in step: what was passed leaves these pages.
    pub fn along(sorted: &'a [T], pages: Option<&'a Pages>) -> Self {
        Cursor { sorted, at: 0, pages }
    }

    /// Everything with this key.
    pub fn find<K: Ord>(&mut self, sought: K, key: impl Fn(&T) -> K) -> &'a [T] {
        let behind = self.sorted.get(self.at).is_none_or(|here| key(here) > sought);
        self.at = self.first_from(if behind { 0 } else { self.at }, |t| key(t) < sought);
        let end = self.first_from(self.at, |t| key(t) == sought);
        if let (Some(pages), Some(here)) = (self.pages, self.sorted.get(self.at)) {
            pages.passed_element(here);
        }
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
    pub table: &'a Table<RowRecord>,
    hot: Cursor<'a, RowRecord>,
    once: Cursor<'a, RowRecord>,
    first_once: u64,
}

impl<'a> Rows<'a> {
    pub fn of(plan: &Plan, table: &'a Table<RowRecord>) -> Self {
        let first_once = plan.run.key(plan.load.hot_keys);
        let rows = table.records();
        let (hot, once) = rows.split_at(rows.partition_point(|row| row.key < first_once));
        Rows { table, hot: Cursor::over(hot), once: Cursor::along(once, table.pages()), first_once }
    }

    pub fn of_key(&mut self, key: u64) -> &'a [RowRecord] {
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
    /// Indices of the write-once keys that were attempted with seq 1.
    once: Runs,
    /// All else, by key: the seqs.
    others: BTreeMap<u64, Runs>,
}

impl Attempted {
    pub fn of(plan: &Plan, writes: impl Iterator<Item = Attempt>) -> Self {
        let mut attempted =
            Attempted { run: plan.run, hot_keys: plan.load.hot_keys, once: Runs::default(), others: BTreeMap::new() };
        for write in writes.filter(|write| write.outcome != Outcome::NotSent) {
            match attempted.once_index(write.key, write.seq.into()) {
                Some(index) => attempted.once.push(index),
                None => attempted.others.entry(write.key).or_default().push(write.seq),
            }
        }
        attempted.once.sort();
        attempted.others.values_mut().for_each(Runs::sort);
        attempted
    }

    fn once_index(&self, key: u64, seq: u64) -> Option<u32> {
        let index = u32::try_from(key.checked_sub(self.run.key(0))?).ok()?;
        (seq == 1 && index >= self.hot_keys).then_some(index)
    }

    pub fn contains(&self, key: u64, seq: u64) -> bool {
        match self.once_index(key, seq) {
            Some(index) => self.once.contains(index),
            None => {
                let seqs = self.others.get(&key);
                seqs.zip(u32::try_from(seq).ok()).is_some_and(|(seqs, seq)| seqs.contains(seq))
            }
        }
    }
}

/// A set of numbers that mostly rise by one: few runs, however many there are.
#[derive(Debug, Clone, Default)]
struct Runs(Vec<(u32, u32)>);

impl Runs {
    fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    /// Puts the runs in order, apart from each other; to be called before anything is looked up.
    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|later, earlier| {
            let touches = later.0 <= earlier.1;
            if touches {
                earlier.1 = earlier.1.max(later.1);
            }
            touches
        });
    }

    fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).is_some_and(|at| number <= self.0[at].1)
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

        #[test]
        fn runs_hold_what_was_pushed_in_whatever_order(numbers in prop::collection::vec(0u32..40, 0..60)) {
            let mut runs = Runs::default();
            numbers.iter().for_each(|number| runs.push(*number));
            runs.sort();
            for number in 0..45 {
                prop_assert_eq!(runs.contains(number), numbers.contains(&number));
            }
        }
    }

    #[test]
    fn numbers_that_rise_by_one_are_one_run() {
        let mut runs = Runs::default();
        (0..1_000_000).for_each(|number| runs.push(number));
        assert_eq!(runs.0.len(), 1);
    }

    #[test]
    fn an_operation_that_was_never_sent_was_never_attempted() {
        let canned = crate::checks::canned::healthy();
        let writes = super::super::operations::writes(&canned.evidence.ledger);
        let not_sent = writes.map(|write| Attempt { outcome: Outcome::NotSent, ..write });
        let attempted = Attempted::of(&canned.plan, not_sent);
        assert!(attempted.once.0.is_empty() && attempted.others.is_empty());
    }

    #[test]
    fn a_write_once_key_was_attempted_with_seq_one_only() {
        let canned = crate::checks::canned::healthy();
        let attempted = Attempted::of(&canned.plan, super::super::operations::writes(&canned.evidence.ledger));
        let (hot, once) = (canned.plan.run.key(0), canned.plan.run.key(canned.plan.load.hot_keys));
        assert!(attempted.contains(once, 1) && !attempted.contains(once, 2) && !attempted.contains(once, 0));
        assert!(attempted.contains(hot, 1) && attempted.contains(hot, 2) && !attempted.contains(hot, 1 << 33));
        assert!(!attempted.contains(1, 1), "a key of another run");
    }
}
