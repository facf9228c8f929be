//! A lease is shorter than a batch on a slow database, and nobody prolongs it: what one worker is about to commit is
//! given to the other one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, BufferError, Delivery, Receipt, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "lease-too-short", parts: || Arc::new(LeaseTooShort) };

const LEASE: Duration = Duration::from_millis(100);

struct LeaseTooShort;

#[async_trait]
impl Parts for LeaseTooShort {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, LeaseTooShort))
    }
}

#[async_trait]
impl Twist for LeaseTooShort {
    async fn poll(&self, inner: &Buffer, max: usize, _lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        inner.poll(max, LEASE).await
    }

    async fn extend(&self, _inner: &Buffer, receipts: &[Receipt], _lease: Duration) -> Result<u64, BufferError> {
        Ok(receipts.len() as u64)
    }
}
