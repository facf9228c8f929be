//! The server's clock: nanoseconds since its start, by CLOCK_MONOTONIC.
//!
//! # Why not `Instant`
//! It does not say its number. Here the zero is printed, so that a client in another process can lay its times beside
//! the log; and the kernel's timer is set by it.

use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::clock::Offset;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    zero_ns: u64,
}

impl Clock {
    pub fn starting_now() -> Clock {
        Clock { zero_ns: monotonic_ns() }
    }

    pub fn zero_ns(self) -> u64 {
        self.zero_ns
    }

    pub fn now(self) -> Offset {
        Offset(monotonic_ns() - self.zero_ns)
    }

    /// For the kernel.
    pub fn moment(self, at: Offset) -> TimeSpec {
        Duration::from_nanos(self.zero_ns.saturating_add(at.0)).into()
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
