//! One shard's operations, and when each is due. Shard s of n has the operations with `index % n == s`.

use std::iter::{Peekable, Skip, StepBy};

use super::lanes::{Operation, Operations};
use super::pacer::{Pacer, Stages};
use crate::clock::Offset;
use crate::plan::{LoadPlan, RunKey};

pub struct Schedule {
    pacer: Stages,
    operations: Peekable<StepBy<Skip<Operations>>>,
}

impl Schedule {
    pub fn new(load: &LoadPlan, run: RunKey, shard: u16, shards: u16) -> Self {
        let own = Operations::new(run, load).skip(shard.into()).step_by(shards.into());
        Schedule { pacer: Stages::of(&load.shape), operations: own.peekable() }
    }

    /// When the next operation is due.
    pub fn next_due(&mut self) -> Offset {
        self.operations.peek().map_or(Offset(u64::MAX), |op| self.pacer.due(op.index))
    }

    /// Takes the next operation if it is due before `until`.
    pub fn due_before(&mut self, until: Offset) -> Option<(Operation, Offset)> {
        let due = self.next_due();
        (due < until).then(|| self.operations.next().map(|op| (op, due))).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::test_plan;
    use std::time::Duration;

    #[test]
    fn shards_partition_the_operations_of_the_plan() {
        let run = RunKey { number: 7, seed: 1 };
        let load = test_plan::load(1000.0, Duration::from_secs(1));
        let end = Offset::from_duration(load.duration());
        let of_shard = |shard| {
            let mut schedule = Schedule::new(&load, run, shard, 3);
            std::iter::from_fn(move || schedule.due_before(end))
        };
        let mut issued: Vec<_> = (0..3).flat_map(of_shard).collect();
        issued.sort_by_key(|(op, _)| op.index);
        let all: Vec<_> = Operations::new(run, &load).take(1000).collect();
        assert_eq!(issued.iter().map(|(op, _)| *op).collect::<Vec<_>>(), all);
        assert!(issued.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
