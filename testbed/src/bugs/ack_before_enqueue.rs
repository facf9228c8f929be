//! Answers first, pushes later: what was acknowledged within the last moments dies with the process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "ack-before-enqueue", parts: || Arc::new(AckBeforeEnqueue) };

/// The window: whenever the process dies, the writes of so long are at stake.
const LATER: Duration = Duration::from_millis(300);

struct AckBeforeEnqueue;

#[async_trait]
impl Parts for AckBeforeEnqueue {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, AckBeforeEnqueue))
    }
}

#[async_trait]
impl Twist for AckBeforeEnqueue {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        let (pushing, durability) = (inner.clone(), inner.durability());
        // Nobody awaits it: that is the bug.
        tokio::spawn(async move {
            tokio::time::sleep(LATER).await;
            pushing.offer(tasks).await
        });
        Offered::Accepted { durability }
    }
}
