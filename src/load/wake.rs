//! The timer of a shard's main task: a descriptor of the kernel's.
//!
//! # Why
//! The runtime's own timer counts in milliseconds, and each one that is set writes to the descriptor that wakes the
//! runtime, which then looks in vain: two calls of the system more for a request than the request needs itself. This one
//! is exact, and costs one call.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[derive(Debug)]
pub struct WakeTimer(AsyncFd<Timer>);

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl WakeTimer {
    /// For the runtime that this is called in.
    pub fn new() -> io::Result<WakeTimer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Timer(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        // SAFETY: the timer owns its descriptor, which stays the same and open until it is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        Ok(WakeTimer(registered.map_err(io::Error::from)?))
    }

    /// Waits so long; the runtime's other tasks have their turn in any case.
    pub async fn sleep(&self, lasts: Duration) -> io::Result<()> {
        if lasts.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        // Setting it forgets that it went off before: it need not be read.
        let once = Expiration::OneShot(TimeSpec::from_duration(lasts));
        self.0.get_ref().0.set(once, TimerSetTimeFlags::empty())?;
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn it_goes_off_after_its_time_again_and_again() {
        let timer = WakeTimer::new().unwrap();
        for lasts in [3, 0, 1, 5].map(Duration::from_millis) {
            let began = Instant::now();
            timer.sleep(lasts).await.unwrap();
            assert!(began.elapsed() >= lasts);
        }
    }
}
