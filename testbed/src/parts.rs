//! The parts that a service is put together from, each behind its interface: what keeps its life, its buffer, its tables,
//! and the order of its shutdown.
//!
//! In: a configuration. Out: each part, when [`Service::open`](crate::service::Service) asks for it. [`Sound`] makes
//! those of a service that is right; whoever wants another part implements that one method.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{Config, DatabaseConfig};
use crate::lifecycle::{Lifecycle, OneLock};
use crate::shutdown::{IN_ORDER, Step};
use crate::store::Tables;
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, StrategyContext, StrategyError, WriteBackBufferStrategy};

pub type Buffer = Arc<dyn WriteBackBufferStrategy>;

#[async_trait]
pub trait Parts: Send + Sync {
    /// What the other parts are made from.
    fn configuration(&self, written: Config) -> Config {
        written
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(OneLock::default())
    }

    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        strategy::build(config, context).await
    }

    /// What stands in front of the database's own tables.
    fn tables(&self, tables: Arc<dyn Tables>, _config: &DatabaseConfig) -> Arc<dyn Tables> {
        tables
    }

    fn shutdown(&self) -> &'static [Step] {
        IN_ORDER
    }
}

/// Nothing is exchanged.
pub struct Sound;

impl Parts for Sound {}
