//! How long the places of a closed loop rest whose connects were refused: 10 ms, then twice as long, up to a second
//! (capped exponential back-off).
//!
//! In: when a connect was refused, and that one was not. Out: how many places rest. No clock here.
//!
//! # Why
//! A refusal comes within microseconds, and its end makes the next operation of a closed loop due: a target that is away
//! would be asked millions of times a minute. What a resting place keeps back is not due, so nothing waits for it, and no
//! latency has the pause in it.
//!
//! All places share one pause, as what refuses them is the same. It grows no sooner than it has lasted: a hundred that are
//! refused at once have been refused once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::clock::Offset;

const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Backoff {
    /// Zero: no connect was refused since one was not.
    pause: Duration,
    grew: Offset,
    /// Until when each place rests.
    resting: BinaryHeap<Reverse<Offset>>,
}

impl Backoff {
    pub fn refused(&mut self, now: Offset) {
        if now >= self.grew.plus(self.pause) {
            self.pause = (2 * self.pause).clamp(PAUSE_MIN, PAUSE_MAX);
            self.grew = now;
        }
        self.resting.push(Reverse(now.plus(self.pause)));
    }

    /// Who rests already rests on.
    pub fn connected(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// How many places rest.
    pub fn resting(&mut self, now: Offset) -> u64 {
        while self.resting.peek().is_some_and(|Reverse(until)| *until <= now) {
            self.resting.pop();
        }
        self.resting.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(ms: u64) -> Offset {
        Offset::from_duration(Duration::from_millis(ms))
    }

    /// When one place asks, that asks again as soon as it may.
    fn asks(backoff: &mut Backoff, from_ms: u64) -> impl Iterator<Item = u64> {
        let mut now = from_ms;
        std::iter::from_fn(move || {
            let asked = now;
            backoff.refused(at_ms(now));
            now = (now..).find(|ms| backoff.resting(at_ms(*ms)) == 0)?;
            Some(asked)
        })
    }

    #[test]
    fn a_pause_doubles_up_to_a_second() {
        let asked: Vec<u64> = asks(&mut Backoff::default(), 0).take(10).collect();
        assert_eq!(asked, [0, 10, 30, 70, 150, 310, 630, 1270, 2270, 3270]);
    }

    #[test]
    fn after_a_connect_the_pause_is_short_again() {
        let mut backoff = Backoff::default();
        assert_eq!(asks(&mut backoff, 0).take(5).last(), Some(150));
        backoff.connected();
        assert_eq!(asks(&mut backoff, 1000).take(3).collect::<Vec<_>>(), [1000, 1010, 1030]);
    }

    #[test]
    fn places_that_are_refused_at_once_rest_as_long_as_one() {
        let mut backoff = Backoff::default();
        (0..100).for_each(|n| backoff.refused(Offset(n)));
        assert_eq!((backoff.resting(Offset(99)), backoff.resting(at_ms(11))), (100, 0));
    }

    #[test]
    fn each_place_rests_for_itself() {
        let mut backoff = Backoff::default();
        backoff.refused(at_ms(0));
        backoff.refused(at_ms(5));
        assert_eq!([9, 10, 14, 15].map(|ms| backoff.resting(at_ms(ms))), [2, 1, 1, 0]);
    }
}
