//! Pacers: from an operation's index to the moment at which it is due. No clock inside.
//!
//! # Why a closed form
//! Operation i is due when the area under the plan's rate reaches i. Within a stage of even change that is a quadratic
//! in time, solved for each operation by itself: no error is carried from one operation to the next, and any of them
//! can be asked for alone, in any order, by any shard and by whoever judges.

use crate::clock::Offset;
use crate::plan::{Shape, Stage};

pub trait Pacer: Send + Sync {
    /// When operation `index` is due.
    fn due(&self, index: u64) -> Offset;
    /// How many operations are due before `end` (exclusive): those with `due(i) < end`.
    fn due_before(&self, end: Offset) -> u64;
}

/// The pacer of a shape: level and even stages.
#[derive(Debug, Clone)]
pub struct Stages {
    legs: Vec<Leg>,
    end: Offset,
}

/// A stage, and where it begins: on the clock and in the count of operations.
#[derive(Debug, Clone, Copy)]
struct Leg {
    stage: Stage,
    begin: Offset,
    first: f64,
}

impl Stages {
    /// Every stage has a rate above 0 somewhere, and lasts: the plan saw to that.
    pub fn of(shape: &Shape) -> Self {
        let (mut legs, mut begin, mut first) = (Vec::new(), Offset::ZERO, 0.0);
        for stage in &shape.stages {
            let moves = stage.from_rps.is_finite() && stage.to_rps.is_finite() && stage.from_rps + stage.to_rps > 0.0;
            assert!(moves && !stage.lasts.is_zero(), "a plan's stages have a rate and a length");
            legs.push(Leg { stage: *stage, begin, first });
            (begin, first) = (begin.plus(stage.lasts), first + stage.operations());
        }
        assert!(!legs.is_empty(), "a plan's shape has a stage");
        Stages { legs, end: begin }
    }

    /// Operations due in the whole load.
    pub fn total(&self) -> u64 {
        self.due_before(self.end)
    }

    /// The leg that an operation belongs to; the last one also has those beyond the end.
    fn leg(&self, index: f64) -> &Leg {
        let next = self.legs.partition_point(|leg| leg.first <= index);
        &self.legs[next.saturating_sub(1)]
    }
}

impl Pacer for Stages {
    fn due(&self, index: u64) -> Offset {
        let index = index as f64;
        self.leg(index).due(index)
    }

    fn due_before(&self, end: Offset) -> u64 {
        let next = self.legs.partition_point(|leg| leg.begin < end);
        let leg = &self.legs[next.saturating_sub(1)];
        // The area may be off by one in the last place: settle it with `due` itself, so that both always agree.
        let mut n = leg.reached(end) as u64;
        while n > 0 && self.due(n - 1) >= end {
            n -= 1;
        }
        while self.due(n) < end {
            n += 1;
        }
        n
    }
}

impl Leg {
    /// When the area since the beginning of this leg reaches what is left of the index.
    fn due(&self, index: f64) -> Offset {
        let Stage { from_rps, to_rps, lasts } = self.stage;
        let (count, lasts_s) = (index - self.first, lasts.as_secs_f64());
        let after = if self.stage.is_level() {
            count * 1e9 / from_rps
        } else if count <= 0.0 {
            0.0
        } else if count < self.stage.operations() {
            // a·t + s/2·t² = n, in the form that loses no digits where s is small: t = 2n / (a + √(a² + 2·s·n)).
            let slope = (to_rps - from_rps) / lasts_s;
            let root = (from_rps * from_rps + 2.0 * slope * count).max(0.0).sqrt();
            (2.0 * count / (from_rps + root) * 1e9).min(lasts_s * 1e9)
        } else if to_rps > 0.0 {
            // Beyond the end of the load, where nothing is issued: its last rate goes on.
            lasts_s * 1e9 + (count - self.stage.operations()) * 1e9 / to_rps
        } else {
            f64::INFINITY
        };
        Offset(self.begin.0.saturating_add(after as u64))
    }

    /// The count of operations at a moment in this leg, or, where it is the last one, after it.
    fn reached(&self, moment: Offset) -> f64 {
        let (after, Stage { to_rps, lasts, .. }) = (moment.since(self.begin), self.stage);
        let beyond = after.saturating_sub(lasts).as_secs_f64();
        self.first + self.stage.operations_until(after.min(lasts)) + beyond * to_rps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn constant(rps: f64, lasts: Duration) -> Stages {
        Stages::of(&Shape::constant(rps, lasts))
    }

    fn rising(from_rps: f64, to_rps: f64, lasts: Duration) -> Stages {
        Stages::of(&Shape { stages: vec![Stage { from_rps, to_rps, lasts }] })
    }

    #[test]
    fn eight_hundred_a_second_for_a_minute_are_forty_eight_thousand() {
        assert_eq!(constant(800.0, S(60)).total(), 48_000);
    }

    #[test]
    fn a_ramp_has_the_operations_of_its_mean_rate_and_most_of_them_late() {
        let ramp = rising(100.0, 1500.0, S(30));
        assert_eq!(ramp.total(), 24_000);
        let half = ramp.due_before(Offset::from_duration(S(15)));
        assert_eq!(half, 6750, "100/s and 7000/s² / 30 · 15² / 2 …");
    }

    #[test]
    fn a_ramp_from_nothing_begins_and_one_to_nothing_ends() {
        let up = rising(0.0, 100.0, S(10));
        assert_eq!((up.due(0), up.total()), (Offset::ZERO, 500));
        let down = rising(100.0, 0.0, S(10));
        assert_eq!((down.total(), down.due(500)), (500, Offset(u64::MAX)));
        assert!(down.due(499) < Offset::from_duration(S(10)));
        // The same gaps, from the other end.
        let (first, last) = (up.due(1).0, S(10).as_nanos() as u64 - down.due(499).0);
        assert!(first.abs_diff(last) < 1000, "{first} {last}");
    }

    #[test]
    fn stages_follow_each_other_without_a_gap() {
        let stages = vec![Stage { from_rps: 0.0, to_rps: 50.0, lasts: S(4) }, Stage::level(50.0, S(2))];
        let pacer = Stages::of(&Shape { stages });
        assert_eq!((pacer.due(100), pacer.due(101)), (Offset(4_000_000_000), Offset(4_020_000_000)));
        assert_eq!(pacer.total(), 200);
    }

    fn stages() -> impl Strategy<Value = Shape> {
        let rate = prop_oneof![Just(0.0), 0.1f64..20_000.0];
        let stage =
            (rate.clone(), prop_oneof![Just(None), rate.prop_map(Some)], 1u64..20_000).prop_map(|(from, to, ms)| {
                let (from_rps, lasts) =
                    (if to.unwrap_or(from) + from == 0.0 { 1.0 } else { from }, Duration::from_millis(ms));
                Stage { from_rps, to_rps: to.unwrap_or(from_rps), lasts }
            });
        prop::collection::vec(stage, 1..6).prop_map(|stages| Shape { stages })
    }

    /// The area under the rate until a moment, by adding up thin slices.
    fn summed(shape: &Shape, until: Offset) -> f64 {
        let slices = 20_000;
        let until = Duration::from_nanos(until.0);
        let mut area = 0.0;
        for (begin, stage) in shape.spans() {
            let span = until.saturating_sub(begin).min(stage.lasts);
            let width = span.as_secs_f64() / f64::from(slices);
            let rate = |at: f64| stage.from_rps + (stage.to_rps - stage.from_rps) * at / stage.lasts.as_secs_f64();
            area += (0..slices).map(|n| rate((f64::from(n) + 0.5) * width) * width).sum::<f64>();
        }
        area
    }

    proptest! {
        #[test]
        fn due_times_rise_by_the_gap(rps in 0.1f64..100_000.0, index in 0u64..1_000_000_000) {
            let pacer = constant(rps, S(1));
            let gap = pacer.due(index + 1).0 as f64 - pacer.due(index).0 as f64;
            // Offsets are whole nanoseconds, and at 10^18 of them a double counts in steps of 128.
            prop_assert!((gap - 1e9 / rps).abs() <= 1.0 + pacer.due(index).0 as f64 / 1e15);
        }

        /// Ledgers of earlier runs are judged by the plan's due times: they must be these, bit by bit.
        #[test]
        fn a_single_level_is_due_as_it_always_was(rps in 0.1f64..100_000.0, index in 0u64..1_000_000_000, ms in 1u64..120_000) {
            let pacer = constant(rps, Duration::from_millis(ms));
            let due = |index: u64| Offset((index as f64 * 1e9 / rps) as u64);
            prop_assert_eq!(pacer.due(index), due(index));
            let (end, total) = (Offset(ms * 1_000_000), pacer.total());
            prop_assert!(total == 0 || due(total - 1) < end);
            prop_assert!(due(total) >= end);
        }

        #[test]
        fn due_and_due_before_agree(shape in stages(), share in 0.0f64..1.2) {
            let (pacer, end) = (Stages::of(&shape), Offset((shape.duration().as_nanos() as f64 * share) as u64));
            let n = pacer.due_before(end);
            prop_assert!(n == 0 || pacer.due(n - 1) < end);
            prop_assert!(pacer.due(n) >= end);
        }

        #[test]
        fn due_times_never_fall(shape in stages(), at in 0.0f64..1.0) {
            let pacer = Stages::of(&shape);
            let first = (pacer.total() as f64 * at) as u64;
            let due: Vec<_> = (first..(first + 300).min(pacer.total())).map(|i| pacer.due(i)).collect();
            prop_assert!(due.is_sorted());
        }

        #[test]
        fn an_operation_is_due_when_the_area_under_the_rate_reaches_its_index(shape in stages(), at in 0.0f64..1.0) {
            let pacer = Stages::of(&shape);
            let index = (pacer.total() as f64 * at) as u64;
            if index < pacer.total() {
                let area = summed(&shape, pacer.due(index));
                // Due times are whole nanoseconds, and sums of thin slices are not exact.
                prop_assert!((area - index as f64).abs() < 1e-3 + index as f64 * 1e-9, "{area} {index}");
            }
        }

        #[test]
        fn the_whole_load_is_the_area_under_the_rate_rounded_up_once(shape in stages()) {
            let (total, area) = (Stages::of(&shape).total() as f64, shape.operations_between(Duration::ZERO, shape.duration()));
            prop_assert!(total >= area - 1e-3 && total < area + 1.0 + 1e-3, "{total} {area}");
        }
    }
}
