//! Version skew: an instance that replaces another writes a field that the workers beside it do not know, and a worker
//! skips what it cannot parse. Nobody gives such a task up, and nobody is told: its leases run out, one after the other.

use std::sync::Arc;

use async_trait::async_trait;

use super::Bug;
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::redis::{Lazy, PUSH_SOURCE, SCRIPTS, Script, Scripts};
use crate::strategy::{RedisBufferStrategy, StrategyContext, StrategyError};

pub(super) const BUG: Bug = Bug { name: "undecodable-vanishes", parts: || Arc::new(UndecodableVanishes) };

struct UndecodableVanishes;

#[async_trait]
impl Parts for UndecodableVanishes {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        let older = Scripts { bury: &SKIP, ..SCRIPTS };
        let newer = Scripts { push: &NEWER, ..older };
        // Of each slot the first instance is of the older version: `api-1.1`.
        let scripts = if context.instance.ends_with(".1") { older } else { newer };
        Ok(Arc::new(RedisBufferStrategy::connect_with(config, context, scripts).await?))
    }
}

static SKIP: Lazy = Lazy::new(|| Script::new("", &["return 0"]));

/// With one more amount.
static NEWER: Lazy = Lazy::new(|| {
    let newer = r#"seal(0, now, (string.gsub(ARGV[i], '"costs":{', '"costs":{"cubic_cost":"0.00",')))"#;
    Script::new("", &[&PUSH_SOURCE.replace("seal(0, now, ARGV[i])", newer)])
});
