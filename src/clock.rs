//! The run's clock: every time in a ledger, an incident or a report is an [`Offset`] from one zero, the moment at
//! which the first operation is due. The clock also carries the fault epoch, the only thing that the timeline and
//! the load generator share besides it.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Nanoseconds since the run's zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    pub const ZERO: Offset = Offset(0);

    pub fn from_duration(d: Duration) -> Self {
        Offset(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }

    pub fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time from `earlier` to `self`; zero where `earlier` is later.
    pub fn since(self, earlier: Offset) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub fn plus(self, d: Duration) -> Offset {
        Offset(self.0.saturating_add(Offset::from_duration(d).0))
    }

    pub fn minus(self, d: Duration) -> Offset {
        Offset(self.0.saturating_sub(Offset::from_duration(d).0))
    }
}

impl std::fmt::Display for Offset {
    /// Seconds with milliseconds: `12.345s`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}s", self.as_secs_f64())
    }
}

/// A monotonic clock with a zero. Clones share the zero and the fault epoch.
#[derive(Debug, Clone, Default)]
pub struct RunClock {
    zero: Arc<OnceLock<Instant>>,
    epoch: Arc<AtomicU16>,
}

impl RunClock {
    /// A clock that stands at zero until [`start_in`](Self::start_in): the target comes up before the run's zero.
    pub fn unstarted() -> Self {
        Self::default()
    }

    /// A clock whose zero is `lead` from now.
    pub fn starting_in(lead: Duration) -> Self {
        let clock = Self::unstarted();
        clock.start_in(lead);
        clock
    }

    /// Sets the zero to `lead` from now: shards and timeline get ready before anything is due.
    pub fn start_in(&self, lead: Duration) {
        self.zero.set(Instant::now() + lead).expect("a run's clock starts once");
    }

    /// Now; zero while the clock's zero is still to come.
    pub fn now(&self) -> Offset {
        let elapsed = self.zero.get().map(|zero| Instant::now().saturating_duration_since(*zero));
        Offset::from_duration(elapsed.unwrap_or_default())
    }

    /// The moment of an offset; now, on a clock that was not started.
    pub fn instant(&self, at: Offset) -> Instant {
        self.zero.get().map_or_else(Instant::now, |zero| *zero + at.as_duration())
    }

    /// The fault epoch: how many acts of the timeline have begun.
    pub fn epoch(&self) -> u16 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub fn next_epoch(&self) -> u16 {
        self.epoch.fetch_add(1, Ordering::Relaxed) + 1
    }
}
