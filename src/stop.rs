//! How a run is told to stop: the first Ctrl-C or SIGTERM asks it to heal and report, the second to stop at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tokio_util::sync::CancellationToken;

/// Two levels of stopping. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new work: requests in flight end, faults are healed, the report is written and never says PASS.
    pub interrupt: CancellationToken,
    /// No waiting either: heal and end.
    pub abort: CancellationToken,
    signal: Arc<AtomicI32>,
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a signal (its number): the first interrupts, the second aborts.
    pub fn signalled(&self, number: i32) {
        if self.interrupt.is_cancelled() {
            self.abort.cancel();
        } else {
            self.signal.store(number, Ordering::Relaxed);
            self.interrupt.cancel();
        }
    }

    /// The first signal's number, where there was one: exit code 128 + number.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            n => Some(n),
        }
    }
}
