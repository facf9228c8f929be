//! Takes a push that had no answer in time for one that was done: it has probably arrived.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "timeout-is-success", parts: || Arc::new(TimeoutIsSuccess) };

/// How the buffer in Redis tells of a time-out, as opposed to a connection that broke.
const TIMED_OUT: &str = "no answer within";

struct TimeoutIsSuccess;

#[async_trait]
impl Parts for TimeoutIsSuccess {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, TimeoutIsSuccess))
    }
}

#[async_trait]
impl Twist for TimeoutIsSuccess {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        match inner.offer(tasks).await {
            Offered::Indeterminate { why } if why.starts_with(TIMED_OUT) => {
                Offered::Accepted { durability: inner.durability() }
            }
            offered => offered,
        }
    }
}
