//! Pacers: from an operation's index to the moment at which it is due. No clock inside.

use std::time::Duration;

use crate::clock::Offset;

pub trait Pacer: Send + Sync {
    /// When operation `index` is due.
    fn due(&self, index: u64) -> Offset;
    /// How many operations are due before `end` (exclusive): those with `due(i) < end`.
    fn due_before(&self, end: Offset) -> u64;
}

/// The same gap between any two operations.
#[derive(Debug, Clone, Copy)]
pub struct Constant {
    rps: f64,
}

impl Constant {
    /// `rps` must be finite and above 0: the plan saw to that.
    pub fn new(rps: f64) -> Self {
        assert!(rps.is_finite() && rps > 0.0, "a plan's rate is positive");
        Constant { rps }
    }

    /// Operations due in a load of this length.
    pub fn total(&self, duration: Duration) -> u64 {
        self.due_before(Offset::from_duration(duration))
    }
}

impl Pacer for Constant {
    fn due(&self, index: u64) -> Offset {
        Offset((index as f64 * 1e9 / self.rps) as u64)
    }

    fn due_before(&self, end: Offset) -> u64 {
        // The quotient may be off by one in the last place: settle it with `due` itself, so that both always agree.
        let mut n = (end.0 as f64 * self.rps / 1e9) as u64;
        while n > 0 && self.due(n - 1) >= end {
            n -= 1;
        }
        while self.due(n) < end {
            n += 1;
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn eight_hundred_a_second_for_a_minute_are_forty_eight_thousand() {
        assert_eq!(Constant::new(800.0).total(Duration::from_secs(60)), 48_000);
    }

    proptest! {
        #[test]
        fn due_times_rise_by_the_gap(rps in 0.1f64..100_000.0, index in 0u64..1_000_000_000) {
            let pacer = Constant::new(rps);
            let gap = pacer.due(index + 1).0 as f64 - pacer.due(index).0 as f64;
            // Offsets are whole nanoseconds, and at 10^18 of them a double counts in steps of 128.
            prop_assert!((gap - 1e9 / rps).abs() <= 1.0 + pacer.due(index).0 as f64 / 1e15);
        }

        #[test]
        fn due_and_due_before_agree(rps in 0.1f64..100_000.0, ms in 0u64..120_000) {
            let (pacer, end) = (Constant::new(rps), Offset(ms * 1_000_000));
            let n = pacer.due_before(end);
            prop_assert!(n == 0 || pacer.due(n - 1) < end);
            prop_assert!(pacer.due(n) >= end);
        }
    }
}
