//! The buffer in Redis, with a script that is not right.

use std::sync::Arc;

use async_trait::async_trait;

use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::redis::Scripts;
use crate::strategy::{RedisBufferStrategy, StrategyContext, StrategyError};

pub(super) struct Scripted(pub Scripts);

#[async_trait]
impl Parts for Scripted {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(Arc::new(RedisBufferStrategy::connect_with(config, context, self.0).await?))
    }
}
