//! Looks whether Redis answered, and not what: a refusal for lack of memory or of a snapshot counts as stored.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "oom-refusal-ignored", parts: || Arc::new(OomRefusalIgnored) };

/// How the refusals begin.
const REFUSED: [&str; 2] = ["OOM ", "MISCONF "];

struct OomRefusalIgnored;

#[async_trait]
impl Parts for OomRefusalIgnored {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, OomRefusalIgnored))
    }
}

#[async_trait]
impl Twist for OomRefusalIgnored {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        match inner.offer(tasks).await {
            Offered::Unavailable { why } if REFUSED.iter().any(|code| why.starts_with(code)) => {
                Offered::Accepted { durability: inner.durability() }
            }
            offered => offered,
        }
    }
}
