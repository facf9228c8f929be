//! The drain of a shutdown writes row by row, and knows of no grace: the orchestrator's SIGKILL ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::config::Config;
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, BufferError, Delivery, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "drain-beyond-grace", parts: || Arc::new(DrainBeyondGrace) };

/// What gathers while a balancer notices is more than any grace of a few seconds takes.
const ONE_ROW: Duration = Duration::from_millis(400);

struct DrainBeyondGrace;

#[async_trait]
impl Parts for DrainBeyondGrace {
    fn configuration(&self, mut written: Config) -> Config {
        written.server.grace = Duration::from_secs(3600);
        written
    }

    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, RowByRow::default()))
    }
}

/// Once it is closed.
#[derive(Default)]
struct RowByRow {
    closed: AtomicBool,
}

#[async_trait]
impl Twist for RowByRow {
    async fn poll(&self, inner: &Buffer, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        if !self.closed.load(Ordering::Acquire) {
            return inner.poll(max, lease).await;
        }
        tokio::time::sleep(ONE_ROW).await;
        inner.poll(1, lease).await
    }

    fn close(&self, inner: &Buffer) {
        self.closed.store(true, Ordering::Release);
        inner.close();
    }
}
