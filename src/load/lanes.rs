//! Lanes: which operation is the i-th one. A pure function of the plan, so that judging can derive it again.
//!
//! Write-once keys give set semantics: each is written by one operation, with seq 1. Hot keys give order: each has
//! one writer with rising seq, dispatched in due order. Poison is written once as well, to keys of its own, with
//! content that the database refuses. Reads are a lane of their own, outside the write classes. Requests to a URL of
//! somebody's own are another, and the only one of their load.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{LoadPlan, Mix, ReadKeys, RunKey};

use crate::content::mix;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Lane {
    WriteOnce = 1,
    HotKey = 2,
    Read = 3,
    Poison = 4,
    /// Any request to a URL of somebody's own: what it does to data nobody knows.
    Request = 5,
}

/// How many write-once keys are recent: those of about an eighth of a second at 800 operations a second, so that a
/// good part of them is still in the buffer (a flush waits for 200 ms).
const RECENT_KEYS: u32 = 100;

impl Lane {
    pub const ALL: [Lane; 5] = [Lane::WriteOnce, Lane::HotKey, Lane::Read, Lane::Poison, Lane::Request];

    pub fn word(self) -> &'static str {
        match self {
            Lane::WriteOnce => "write-once",
            Lane::HotKey => "hot-key",
            Lane::Read => "read",
            Lane::Poison => "poison",
            Lane::Request => "request",
        }
    }

    pub fn writes(self) -> bool {
        !matches!(self, Lane::Read | Lane::Request)
    }

    /// Whether its writes become rows, sooner or later: poison never does.
    pub fn makes_rows(self) -> bool {
        matches!(self, Lane::WriteOnce | Lane::HotKey)
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| *lane as u8 == byte)
    }
}

/// One request: a POST of one (key, seq) with three writes, or a GET of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub index: u64,
    pub lane: Lane,
    pub key: u64,
    /// From 1; 0 for a read.
    pub seq: u32,
}

/// The operations of a plan in due order: an endless iterator; the pacer says how many there are.
#[derive(Debug, Clone)]
pub struct Operations {
    run: RunKey,
    hot_keys: u32,
    read_keys: ReadKeys,
    /// One period of the mix: every period of operations holds each lane in its exact share, in a seeded order.
    period: Vec<Lane>,
    order: Vec<Lane>,
    next: u64,
    hot_written: u64,
    once_written: u32,
    poisoned: u32,
}

impl Operations {
    pub fn new(run: RunKey, load: &LoadPlan) -> Self {
        Operations {
            run,
            hot_keys: load.hot_keys,
            read_keys: load.read_keys,
            period: period(load.mix),
            order: Vec::new(),
            next: 0,
            hot_written: 0,
            once_written: 0,
            poisoned: 0,
        }
    }

    fn lane(&mut self) -> Lane {
        let at = (self.next % self.period.len() as u64) as usize;
        if at == 0 {
            self.order.clone_from(&self.period);
            shuffle(&mut self.order, mix(self.run.seed ^ mix(self.next)));
        }
        self.order[at]
    }

    /// A read asks for a key that was written before it, or, at the very start, for one that will be.
    fn key_to_read(&self) -> u64 {
        let hot = self.hot_keys.min(self.hot_written.try_into().unwrap_or(u32::MAX));
        // The write-once keys that it may ask for, then the hot ones.
        let (once, hot) = match self.read_keys {
            ReadKeys::All => (0..self.once_written, hot),
            ReadKeys::Recent => (self.once_written.saturating_sub(RECENT_KEYS)..self.once_written, 0),
            ReadKeys::Hot => (0..0, hot),
        };
        let written = once.len() as u32 + hot;
        let pick = (mix(self.run.seed ^ mix(self.next ^ 0x7265_6164)) % u64::from(written.max(1))) as u32;
        match pick.checked_sub(once.len() as u32) {
            None => self.run.key(self.hot_keys + once.start + pick),
            Some(hot) => self.run.key(hot),
        }
    }
}

impl Iterator for Operations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        let lane = self.lane();
        let (key, seq) = match lane {
            Lane::WriteOnce => {
                let key = self.run.key(self.hot_keys + self.once_written);
                self.once_written += 1;
                (key, 1)
            }
            Lane::HotKey => {
                let n = self.hot_written;
                self.hot_written += 1;
                let hot = u64::from(self.hot_keys);
                (self.run.key((n % hot) as u32), (n / hot) as u32 + 1)
            }
            Lane::Read => (self.key_to_read(), 0),
            Lane::Request => (self.run.key(0), 0),
            Lane::Poison => {
                let key = self.run.first_poison() + u64::from(self.poisoned);
                self.poisoned += 1;
                (key, 1)
            }
        };
        let index = self.next;
        self.next += 1;
        Some(Operation { index, lane, key, seq })
    }
}

/// The shortest sequence that holds every lane in its share.
fn period(mix: Mix) -> Vec<Lane> {
    let weights = [
        (Lane::WriteOnce, mix.write_once),
        (Lane::HotKey, mix.hot_key),
        (Lane::Read, mix.read),
        (Lane::Poison, mix.poison),
        (Lane::Request, mix.request),
    ];
    let divisor = weights.iter().fold(0, |d, (_, w)| gcd(d, *w)).max(1);
    weights.iter().flat_map(|(lane, w)| std::iter::repeat_n(*lane, usize::from(w / divisor))).collect()
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Fisher and Yates, with a seed.
fn shuffle(lanes: &mut [Lane], seed: u64) {
    for i in (1..lanes.len()).rev() {
        lanes.swap(i, (mix(seed ^ i as u64) % (i as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const HOT_KEYS: u32 = 3;

    fn operations(number: u32, seed: u64, mix: Mix) -> Operations {
        Operations::new(RunKey { number, seed }, &crate::load::test_plan::with_mix(mix, HOT_KEYS))
    }

    fn mixes() -> impl Strategy<Value = Mix> {
        (0u16..=9, 0u16..=9, 0u16..=2).prop_map(|(hot, read, poison)| {
            let (hot_key, read, poison) = (hot * 50, read * 50, poison * 50);
            Mix { write_once: 1000 - hot_key - read - poison, hot_key, read, poison, request: 0 }
        })
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_operations(number in 1u32..1000, seed: u64, mix in mixes()) {
            let twice = [(); 2].map(|()| operations(number, seed, mix).take(500).collect::<Vec<_>>());
            prop_assert_eq!(&twice[0], &twice[1]);
            prop_assert!(twice[0].iter().enumerate().all(|(i, op)| op.index == i as u64));
        }

        #[test]
        fn every_period_holds_each_lane_in_its_exact_share(seed: u64, mix in mixes()) {
            let length = period(mix).len();
            let operations: Vec<_> = operations(1, seed, mix).take(length * 5).collect();
            for period in operations.chunks(length) {
                let share = |lane| period.iter().filter(|op| op.lane == lane).count() * 1000 / length;
                prop_assert_eq!(share(Lane::WriteOnce), usize::from(mix.write_once));
                prop_assert_eq!(share(Lane::HotKey), usize::from(mix.hot_key));
                prop_assert_eq!(share(Lane::Read), usize::from(mix.read));
                prop_assert_eq!(share(Lane::Poison), usize::from(mix.poison));
            }
        }

        #[test]
        fn write_once_keys_ascend_and_hot_seqs_rise_by_one(number in 1u32..1000, seed: u64, mix in mixes()) {
            let operations: Vec<_> = operations(number, seed, mix).take(500).collect();
            let once: Vec<_> = operations.iter().filter(|op| op.lane == Lane::WriteOnce).collect();
            prop_assert!(once.iter().all(|op| op.seq == 1 && op.key >> 32 == u64::from(number)));
            prop_assert!(once.windows(2).all(|pair| pair[0].key < pair[1].key));
            let mut last = BTreeMap::new();
            for op in operations.iter().filter(|op| op.lane == Lane::HotKey) {
                let before = last.insert(op.key, op.seq).unwrap_or(0);
                prop_assert_eq!(op.seq, before + 1);
                prop_assert!((op.key & u64::from(u32::MAX)) < u64::from(HOT_KEYS));
            }
        }

        #[test]
        fn a_read_asks_for_a_key_that_was_due_before_it(seed: u64, mix in mixes()) {
            let mut written = BTreeSet::new();
            for op in operations(1, seed, mix).take(500) {
                match op.lane {
                    Lane::Read => prop_assert!(written.is_empty() || written.contains(&op.key)),
                    Lane::Poison | Lane::Request => {}
                    Lane::WriteOnce | Lane::HotKey => _ = written.insert(op.key),
                }
            }
        }
    }

    fn reading(read_keys: ReadKeys) -> Vec<Operation> {
        let mix = Mix { write_once: 500, hot_key: 200, read: 300, poison: 0, request: 0 };
        let load = crate::plan::LoadPlan { read_keys, ..crate::load::test_plan::with_mix(mix, HOT_KEYS) };
        Operations::new(RunKey { number: 1, seed: 9 }, &load).take(2000).collect()
    }

    #[test]
    fn reads_of_hot_keys_ask_for_nothing_else() {
        let operations = reading(ReadKeys::Hot);
        let hot = RunKey { number: 1, seed: 9 }.key(HOT_KEYS);
        assert!(operations.iter().filter(|op| op.lane == Lane::Read).all(|op| op.key < hot));
    }

    #[test]
    fn reads_of_recent_keys_ask_for_one_of_the_last() {
        let mut once = Vec::new();
        let operations = reading(ReadKeys::Recent);
        let mut asked = 0;
        for op in operations {
            match op.lane {
                Lane::WriteOnce => once.push(op.key),
                Lane::Read if !once.is_empty() => {
                    assert!(once.iter().rev().take(RECENT_KEYS as usize).any(|key| *key == op.key));
                    asked += 1;
                }
                _ => {}
            }
        }
        assert!(asked > 500);
    }

    #[test]
    fn poison_is_written_once_to_keys_that_no_other_lane_has() {
        let mix = Mix { write_once: 500, hot_key: 200, read: 200, poison: 100, request: 0 };
        let (first, mut keys) = (RunKey { number: 3, seed: 1 }.first_poison(), BTreeSet::new());
        for op in operations(3, 1, mix).take(1000) {
            assert_eq!(op.lane == Lane::Poison, op.key >= first);
            if op.lane == Lane::Poison {
                assert!(op.seq == 1 && keys.insert(op.key));
            }
        }
        assert_eq!(keys.len(), 100);
    }

    #[test]
    fn another_seed_gives_another_order() {
        let mix = Mix { write_once: 800, hot_key: 150, read: 50, poison: 0, request: 0 };
        let lanes = |seed| operations(1, seed, mix).take(100).map(|op| op.lane).collect::<Vec<_>>();
        assert_ne!(lanes(1), lanes(2));
    }
}
