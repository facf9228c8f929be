//! Pushes again what had no answer, as if that meant that nothing was done.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "resend-after-timeout", parts: || Arc::new(ResendAfterTimeout) };

/// After the first push.
const AGAIN: usize = 2;

struct ResendAfterTimeout;

#[async_trait]
impl Parts for ResendAfterTimeout {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, ResendAfterTimeout))
    }
}

#[async_trait]
impl Twist for ResendAfterTimeout {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        let mut offered = inner.offer(tasks.clone()).await;
        for _ in 0..AGAIN {
            if !matches!(offered, Offered::Indeterminate { .. }) {
                break;
            }
            offered = inner.offer(tasks.clone()).await;
        }
        offered
    }
}
