//! The invariants, counted in distinct tasks, and the judge.
//!
//! In: the evidence that a script left. Out: each invariant that it violates, with one example. A violation that
//! another one explains is not told: a lost task is missing in every sum.

use std::collections::{BTreeMap, BTreeSet};

use testbed::task::ExpectationWriteTask;

use crate::lab::database::StoredRow;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Accepted ⇒ applied, superseded or dead-lettered.
    NothingIsLost,
    /// The final row is the highest accepted seq, with its content.
    TheNewestWins,
    /// No row, and no delivery, without an offer.
    NothingIsInvented,
    /// A receipt counts for the current delivery alone: a stale one changes nothing.
    StaleReceiptsAreHarmless,
    /// Accepted = applied + superseded + dead + pending, whenever it is asked.
    TheSumsAddUp,
    /// No task is tried more often than allowed, and none is given up earlier.
    AttemptsAreBounded,
    /// What a worker abandoned is delivered again within lease + scan.
    RecoveryIsBounded,
    /// The same script ends in the same rows and dead letters, whatever the strategy.
    ASwapIsConfigurationOnly,
}

use Invariant::{
    ASwapIsConfigurationOnly, NothingIsInvented, NothingIsLost, RecoveryIsBounded, TheNewestWins, TheSumsAddUp,
};

pub type Violations = BTreeMap<Invariant, String>;

/// One task by name: (key, preset, seq). Its content follows from that.
pub type TaskId = (i64, u8, u64);

pub fn id(task: &ExpectationWriteTask) -> TaskId {
    (task.key, task.preset, task.seq)
}

/// What was seen of one script, from its first offer to the empty buffer.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The first key of this script: keys below it belong to others.
    pub first: i64,
    pub accepted: BTreeMap<TaskId, ExpectationWriteTask>,
    pub rows: Vec<StoredRow>,
    pub dead: BTreeSet<TaskId>,
    /// Tasks that the buffer still counted when it gave out no more: ready, leased or delayed.
    pub pending: u64,
    /// What went wrong on the way, in order.
    pub observed: Vec<(Invariant, String)>,
}

/// What a script ends in, its keys counted from its first one: the same for every strategy.
pub type End = (Vec<(TaskId, [i64; 5])>, BTreeSet<TaskId>);

impl Evidence {
    pub fn end(&self) -> End {
        let row = |row: &StoredRow| ((row.key - self.first, row.preset, row.seq as u64), row.costs);
        let dead = |(key, preset, seq): &TaskId| (key - self.first, *preset, *seq);
        (self.rows.iter().map(row).collect(), self.dead.iter().map(dead).collect())
    }

    pub fn judge(&self) -> Violations {
        let mut violations = Violations::new();
        for (invariant, example) in self.observed.iter().cloned().chain(self.inventions()).chain(self.fates()) {
            violations.entry(invariant).or_insert(example);
        }
        if violations.len() > 1 {
            violations.remove(&TheSumsAddUp);
        }
        violations
    }

    /// As [`Evidence::judge`], and by comparison with what the same script ended in elsewhere.
    pub fn judge_against(&self, reference: &End) -> Violations {
        let mut violations = self.judge();
        if violations.is_empty() && self.end() != *reference {
            let example = format!("{:?} instead of {reference:?}", self.end());
            violations.insert(ASwapIsConfigurationOnly, example);
        }
        violations
    }

    fn inventions(&self) -> impl Iterator<Item = (Invariant, String)> {
        let known = |row: &&StoredRow| !self.accepted.contains_key(&(row.key, row.preset, row.seq as u64));
        self.rows.iter().filter(known).map(|row| (NothingIsInvented, format!("nobody offered the row {row:?}")))
    }

    fn fates(&self) -> impl Iterator<Item = (Invariant, String)> {
        let rows: BTreeMap<(i64, u8), &StoredRow> = self.rows.iter().map(|row| ((row.key, row.preset), row)).collect();
        let fate = move |task: &ExpectationWriteTask| {
            let row = rows.get(&(task.key, task.preset)).copied();
            self.violated_by(task, row).map(|invariant| (invariant, format!("{:?} found {row:?}", id(task))))
        };
        self.accepted.values().filter_map(fate)
    }

    fn violated_by(&self, task: &ExpectationWriteTask, row: Option<&StoredRow>) -> Option<Invariant> {
        match row {
            _ if self.dead.contains(&id(task)) => None,
            Some(row) if row.seq as u64 > task.seq => None,
            Some(row) if row.seq as u64 == task.seq => (row.costs != hundredths(task)).then_some(TheNewestWins),
            _ if self.pending > 0 => Some(RecoveryIsBounded),
            Some(_) => Some(TheNewestWins),
            None => Some(NothingIsLost),
        }
    }

    pub fn saw(&mut self, invariant: Invariant, example: String) {
        self.observed.push((invariant, example));
    }
}

fn hundredths(task: &ExpectationWriteTask) -> [i64; 5] {
    let costs = &task.costs;
    [
        costs.total_expected_cost,
        costs.black_cube_cost,
        costs.red_cube_cost,
        costs.additional_cube_cost,
        costs.starforce_cost,
    ]
    .map(|money| money.0)
}
