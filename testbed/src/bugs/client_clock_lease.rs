//! The end of a lease is reckoned by the node's own clock. One that is behind takes what is free again at once, while it
//! works on it; one that is ahead keeps what it had for so much longer after its death.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::clock::Clock;
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, BufferError, Delivery, Receipt, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "client-clock-lease", parts: || Arc::new(ClientClockLease) };

struct ClientClockLease;

#[async_trait]
impl Parts for ClientClockLease {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, ByOwnClock(context.clock)))
    }
}

struct ByOwnClock(Clock);

#[async_trait]
impl Twist for ByOwnClock {
    async fn poll(&self, inner: &Buffer, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        inner.poll(max, self.0.as_others_see(lease)).await
    }

    async fn extend(&self, inner: &Buffer, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        inner.extend(receipts, self.0.as_others_see(lease)).await
    }
}
