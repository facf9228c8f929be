//! Where a service is in its life, and how many offers are in flight.
//!
//! In: the phases, set by the service and its shutdown, and each offer's registration. Out: readiness, and a wait for
//! the last offer.
//!
//! # Why one lock
//! An offer is counted and the phase is looked at in one step. Apart, a shutdown could find no offer in flight between
//! the two, drain the buffer, and leave behind what that offer stores a moment later. What a service needs of it is the
//! trait [`Lifecycle`]; [`OneLock`] is how it is kept.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Starting,
    Ready,
    /// Readiness is off, every answer says `Connection: close`, offers are still taken.
    Leaving,
    /// Offers are refused.
    Refusing,
}

/// What a service asks of its life.
#[async_trait]
pub trait Lifecycle: Send + Sync {
    fn phase(&self) -> Phase;
    /// Phases only ever advance.
    fn advance(&self, to: Phase);
    /// Counts an offer as in flight until what is returned is dropped; `None` where offers are refused.
    fn register(&self) -> Option<OfferInFlight>;
    fn offers_in_flight(&self) -> usize;
    /// Returns when no offer is in flight.
    async fn offers_finished(&self);
}

/// An offer that a shutdown waits for, until this is dropped.
#[must_use]
pub struct OfferInFlight {
    _counted: Box<dyn Any + Send>,
}

impl OfferInFlight {
    pub fn counted_by(counted: impl Any + Send) -> Self {
        OfferInFlight { _counted: Box::new(counted) }
    }
}

#[derive(Debug)]
struct State {
    phase: Phase,
    offers: usize,
}

/// Phase and count under one lock.
#[derive(Debug, Clone)]
pub struct OneLock {
    state: Arc<watch::Sender<State>>,
}

impl Default for OneLock {
    fn default() -> Self {
        OneLock { state: Arc::new(watch::Sender::new(State { phase: Phase::Starting, offers: 0 })) }
    }
}

#[async_trait]
impl Lifecycle for OneLock {
    fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    fn advance(&self, to: Phase) {
        self.state.send_modify(|state| state.phase = state.phase.max(to));
    }

    fn register(&self) -> Option<OfferInFlight> {
        let mut accepted = false;
        self.state.send_if_modified(|state| {
            accepted = state.phase < Phase::Refusing;
            state.offers += usize::from(accepted);
            false
        });
        accepted.then(|| OfferInFlight::counted_by(Counted(self.clone())))
    }

    fn offers_in_flight(&self) -> usize {
        self.state.borrow().offers
    }

    async fn offers_finished(&self) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.offers == 0).await.expect("the sender lives as long as `self`");
    }
}

/// One of the offers that the lock counts.
struct Counted(OneLock);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            state.offers -= 1;
            state.offers == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_never_goes_back() {
        let life = OneLock::default();
        life.advance(Phase::Refusing);
        life.advance(Phase::Ready);
        assert_eq!(life.phase(), Phase::Refusing);
    }

    #[test]
    fn a_leaving_service_still_takes_offers_and_a_refusing_one_does_not() {
        let life = OneLock::default();
        life.advance(Phase::Leaving);
        assert!(life.register().is_some());
        life.advance(Phase::Refusing);
        assert!(life.register().is_none());
        assert_eq!(life.offers_in_flight(), 0);
    }

    #[tokio::test]
    async fn the_wait_ends_with_the_last_offer_and_not_before() {
        let life = OneLock::default();
        let (first, second) = (life.register().unwrap(), life.register().unwrap());
        let finished = life.offers_finished();
        tokio::pin!(finished);
        drop(first);
        assert!(futures_pending(finished.as_mut()).await);
        drop(second);
        finished.await;
    }

    async fn futures_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        tokio::select! { biased; () = future => false, () = std::future::ready(()) => true }
    }
}
