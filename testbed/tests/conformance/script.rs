//! A script: what callers and two workers do, step by step. One is canonical, the others are drawn at random.

use proptest::collection::vec;
use proptest::prelude::*;
use testbed::task::{Costs, ExpectationWriteTask, Money};

/// Of one script, counted from the first key of its own.
pub const KEYS: i64 = 100;

#[derive(Debug, Clone)]
pub enum Step {
    /// One request: the first so many presets of a key.
    Offer {
        key: i64,
        seq: u64,
        presets: u8,
    },
    Poll {
        worker: usize,
        max: usize,
    },
    /// Commits what the worker holds and has not committed.
    Apply {
        worker: usize,
    },
    /// Acknowledges what is committed, and gives back what the database refused.
    Settle {
        worker: usize,
    },
    /// Gives back what is not committed: the database is away.
    GiveBack {
        worker: usize,
        delayed: bool,
    },
    Extend {
        worker: usize,
    },
    /// The worker forgets what it holds, and goes on as another.
    Crash {
        worker: usize,
    },
    /// Until every lease that is held now is over.
    Expire,
    Redrive,
}

pub type Script = Vec<Step>;

use Step::{Apply, Crash, Expire, Extend, GiveBack, Offer, Poll, Redrive, Settle};

/// Keys whose tasks the database refuses.
const POISON: [i64; 2] = [8, 9];

/// The task of a name, in the keys from `first` on. Its content is a function of the name, five distinct amounts.
pub fn task(first: i64, key: i64, seq: u64, preset: u8) -> ExpectationWriteTask {
    let amount = |column: i64| Money(key * 1_000 + seq as i64 * 100 + i64::from(preset) * 10 + column);
    // In the middle of a request: its neighbours are good.
    let poison = POISON.contains(&key) && preset == 2;
    let costs = Costs {
        total_expected_cost: if poison { Money(-1) } else { amount(1) },
        black_cube_cost: amount(2),
        red_cube_cost: amount(3),
        additional_cube_cost: amount(4),
        starforce_cost: Money(9_999_999_999_999_900 + amount(5).0 % 100),
    };
    ExpectationWriteTask { key: first + key, preset, seq, costs }
}

/// Everything once, in an order in which each invariant has something to lose.
pub fn canonical() -> Script {
    let write_once = |key| Offer { key, seq: 1, presets: 3 };
    vec![
        // A worker that does all as it should.
        write_once(1),
        Poll { worker: 0, max: 3 },
        Apply { worker: 0 },
        Settle { worker: 0 },
        // One dies between poll and commit, another between commit and ack.
        write_once(2),
        Poll { worker: 0, max: 3 },
        Crash { worker: 0 },
        write_once(3),
        Poll { worker: 1, max: 3 },
        Apply { worker: 1 },
        Crash { worker: 1 },
        Expire,
        Redrive,
        Poll { worker: 0, max: 6 },
        Apply { worker: 0 },
        Settle { worker: 0 },
        // One freezes, and wakes after its lease was given away.
        write_once(4),
        Poll { worker: 0, max: 3 },
        Expire,
        Redrive,
        Poll { worker: 1, max: 3 },
        Apply { worker: 0 },
        Settle { worker: 0 },
        Extend { worker: 1 },
        Apply { worker: 1 },
        Settle { worker: 1 },
        // A hot key out of order, once in a batch and once across batches.
        Offer { key: 6, seq: 2, presets: 2 },
        Offer { key: 6, seq: 1, presets: 2 },
        Offer { key: 6, seq: 3, presets: 2 },
        Poll { worker: 0, max: 6 },
        Offer { key: 6, seq: 5, presets: 2 },
        Offer { key: 6, seq: 4, presets: 2 },
        Poll { worker: 1, max: 6 },
        Apply { worker: 1 },
        Apply { worker: 0 },
        Settle { worker: 0 },
        Settle { worker: 1 },
        // The database is away; then poison among good tasks.
        write_once(7),
        write_once(8),
        Poll { worker: 0, max: 2 },
        GiveBack { worker: 0, delayed: false },
        Poll { worker: 0, max: 4 },
        GiveBack { worker: 0, delayed: true },
        Poll { worker: 1, max: 6 },
        Apply { worker: 1 },
        Settle { worker: 1 },
    ]
}

/// Keys are few, so that they meet; a seq comes once on a key, in any order.
pub fn any_script() -> impl Strategy<Value = Script> {
    let worker = || 0..2_usize;
    let single = prop_oneof![
        6 => (0..10_i64, 1..=3_u8).prop_map(|(key, presets)| Offer { key, seq: 0, presets }),
        5 => (worker(), 1..8_usize).prop_map(|(worker, max)| Poll { worker, max }),
        5 => worker().prop_map(|worker| Apply { worker }),
        4 => worker().prop_map(|worker| Settle { worker }),
        2 => (worker(), any::<bool>()).prop_map(|(worker, delayed)| GiveBack { worker, delayed }),
        1 => worker().prop_map(|worker| Extend { worker }),
        2 => worker().prop_map(|worker| Crash { worker }),
        2 => Just(Redrive),
    ];
    // What one worker holds is given to the other, and both go on.
    let given_away = (worker(), 1..8_usize)
        .prop_map(|(worker, max)| vec![Poll { worker, max }, Expire, Redrive, Poll { worker: 1 - worker, max }]);
    let steps = vec(prop_oneof![20 => single.prop_map(|step| vec![step]), 1 => given_away], 20..60);
    let seqs = Just((1..=60_u64).collect::<Vec<_>>()).prop_shuffle();
    (steps, seqs).prop_map(|(steps, seqs)| with_seqs(steps.concat(), &seqs))
}

/// The n-th offer takes the n-th of the shuffled seqs.
fn with_seqs(mut steps: Script, seqs: &[u64]) -> Script {
    let offers = steps.iter_mut().filter_map(|step| if let Offer { seq, .. } = step { Some(seq) } else { None });
    offers.zip(seqs).for_each(|(seq, drawn)| *seq = *drawn);
    steps
}
