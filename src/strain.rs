//! Strain: whether the thread that sends had processor time left.
//!
//! In: the kernel's figures of a shard's thread, about once a second. Out: [`Strain`].
//!
//! # Why
//! A shard that has more to do than a processor can still looks at its schedule in time, between its connections' turns: it
//! does not wake late. Its connections are never free, answers are read late, and the target looks slow. Nothing in the
//! ledger tells this from a target that *is* slow; the kernel does. Time in which the thread waited for a processor that
//! others had counts as well: it is no more the target's than what the thread used.

use std::time::Duration;

use procfs::FromRead;
use procfs::process::Schedstat;
use serde::{Deserialize, Serialize};

use crate::clock::Offset;

/// A thread that works so much of a second has none of it left.
const ALL: f64 = 0.9;

/// How much of their time the threads of a load worked, or waited for a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Strain {
    /// What was measured.
    pub lasted: Duration,
    /// In seconds of which a thread had no time left: of several threads, the most that one of them spent so.
    pub saturated: Duration,
}

impl Strain {
    /// Another shard's, beside this.
    pub fn add(&mut self, other: &Strain) {
        self.lasted = self.lasted.max(other.lasted);
        self.saturated = self.saturated.max(other.saturated);
    }

    /// The share of the load in which a thread had no time left; `None`: too short to say, or the kernel does not.
    pub fn share(&self) -> Option<f64> {
        (!self.lasted.is_zero()).then(|| self.saturated.as_secs_f64() / self.lasted.as_secs_f64())
    }
}

/// Measures the thread that asks it.
#[derive(Debug)]
pub struct StrainGauge {
    /// When it was read last, and what had been worked by then.
    last: (Offset, Option<Duration>),
    pub strain: Strain,
}

impl StrainGauge {
    pub fn starting(now: Offset) -> StrainGauge {
        StrainGauge { last: (now, worked()), strain: Strain::default() }
    }

    /// About once a second.
    pub fn read(&mut self, now: Offset) {
        let (from, before) = std::mem::replace(&mut self.last, (now, worked()));
        let (Some(before), Some(after)) = (before, self.last.1) else { return };
        let lasted = now.since(from);
        self.strain.lasted += lasted;
        if after.saturating_sub(before).as_secs_f64() >= ALL * lasted.as_secs_f64() {
            self.strain.saturated += lasted;
        }
    }
}

/// What this thread has used of a processor, or waited for one. `None`: a kernel without figures of its scheduler.
fn worked() -> Option<Duration> {
    let Schedstat { sum_exec_runtime, run_delay, .. } = Schedstat::from_file("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(sum_exec_runtime + run_delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_thread_that_never_rests_is_saturated_and_one_that_sleeps_is_not() {
        let clock = std::time::Instant::now();
        let now = || Offset::from_duration(clock.elapsed());
        let mut gauge = StrainGauge::starting(now());
        std::thread::sleep(Duration::from_millis(50));
        gauge.read(now());
        assert_eq!(gauge.strain.saturated, Duration::ZERO);
        let rested = gauge.strain.lasted;
        assert!(rested >= Duration::from_millis(50));
        let began = now();
        while now().since(began) < Duration::from_millis(200) {
            std::hint::spin_loop();
        }
        gauge.read(now());
        assert_eq!(gauge.strain.saturated, gauge.strain.lasted - rested);
    }

    #[test]
    fn of_several_threads_the_one_that_was_saturated_longest_counts() {
        let mut strain = Strain { lasted: S(10), saturated: S(1) };
        strain.add(&Strain { lasted: S(9), saturated: S(5) });
        assert_eq!(strain.share(), Some(0.5));
        assert_eq!(Strain::default().share(), None);
    }
}
