//! A batch before it is written: the newest task of each row, in the order in which every worker locks rows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::task::ExpectationWriteTask;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// One task a row, ascending by character, then preset: two workers that lock rows in one order cannot deadlock.
    pub rows: Vec<&'a ExpectationWriteTask>,
    /// Older than one in `rows`, or its repetition.
    pub dropped: Vec<&'a ExpectationWriteTask>,
}

impl<'a> Batch<'a> {
    pub fn of(tasks: &[&'a ExpectationWriteTask]) -> Self {
        let (mut newest, mut dropped) = (BTreeMap::new(), Vec::new());
        for &task in tasks {
            match newest.entry((task.key, task.preset)) {
                Entry::Vacant(vacant) => {
                    vacant.insert(task);
                }
                Entry::Occupied(mut kept) if task.seq > kept.get().seq => dropped.push(kept.insert(task)),
                Entry::Occupied(_) => dropped.push(task),
            }
        }
        Batch { rows: newest.into_values().collect(), dropped }
    }
}

/// Cuts `items` into runs whose lengths are powers of two, at most `longest` (itself one): however long a batch is, its
/// statements come in few lengths, and each length is prepared once.
pub fn in_powers_of_two<T>(mut items: &[T], longest: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let power = items.len().checked_ilog2()?;
        let (run, rest) = items.split_at(longest.min(1 << power));
        items = rest;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Costs, Money};

    fn task(key: i64, preset: u8, seq: u64) -> ExpectationWriteTask {
        let costs = Costs {
            total_expected_cost: Money(1),
            black_cube_cost: Money(2),
            red_cube_cost: Money(3),
            additional_cube_cost: Money(4),
            starforce_cost: Money(5),
        };
        ExpectationWriteTask { key, preset, seq, costs }
    }

    #[test]
    fn the_newest_of_a_row_stays_whatever_the_order_of_arrival() {
        let (old, new) = (task(1, 1, 4), task(1, 1, 5));
        for order in [[&old, &new], [&new, &old]] {
            assert_eq!(Batch::of(&order), Batch { rows: vec![&new], dropped: vec![&old] });
        }
    }

    #[test]
    fn rows_are_sorted_and_presets_are_rows_of_their_own() {
        let (a, b, c) = (task(2, 1, 1), task(1, 3, 1), task(1, 2, 1));
        assert_eq!(Batch::of(&[&a, &b, &c]), Batch { rows: vec![&c, &b, &a], dropped: vec![] });
    }

    #[test]
    fn runs_are_powers_of_two_and_lose_nothing() {
        let items: Vec<u32> = (0..300).collect();
        let runs: Vec<&[u32]> = in_powers_of_two(&items, 128).collect();
        assert_eq!(runs.iter().map(|run| run.len()).collect::<Vec<_>>(), [128, 128, 32, 8, 4]);
        assert_eq!(runs.concat(), items);
        assert_eq!(in_powers_of_two::<u32>(&[], 128).count(), 0);
    }
}
