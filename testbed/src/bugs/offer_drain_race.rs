//! An offer looks at the flag, and is counted only when its store begins: a shutdown between the two finds nothing in
//! flight, drains, and leaves behind what is stored a moment later.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::open_to_the_end::OpenToTheEnd;
use super::twisted::twisted;
use crate::lifecycle::{Lifecycle, OfferInFlight, OneLock, Phase};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "offer-drain-race", parts: || Arc::new(OfferDrainRace) };

struct OfferDrainRace;

#[async_trait]
impl Parts for OfferDrainRace {
    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(LooksThenCounts(OneLock::default()))
    }

    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, OpenToTheEnd))
    }
}

/// Two steps. The pause point `offer.registered` lies in the window between them.
struct LooksThenCounts(OneLock);

#[async_trait]
impl Lifecycle for LooksThenCounts {
    fn phase(&self) -> Phase {
        self.0.phase()
    }

    fn advance(&self, to: Phase) {
        self.0.advance(to);
    }

    /// Looks; nothing is counted yet. A store in memory takes no time in which it could be counted.
    fn register(&self) -> Option<OfferInFlight> {
        (self.0.phase() < Phase::Refusing).then(|| OfferInFlight::counted_by(()))
    }

    fn offers_in_flight(&self) -> usize {
        self.0.offers_in_flight()
    }

    async fn offers_finished(&self) {
        self.0.offers_finished().await;
    }
}
