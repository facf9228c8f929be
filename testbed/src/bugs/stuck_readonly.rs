//! Asks once, at its start, which server is the primary, and offers to that one for ever: after a failover to one that has
//! become a replica, and refuses every write.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::{BufferConfig, RedisConfig};
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "stuck-readonly", parts: || Arc::new(StuckReadonly) };

struct StuckReadonly;

#[async_trait]
impl Parts for StuckReadonly {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        let url = primary_of(&config.redis.url)
            .await
            .map_err(|e| StrategyError::Unreachable { address: "the primary".to_owned(), why: e.to_string() })?;
        let resolved = BufferConfig { redis: RedisConfig { url, ..config.redis.clone() }, ..config.clone() };
        let primary = strategy::build(&resolved, context).await?;
        Ok(twisted(strategy::build(config, context).await?, Resolved { primary }))
    }
}

/// Of whoever answers there, its own address.
async fn primary_of(url: &str) -> redis::RedisResult<String> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let port: String = info.get("tcp_port").unwrap_or_default();
    Ok(format!("redis://127.0.0.1:{port}"))
}

struct Resolved {
    primary: Buffer,
}

#[async_trait]
impl Twist for Resolved {
    async fn offer(&self, _inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        self.primary.offer(tasks).await
    }

    fn close(&self, inner: &Buffer) {
        inner.close();
        self.primary.close();
    }
}
