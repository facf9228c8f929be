//! The end of a lease is reckoned by the node's own clock, and the clock of one node is behind by more than a lease: what
//! it takes is free again at once, while it works on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, BufferError, Delivery, Receipt, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "client-clock-lease", parts: || Arc::new(ClientClockLease) };

const BEHIND: Duration = Duration::from_secs(3600);
/// The node whose clock is wrong.
const NODE: &str = "worker-1.";

struct ClientClockLease;

#[async_trait]
impl Parts for ClientClockLease {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        let behind = if context.instance.starts_with(NODE) { BEHIND } else { Duration::ZERO };
        Ok(twisted(strategy::build(config, context).await?, Clock { behind }))
    }
}

struct Clock {
    behind: Duration,
}

#[async_trait]
impl Twist for Clock {
    async fn poll(&self, inner: &Buffer, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        inner.poll(max, lease.saturating_sub(self.behind)).await
    }

    async fn extend(&self, inner: &Buffer, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        inner.extend(receipts, lease.saturating_sub(self.behind)).await
    }
}
