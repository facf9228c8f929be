//! A bounded ring that makes room for the newest by forgetting the oldest, without a word.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "ring-drops-oldest", parts: || Arc::new(RingDropsOldest) };

/// Tasks that fit: what comes within one flush under the load that exposes it, and not while a flush is held up.
const RING: u64 = 9;

struct RingDropsOldest;

#[async_trait]
impl Parts for RingDropsOldest {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, RingDropsOldest))
    }
}

#[async_trait]
impl Twist for RingDropsOldest {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        let offered = inner.offer(tasks).await;
        forget_the_oldest(inner).await;
        offered
    }
}

async fn forget_the_oldest(inner: &Buffer) {
    let ready = inner.size().await.map_or(0, |size| size.ready);
    let excess = ready.saturating_sub(RING) as usize;
    if let Ok(oldest) = inner.poll(excess, Duration::from_secs(1)).await {
        let receipts: Vec<_> = oldest.into_iter().map(|delivery| delivery.receipt).collect();
        // What cannot be forgotten is kept: no harm.
        let _ = inner.ack(&receipts).await;
    }
}
