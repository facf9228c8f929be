//! Where a service is in its life, and how many offers are in flight.
//!
//! In: the phases, set by the service and its shutdown, and each offer's registration. Out: readiness, and a wait for
//! the last offer.
//!
//! # Why one lock
//! An offer is counted and the phase is looked at in one step. Apart, a shutdown could find no offer in flight between
//! the two, drain the buffer, and leave behind what that offer stores a moment later.

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

#[derive(Debug)]
struct State {
    phase: Phase,
    offers: usize,
}

#[derive(Debug)]
pub struct Lifecycle {
    state: watch::Sender<State>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Lifecycle { state: watch::Sender::new(State { phase: Phase::Starting, offers: 0 }) }
    }
}

impl Lifecycle {
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Phases only ever advance.
    pub fn advance(&self, to: Phase) {
        self.state.send_modify(|state| state.phase = state.phase.max(to));
    }

    /// Counts an offer as in flight until the guard is dropped; `None` where offers are refused.
    pub fn register(&self) -> Option<OfferInFlight<'_>> {
        let mut accepted = false;
        self.state.send_if_modified(|state| {
            accepted = state.phase < Phase::Refusing;
            state.offers += usize::from(accepted);
            false
        });
        accepted.then(|| OfferInFlight { lifecycle: self })
    }

    pub fn offers_in_flight(&self) -> usize {
        self.state.borrow().offers
    }

    /// Returns when no offer is in flight.
    pub async fn offers_finished(&self) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.offers == 0).await.expect("the sender lives as long as `self`");
    }
}

/// An offer that a shutdown waits for.
#[must_use]
#[derive(Debug)]
pub struct OfferInFlight<'a> {
    lifecycle: &'a Lifecycle,
}

impl Drop for OfferInFlight<'_> {
    fn drop(&mut self) {
        self.lifecycle.state.send_if_modified(|state| {
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
        let life = Lifecycle::default();
        life.advance(Phase::Refusing);
        life.advance(Phase::Ready);
        assert_eq!(life.phase(), Phase::Refusing);
    }

    #[test]
    fn a_leaving_service_still_takes_offers_and_a_refusing_one_does_not() {
        let life = Lifecycle::default();
        life.advance(Phase::Leaving);
        assert!(life.register().is_some());
        life.advance(Phase::Refusing);
        assert!(life.register().is_none());
        assert_eq!(life.offers_in_flight(), 0);
    }

    #[tokio::test]
    async fn the_wait_ends_with_the_last_offer_and_not_before() {
        let life = Lifecycle::default();
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
