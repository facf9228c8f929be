//! A failed attempt is not counted: a task that fails whoever tries comes again for ever.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, BufferError, Cause, Receipt, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "attempt-reset", parts: || Arc::new(AttemptReset) };

struct AttemptReset;

#[async_trait]
impl Parts for AttemptReset {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, AttemptReset))
    }
}

#[async_trait]
impl Twist for AttemptReset {
    async fn nack(
        &self,
        inner: &Buffer,
        receipts: &[Receipt],
        (delay, _): (Duration, &Cause),
    ) -> Result<u64, BufferError> {
        inner.nack(receipts, delay, &Cause::Unavailable).await
    }
}
