//! One shard's operations, and when each is due. Shard s of n has the operations with `index % n == s`.

use std::iter::{Peekable, Skip, StepBy};
use std::time::Duration;

use super::backoff::Backoff;
use super::lanes::{Operation, Operations};
use super::pacer::{Pacer, Timetable};
use crate::clock::Offset;
use crate::plan::{LoadPlan, RunKey};

type Own = Peekable<StepBy<Skip<Operations>>>;

pub enum Schedule {
    /// Whatever the target does.
    Open { pacer: Timetable, operations: Own },
    /// One when another has ended: due when it is sent, so that what a stall keeps from being sent is never due.
    Closed { operations: Own, at_once: u64, backoff: Backoff },
}

impl Schedule {
    pub fn new(load: &LoadPlan, run: RunKey, shard: u16, shards: u16) -> Self {
        let operations = Operations::new(run, load).skip(shard.into()).step_by(shards.into()).peekable();
        match load.closed {
            None => Schedule::Open { pacer: Timetable::of(load), operations },
            Some(at_once) => {
                let (at_once, shards) = (u64::from(at_once), u64::from(shards));
                let at_once = at_once / shards + u64::from(u64::from(shard) < at_once % shards);
                Schedule::Closed { operations, at_once, backoff: Backoff::default() }
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
            Schedule::Closed { operations, at_once, backoff } => {
                let due = until.minus(Duration::from_nanos(1));
                (open + backoff.resting(until) < *at_once).then(|| operations.next().map(|op| (op, due))).flatten()
            }
        }
    }

    /// A connect was refused.
    pub fn refused(&mut self, now: Offset) {
        if let Schedule::Closed { backoff, .. } = self {
            backoff.refused(now);
        }
    }

    /// A connect was not refused.
    pub fn connected(&mut self) {
        if let Schedule::Closed { backoff, .. } = self {
            backoff.connected();
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

    #[test]
    fn a_refused_connect_puts_off_what_a_closed_loop_makes_due_and_nothing_of_an_open_one() {
        let open = test_plan::load(1000.0, Duration::from_secs(1));
        let closed = LoadPlan { closed: Some(1), ..open.clone() };
        let soon = Offset::from_duration(Duration::from_millis(1));
        let is_due = |load, connects| {
            let mut schedule = Schedule::new(load, RUN, 0, 1);
            schedule.refused(Offset(1));
            if connects {
                schedule.connected();
            }
            [soon, soon.plus(Duration::from_millis(10))].map(|until| schedule.due_before(until, 0).is_some())
        };
        assert_eq!((is_due(&open, false), is_due(&closed, false)), ([true; 2], [false, true]));
        assert_eq!(is_due(&closed, true), [false, true], "who rests, rests on");
    }
}
