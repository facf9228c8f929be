//! Generators that stand still: their threads do nothing, neither sending nor reading answers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Parts;
use super::twisted::{Twist, twisted};
use crate::backends::{ControlError, Deployment, InstanceId, ProcessControl};
use crate::clock::{Offset, RunClock};
use crate::load::alarm::Alarm;

/// From the first signal to an instance on.
const AT_KILL: Duration = Duration::from_millis(500);
/// After each time that it wakes: far beyond the tolerance of a due time.
const STARVED: Duration = Duration::from_millis(60);

/// Stands still for half a second when an instance gets its first signal.
pub(super) struct StallAtKill {
    stall: Arc<Stall>,
}

impl StallAtKill {
    pub fn of(clock: &RunClock) -> Self {
        StallAtKill { stall: Arc::new(Stall { clock: clock.clone(), over: AtomicU64::new(0) }) }
    }
}

impl Parts for StallAtKill {
    fn target(&self, target: Box<dyn Deployment>) -> Box<dyn Deployment> {
        twisted(target, Trigger { stall: self.stall.clone(), struck: Mutex::default() })
    }

    fn alarm(&self) -> Arc<dyn Alarm> {
        self.stall.clone()
    }
}

/// Until when everybody stands still.
#[derive(Debug)]
struct Stall {
    clock: RunClock,
    /// An [`Offset`].
    over: AtomicU64,
}

impl Stall {
    fn begin(&self) {
        self.over.store(self.clock.now().plus(AT_KILL).0, Ordering::Relaxed);
    }

    fn left(&self) -> Duration {
        Offset(self.over.load(Ordering::Relaxed)).since(self.clock.now())
    }
}

impl Alarm for Stall {
    fn woken(&self) {
        // The whole thread: its connections stand still as well.
        std::thread::sleep(self.left());
    }
}

struct Trigger {
    stall: Arc<Stall>,
    struck: Mutex<BTreeSet<InstanceId>>,
}

impl Twist for Trigger {
    fn signal(&self, inner: &dyn ProcessControl, id: InstanceId, signal: Signal) -> Result<(), ControlError> {
        if self.struck.lock().expect("no code panics while it holds them").insert(id) {
            self.stall.begin();
        }
        inner.signal(id, signal)
    }
}

/// Stands still most of the time.
#[derive(Debug)]
pub(super) struct Starved;

impl Parts for Starved {
    fn alarm(&self) -> Arc<dyn Alarm> {
        Arc::new(Starved)
    }
}

impl Alarm for Starved {
    fn woken(&self) {
        std::thread::sleep(STARVED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_lasts_from_its_begin_on_and_only_once() {
        let stall = StallAtKill::of(&RunClock::starting_in(Duration::ZERO)).stall;
        let waking = || {
            let began = std::time::Instant::now();
            stall.woken();
            began.elapsed()
        };
        assert!(waking() < AT_KILL, "nobody was struck yet");
        stall.begin();
        assert!(waking() >= AT_KILL - Duration::from_millis(50));
        assert!(waking() < AT_KILL, "it is over");
    }
}
