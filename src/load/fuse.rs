//! Time-outs of a shard: each connection has one fuse, which a piece of its work is held to.
//!
//! # Why
//! A timer for each request costs more than the request's own work here, and nearly none of them ever fires. All that a
//! shard waits for has one time-out, so what is lit later burns down later: after one look at all fuses nothing can be
//! over before the earliest of them, and that look comes about once in a time-out.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use crate::clock::Offset;

const UNLIT: Offset = Offset(u64::MAX);

/// Work that was not over at its deadline.
#[derive(Debug, PartialEq, Eq)]
pub struct Burnt;

#[derive(Debug)]
pub struct Fuse {
    deadline: Cell<Offset>,
    burnt: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Fuse {
    fn new() -> Fuse {
        Fuse { deadline: Cell::new(UNLIT), burnt: Cell::new(false), waiting: RefCell::new(None) }
    }

    /// What becomes of the work, which is dropped where the deadline comes before its end.
    pub async fn hold<T>(&self, deadline: Offset, work: impl Future<Output = T>) -> Result<T, Burnt> {
        let mut work = pin!(work);
        self.deadline.set(deadline);
        self.burnt.set(false);
        let ended = poll_fn(|context| {
            if let Poll::Ready(ended) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(ended));
            }
            if self.burnt.get() {
                return Poll::Ready(Err(Burnt));
            }
            let waiting = self.waiting.take().filter(|waker| waker.will_wake(context.waker()));
            self.waiting.replace(Some(waiting.unwrap_or_else(|| context.waker().clone())));
            Poll::Pending
        });
        let ended = ended.await;
        self.deadline.set(UNLIT);
        ended
    }

    fn burn(&self) {
        self.deadline.set(UNLIT);
        self.burnt.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// All fuses of a shard.
#[derive(Debug)]
pub struct Fuses {
    fuses: RefCell<Vec<Weak<Fuse>>>,
    /// Dead ones are swept out when there are so many in all.
    sweep_at: Cell<usize>,
    /// Nothing is over before.
    next: Cell<Offset>,
}

/// With fewer it is not worth a look.
const SWEEP_MIN: usize = 64;

impl Fuses {
    pub fn new() -> Fuses {
        Fuses { fuses: RefCell::default(), sweep_at: Cell::new(SWEEP_MIN), next: Cell::new(Offset::ZERO) }
    }

    /// One for a connection; it is forgotten when it is dropped.
    pub fn fuse(&self) -> Rc<Fuse> {
        let fuse = Rc::new(Fuse::new());
        let mut fuses = self.fuses.borrow_mut();
        if fuses.len() >= self.sweep_at.get() {
            fuses.retain(|fuse| fuse.strong_count() > 0);
            self.sweep_at.set(SWEEP_MIN.max(2 * fuses.len()));
        }
        fuses.push(Rc::downgrade(&fuse));
        fuse
    }

    /// Ends what is over. `lasts_until`: the deadline of what would be lit now; none that is lit later may have an
    /// earlier one.
    pub fn burn(&self, now: Offset, lasts_until: Offset) {
        if now < self.next.get() {
            return;
        }
        let mut next = lasts_until;
        for fuse in self.fuses.borrow().iter().filter_map(Weak::upgrade) {
            match fuse.deadline.get() {
                deadline if deadline <= now => fuse.burn(),
                deadline => next = next.min(deadline),
            }
        }
        self.next.set(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::task::Context;

    fn at(n: u64) -> Offset {
        Offset(n)
    }

    #[tokio::test]
    async fn work_that_ends_is_held_up_by_nothing() {
        let fuses = Fuses::new();
        let fuse = fuses.fuse();
        assert_eq!(fuse.hold(at(10), ready(7)).await, Ok(7));
        // What was over in time does not burn later, nor does what comes after it.
        fuses.burn(at(11), at(21));
        assert_eq!(fuse.hold(at(30), ready(8)).await, Ok(8));
    }

    #[tokio::test]
    async fn work_ends_at_its_deadline_and_not_before() {
        let fuses = Fuses::new();
        let (short, long) = (fuses.fuse(), fuses.fuse());
        let (mut first, mut second) =
            (pin!(short.hold(at(10), pending::<()>())), pin!(long.hold(at(12), pending::<()>())));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
        fuses.burn(at(9), at(19));
        assert!(first.as_mut().poll(&mut context).is_pending());
        fuses.burn(at(10), at(20));
        assert_eq!(first.await, Err(Burnt));
        assert!(second.as_mut().poll(&mut context).is_pending());
        fuses.burn(at(12), at(22));
        assert_eq!(second.await, Err(Burnt));
    }

    #[tokio::test]
    async fn a_burning_fuse_wakes_who_waits_for_it() {
        let fuses = Fuses::new();
        let fuse = fuses.fuse();
        let burn = async {
            tokio::task::yield_now().await;
            fuses.burn(at(10), at(20));
        };
        let (ended, ()) = tokio::join!(fuse.hold(at(10), pending::<()>()), burn);
        assert_eq!(ended, Err(Burnt));
    }

    #[test]
    fn fuses_of_connections_that_are_gone_are_forgotten() {
        let fuses = Fuses::new();
        let kept: Vec<_> = (0..100).map(|_| fuses.fuse()).collect();
        for _ in 0..10_000 {
            drop(fuses.fuse());
        }
        assert!(fuses.fuses.borrow().len() <= 2 * kept.len() + SWEEP_MIN);
    }
}
