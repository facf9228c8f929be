//! The tracker of offers in flight ends with its first idle moment, and from then on waits for nothing (a Phaser that
//! terminates): the drain passes an offer that is still on its way, which is stored and acknowledged behind it.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::open_to_the_end::OpenToTheEnd;
use super::twisted::twisted;
use crate::lifecycle::{Lifecycle, OfferInFlight, OneLock, Phase};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "dead-drain-tracker", parts: || Arc::new(DeadDrainTracker) };

struct DeadDrainTracker;

#[async_trait]
impl Parts for DeadDrainTracker {
    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(WaitsForNothing(OneLock::default()))
    }

    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, OpenToTheEnd))
    }
}

/// It was idle before the first request, so that it has ended.
struct WaitsForNothing(OneLock);

#[async_trait]
impl Lifecycle for WaitsForNothing {
    fn phase(&self) -> Phase {
        self.0.phase()
    }

    fn advance(&self, to: Phase) {
        self.0.advance(to);
    }

    fn register(&self) -> Option<OfferInFlight> {
        self.0.register()
    }

    fn offers_in_flight(&self) -> usize {
        self.0.offers_in_flight()
    }

    async fn offers_finished(&self) {}
}
