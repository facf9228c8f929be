//! Pacers: from an operation's index to the moment at which it is due. No clock inside. [`Timetable`] is the one of a
//! plan: its shape ([`Stages`]), and how operations arrive within it.
//!
//! # Why a closed form
//! Operation i is due when the area under the plan's rate reaches i. Within a stage of even change that is a quadratic
//! in time, solved for each operation by itself: no error is carried from one operation to the next, and any of them
//! can be asked for alone, in any order, by any shard and by whoever judges.

use crate::clock::Offset;
use crate::content::mix;
use crate::plan::{Arrivals, LoadPlan, Shape, Stage};

pub trait Pacer: Send + Sync {
    /// When operation `index` is due.
    fn due(&self, index: u64) -> Offset;
    /// How many operations are due before `end` (exclusive): those with `due(i) < end`.
    fn due_before(&self, end: Offset) -> u64;
}

/// When each operation of a plan is due.
#[derive(Debug, Clone)]
pub struct Timetable {
    stages: Stages,
    /// `None`: evenly.
    random: Option<Poisson>,
}

impl Timetable {
    pub fn of(load: &LoadPlan) -> Timetable {
        let stages = Stages::of(&load.shape);
        let random = match load.arrivals {
            Arrivals::Even => None,
            Arrivals::Poisson { seed } => Some(Poisson::new(seed, stages.area())),
        };
        Timetable { stages, random }
    }

    /// Operations due in the whole load.
    pub fn total(&self) -> u64 {
        self.due_before(self.stages.end)
    }
}

impl Pacer for Timetable {
    fn due(&self, index: u64) -> Offset {
        match &self.random {
            None => self.stages.due(index),
            Some(random) => self.stages.due_at(random.arrival(index)),
        }
    }

    fn due_before(&self, end: Offset) -> u64 {
        match &self.random {
            None => self.stages.due_before(end),
            Some(random) => random.before(|arrival| self.stages.due_at(arrival) < end),
        }
    }
}

/// A Poisson process of rate 1: gaps are independent, and exponential with a mean of 1. The shape stretches it: an
/// operation is due when the area under the rate reaches its arrival (time change; Çinlar, "Introduction to Stochastic
/// Processes", ch. 4).
///
/// # Why marks
/// An arrival is the sum of all gaps before it. Gaps are a function of seed and index, and every [`STRIDE`]th sum is kept:
/// any arrival is a few additions away, and the same bit by bit whoever asks.
#[derive(Debug, Clone)]
struct Poisson {
    seed: u64,
    /// The arrival of operation `STRIDE * i`.
    marks: Vec<f64>,
}

const STRIDE: u64 = 16;

impl Poisson {
    /// Until beyond `area`, which is the number of operations to expect.
    fn new(seed: u64, area: f64) -> Poisson {
        let mut poisson = Poisson { seed, marks: Vec::with_capacity(area as usize / STRIDE as usize + 2) };
        let (mut arrival, mut index) = (poisson.gap(0), 0);
        loop {
            poisson.marks.push(arrival);
            if arrival > area {
                return poisson;
            }
            (arrival, index) = (poisson.walk(arrival, index, index + STRIDE), index + STRIDE);
        }
    }

    /// The time from the operation before this one.
    fn gap(&self, index: u64) -> f64 {
        // In (0, 1]: its logarithm is finite.
        let uniform = ((mix(self.seed ^ mix(index)) >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -uniform.ln()
    }

    fn walk(&self, arrival: f64, from: u64, to: u64) -> f64 {
        (from + 1..=to).fold(arrival, |sum, index| sum + self.gap(index))
    }

    /// Beyond the last mark, where nothing is issued, from it on.
    fn arrival(&self, index: u64) -> f64 {
        let nth = (index / STRIDE).min(self.marks.len() as u64 - 1);
        self.walk(self.marks[nth as usize], nth * STRIDE, index)
    }

    /// How many arrivals there are for which this holds; it holds for none after one for which it does not.
    fn before(&self, holds: impl Fn(f64) -> bool) -> u64 {
        let marks = self.marks.partition_point(|arrival| holds(*arrival)) as u64;
        let mut index = marks.saturating_sub(1) * STRIDE;
        while holds(self.arrival(index)) {
            index += 1;
        }
        index
    }
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

    /// The area under the whole rate.
    fn area(&self) -> f64 {
        self.legs.last().map_or(0.0, |leg| leg.first + leg.stage.operations())
    }

    /// When the area under the rate reaches a number.
    fn due_at(&self, area: f64) -> Offset {
        self.leg(area).due(area)
    }

    /// The leg that an operation belongs to; the last one also has those beyond the end.
    fn leg(&self, index: f64) -> &Leg {
        let next = self.legs.partition_point(|leg| leg.first <= index);
        &self.legs[next.saturating_sub(1)]
    }
}

impl Pacer for Stages {
    fn due(&self, index: u64) -> Offset {
        self.due_at(index as f64)
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
    use crate::load::test_plan;
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

    /// Of a Poisson process the counts of equal spans have their mean as their variance, and gaps of an exponential
    /// distribution exceed their mean with probability 1/e.
    #[test]
    fn random_arrivals_are_a_poisson_process_of_the_shape_s_rate() {
        let arrivals = Arrivals::Poisson { seed: 5 };
        let random = Timetable::of(&LoadPlan { arrivals, ..test_plan::load(5_000.0, S(40)) });
        let total = random.total();
        assert!((total as f64 - 200_000.0).abs() < 4.0 * 200_000.0f64.sqrt(), "{total}");
        let due: Vec<u64> = (0..total).map(|i| random.due(i).0).collect();
        let mut counts = vec![0f64; 40_000];
        due.iter().for_each(|due| counts[(due / 1_000_000) as usize] += 1.0);
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let variance = counts.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / counts.len() as f64;
        assert!((variance / mean - 1.0).abs() < 0.05, "{variance} {mean}");
        let long = due.windows(2).filter(|pair| pair[1] - pair[0] > 200_000).count() as f64 / total as f64;
        assert!((long - (-1.0f64).exp()).abs() < 0.01, "{long}");
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
        fn random_arrivals_agree_with_their_count_and_never_fall(shape in stages(), seed: u64, share in 0.0f64..1.2) {
            let random = Timetable::of(&LoadPlan { shape: shape.clone(), arrivals: Arrivals::Poisson { seed }, ..test_plan::load(1.0, S(1)) });
            let end = Offset((shape.duration().as_nanos() as f64 * share.min(1.0)) as u64);
            let n = random.due_before(end);
            prop_assert!(n == 0 || random.due(n - 1) < end);
            prop_assert!(random.due(n) >= end);
            let first = n.saturating_sub(100);
            prop_assert!((first..n).map(|i| random.due(i)).collect::<Vec<_>>().is_sorted());
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
