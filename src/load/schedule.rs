//! One shard's operations, and when each is due. Shard s of n has the operations with `index % n == s`.

use std::iter::{Peekable, Skip, StepBy};
use std::time::Duration;

use super::lanes::{Operation, Operations};
use super::pacer::{Pacer, Timetable};
use crate::clock::Offset;
use crate::plan::{LoadPlan, RunKey};

type Own = Peekable<StepBy<Skip<Operations>>>;

pub enum Schedule {
    /// Whatever the target does.
    Open { pacer: Timetable, operations: Own },
    /// One when another has ended: due when it is sent, so that what a stall keeps from being sent is never due.
    Closed { operations: Own, at_once: u64 },
}

impl Schedule {
    pub fn new(load: &LoadPlan, run: RunKey, shard: u16, shards: u16) -> Self {
        let operations = Operations::new(run, load).skip(shard.into()).step_by(shards.into()).peekable();
        match load.closed {
            None => Schedule::Open { pacer: Timetable::of(load), operations },
            Some(at_once) => {
                let (at_once, shards) = (u64::from(at_once), u64::from(shards));
                let at_once = at_once / shards + u64::from(u64::from(shard) < at_once % shards);
                Schedule::Closed { operations, at_once }
            }
        }
    }

    /// When the next operation is due, as far as time decides that.
    pub fn next_due(&mut self) -> Offset {
        match self {
            Schedule::Open { pacer, operations } => {
                operations.peek().map_or(Offset(u64::MAX), |op| pacer.due(op.index))
            }
            Schedule::Closed { .. } => Offset(u64::MAX),
        }
    }

    /// Takes the next operation if it is due before `until`; `open` operations have not ended.
    pub fn due_before(&mut self, until: Offset, open: u64) -> Option<(Operation, Offset)> {
        let due = self.next_due();
        match self {
            Schedule::Open { operations, .. } => (due < until).then(|| operations.next().map(|op| (op, due))).flatten(),
            Schedule::Closed { operations, at_once } => {
                let due = until.minus(Duration::from_nanos(1));
                (open < *at_once).then(|| operations.next().map(|op| (op, due))).flatten()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::test_plan;

    const RUN: RunKey = RunKey { number: 7, seed: 1 };

    #[test]
    fn shards_partition_the_operations_of_the_plan() {
        let load = test_plan::load(1000.0, Duration::from_secs(1));
        let end = Offset::from_duration(load.duration());
        let of_shard = |shard| {
            let mut schedule = Schedule::new(&load, RUN, shard, 3);
            std::iter::from_fn(move || schedule.due_before(end, 0))
        };
        let mut issued: Vec<_> = (0..3).flat_map(of_shard).collect();
        issued.sort_by_key(|(op, _)| op.index);
        let all: Vec<_> = Operations::new(RUN, &load).take(1000).collect();
        assert_eq!(issued.iter().map(|(op, _)| *op).collect::<Vec<_>>(), all);
        assert!(issued.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    #[test]
    fn in_a_closed_loop_one_is_due_when_another_has_ended() {
        let load = LoadPlan { closed: Some(5), ..test_plan::load(1.0, Duration::from_secs(1)) };
        let at_once = |shard| {
            let mut schedule = Schedule::new(&load, RUN, shard, 2);
            (0..10).take_while(|open| schedule.due_before(Offset(1000), *open).is_some()).count()
        };
        assert_eq!([at_once(0), at_once(1)], [3, 2]);
    }
}
