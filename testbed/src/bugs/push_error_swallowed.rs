//! Answers "stored" whatever became of the push: `let _ = push()`.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "push-error-swallowed", parts: || Arc::new(PushErrorSwallowed) };

struct PushErrorSwallowed;

#[async_trait]
impl Parts for PushErrorSwallowed {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, PushErrorSwallowed))
    }
}

#[async_trait]
impl Twist for PushErrorSwallowed {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        // Nobody looks at it: that is the bug.
        let _ = inner.offer(tasks).await;
        Offered::Accepted { durability: inner.durability() }
    }
}
