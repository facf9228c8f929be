//! A strategy that nobody knows is taken for the default: with one letter wrong, the shared buffer is a private one.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use crate::config::{Config, Role};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "typo-is-in-memory", parts: || Arc::new(TypoIsInMemory) };

struct TypoIsInMemory;

#[async_trait]
impl Parts for TypoIsInMemory {
    /// The typo, and instances that write what they took: nothing but the place of the buffer is wrong.
    fn configuration(&self, mut written: Config) -> Config {
        written.buffer.strategy = written.buffer.strategy.replace("redis", "reddis");
        if written.role == Role::Api {
            written.role = Role::All;
        }
        written
    }

    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        match strategy::build(config, context).await {
            Err(StrategyError::Unknown { .. }) => strategy::build(&BufferConfig::default(), context).await,
            built => built,
        }
    }
}
