//! Until when operations are issued: the plan's end, or, on an interrupt, a moment that all shards agree on.
//!
//! # Why
//! A ledger holds exactly the operations that were due before its `issued_until`. Shards run on their own threads, so
//! on an interrupt one may have issued further than another: the end is the furthest that any of them was ever let,
//! and the others still issue up to it. The clock is read under the lock, so that no shard is let past an end that
//! another one has just set.

use std::sync::{Mutex, MutexGuard};

use crate::clock::{Offset, RunClock};

#[derive(Debug)]
pub struct Horizon {
    clock: RunClock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The furthest moment that any shard was let issue up to.
    reached: Offset,
    end: Offset,
}

impl Horizon {
    pub fn new(clock: RunClock, end: Offset) -> Self {
        Horizon { clock, state: Mutex::new(State { reached: Offset::ZERO, end }) }
    }

    /// The caller issues everything that is due before the answer.
    pub fn advance(&self) -> Offset {
        let mut state = self.lock();
        let until = self.clock.now().min(state.end);
        state.reached = state.reached.max(until);
        until
    }

    /// Nothing is issued beyond what some shard has reached.
    pub fn close(&self) {
        let mut state = self.lock();
        state.end = state.reached;
    }

    pub fn end(&self) -> Offset {
        self.lock().end
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the horizon")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn horizon(end: Offset) -> Horizon {
        Horizon::new(RunClock::starting_in(Duration::ZERO), end)
    }

    fn pass(horizon: &Horizon, moment: Offset) {
        while horizon.clock.now() <= moment {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_closed_horizon_is_what_the_furthest_shard_reached() {
        let horizon = horizon(Offset(u64::MAX));
        let reached = horizon.advance();
        pass(&horizon, reached);
        horizon.close();
        assert_eq!((horizon.advance(), horizon.end()), (reached, reached));
        horizon.close();
        assert_eq!(horizon.advance(), reached);
    }

    #[test]
    fn nothing_is_issued_after_the_plans_end() {
        let horizon = horizon(Offset(5));
        pass(&horizon, Offset(5));
        assert_eq!(horizon.advance(), Offset(5));
    }
}
