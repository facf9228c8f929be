//! For a control: every write is answered 503. Nothing is lost, and nothing is shown.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "error-pages", parts: || Arc::new(ErrorPages) };

struct ErrorPages;

#[async_trait]
impl Parts for ErrorPages {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, ErrorPages))
    }
}

#[async_trait]
impl Twist for ErrorPages {
    async fn offer(&self, _inner: &Buffer, _tasks: Vec<ExpectationWriteTask>) -> Offered {
        Offered::Unavailable { why: "an error page".into() }
    }
}
