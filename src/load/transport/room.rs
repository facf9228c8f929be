//! How many requests may be open at a time on a connection: as many as its peer allows, which may change as it goes on.
//!
//! In: the peer's limit, whenever there may be another one. Out: [`Turn`]s, in the order in which they were asked for.
//!
//! # Why
//! h2 keeps to the limit, too: it takes a request that is beyond it, and holds it back. That request would count as sent,
//! and its time-out as the target's, though nobody but us had it.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Semaphore;

#[derive(Debug)]
pub struct Room {
    free: Semaphore,
    /// Whatever the peer allows.
    most: usize,
    allowed: Cell<usize>,
    /// Turns that were given before the limit fell below them; those that come back first are not given again.
    overdrawn: Cell<usize>,
}

/// Held while a request is open.
#[derive(Debug)]
pub struct Turn(Rc<Room>);

impl Room {
    /// There is none until the peer's limit is known.
    pub fn new(most: usize) -> Room {
        Room { free: Semaphore::new(0), most, allowed: Cell::new(0), overdrawn: Cell::new(0) }
    }

    pub fn allow(&self, limit: usize) {
        let allowed = limit.min(self.most);
        let before = self.allowed.replace(allowed);
        if let Some(fewer) = before.checked_sub(allowed) {
            let held = fewer - self.free.forget_permits(fewer);
            self.overdrawn.update(|overdrawn| overdrawn + held);
        } else {
            let more = allowed - before;
            let repaid = more.min(self.overdrawn.get());
            self.overdrawn.update(|overdrawn| overdrawn - repaid);
            self.free.add_permits(more - repaid);
        }
    }

    pub async fn enter(self: &Rc<Self>) -> Turn {
        self.free.acquire().await.expect("nobody closes it").forget();
        Turn(self.clone())
    }

    /// Whether a turn that was given, and is not used, is one too many.
    pub fn is_overdrawn(&self) -> bool {
        self.overdrawn.get() > 0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Room { free, overdrawn, .. } = &*self.0;
        match overdrawn.get().checked_sub(1) {
            Some(left) => overdrawn.set(left),
            None => free.add_permits(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn polled<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn entered(room: &Rc<Room>) -> Option<Turn> {
        polled(pin!(room.enter()))
    }

    fn room(allowed: usize) -> Rc<Room> {
        let room = Rc::new(Room::new(4));
        room.allow(allowed);
        room
    }

    #[test]
    fn there_are_as_many_turns_as_are_asked_for_and_allowed() {
        for (allowed, turns) in [(0, 0), (1, 1), (4, 4), (5, 4), (usize::MAX, 4)] {
            let room = room(allowed);
            let given: Vec<Turn> = std::iter::from_fn(|| entered(&room)).collect();
            assert_eq!(given.len(), turns, "{allowed} allowed");
        }
    }

    #[test]
    fn a_turn_that_comes_back_goes_to_whoever_waited_first() {
        let room = room(1);
        let turn = entered(&room).unwrap();
        let (mut first, mut second) = (pin!(room.enter()), pin!(room.enter()));
        assert!(polled(first.as_mut()).is_none() && polled(second.as_mut()).is_none());
        drop(turn);
        assert!(polled(second.as_mut()).is_none());
        let turn = polled(first.as_mut()).unwrap();
        assert!(entered(&room).is_none());
        drop(turn);
        assert!(polled(second).is_some());
    }

    #[test]
    fn who_waits_goes_in_when_more_are_allowed() {
        let room = room(0);
        let mut waiting = pin!(room.enter());
        assert!(polled(waiting.as_mut()).is_none());
        room.allow(1);
        assert!(polled(waiting).is_some());
    }

    #[test]
    fn turns_beyond_a_limit_that_fell_are_not_given_again() {
        let room = room(4);
        let mut given: Vec<Turn> = std::iter::from_fn(|| entered(&room)).collect();
        room.allow(2);
        for left in [3, 2] {
            assert!(room.is_overdrawn());
            given.pop();
            assert!(entered(&room).is_none() && given.len() == left);
        }
        assert!(!room.is_overdrawn());
        given.pop();
        assert!(entered(&room).is_some());
    }

    #[test]
    fn a_limit_that_falls_and_rises_again_gives_what_it_had() {
        let room = room(3);
        let held = [entered(&room).unwrap(), entered(&room).unwrap()];
        // One is free and goes at once; one more is owed.
        room.allow(1);
        room.allow(3);
        assert!(!room.is_overdrawn());
        let third = entered(&room).unwrap();
        assert!(entered(&room).is_none());
        drop((held, third));
        assert_eq!(std::iter::from_fn(|| entered(&room)).collect::<Vec<_>>().len(), 3);
    }
}
