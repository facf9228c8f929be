//! Which writes a database had at one moment: a set of (key, seq), small because keys that were written once stand in
//! long runs.

use serde::{Deserialize, Serialize};

/// Every key whose three rows are there, with the lowest seq of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Applied {
    /// Ascending by key, never overlapping.
    runs: Vec<Run>,
}

/// `count` keys from `first` on, all with this seq. In the archive: `[first, count, seq]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u64)", into = "(u64, u64, u64)")]
struct Run {
    first: u64,
    count: u64,
    seq: u64,
}

impl From<(u64, u64, u64)> for Run {
    fn from((first, count, seq): (u64, u64, u64)) -> Self {
        Run { first, count, seq }
    }
}

impl From<Run> for (u64, u64, u64) {
    fn from(Run { first, count, seq }: Run) -> Self {
        (first, count, seq)
    }
}

impl Applied {
    /// Adds a key above all those that are there.
    pub fn push(&mut self, key: u64, seq: u64) {
        match self.runs.last_mut() {
            Some(run) if run.first + run.count == key && run.seq == seq => run.count += 1,
            _ => self.runs.push(Run { first: key, count: 1, seq }),
        }
    }

    /// The lowest seq of the key's three rows; `None`: they are not all there.
    pub fn seq(&self, key: u64) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.first <= key);
        let run = self.runs[..after].last()?;
        (key - run.first < run.count).then_some(run.seq)
    }

    /// Whether this write of the key, or a newer one, is there.
    pub fn has(&self, key: u64, seq: u64) -> bool {
        self.seq(key).is_some_and(|there| there >= seq)
    }

    pub fn keys(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }
}

impl FromIterator<(u64, u64)> for Applied {
    /// From ascending keys.
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(keys: I) -> Self {
        let mut applied = Applied::default();
        keys.into_iter().for_each(|(key, seq)| applied.push(key, seq));
        applied
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_answers_as_a_map_does(map in prop::collection::btree_map(0u64..60, 1u64..3, 0..50), asked in 0u64..70) {
            let map: BTreeMap<u64, u64> = map;
            let applied: Applied = map.iter().map(|(key, seq)| (*key, *seq)).collect();
            prop_assert_eq!(applied.seq(asked), map.get(&asked).copied());
            prop_assert_eq!(applied.keys(), map.len() as u64);
            let json = serde_json::to_string(&applied).unwrap();
            prop_assert_eq!(serde_json::from_str::<Applied>(&json).unwrap(), applied);
        }
    }

    #[test]
    fn neighbours_with_one_seq_are_one_run() {
        let applied: Applied = (0..1000).map(|key| (key, 1)).collect();
        assert_eq!(serde_json::to_string(&applied).unwrap(), "[[0,1000,1]]");
    }
}
