//! A queue with one slot for each entity: what comes while the slot is taken replaces what is in it, and both are answered
//! as stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, Offered, StrategyContext, StrategyError};
use crate::task::ExpectationWriteTask;

pub(super) const BUG: Bug = Bug { name: "one-slot-per-key", parts: || Arc::new(OneSlotPerKey) };

/// How long a slot gathers before it is pushed: a burst on one key falls into it.
const GATHER: Duration = Duration::from_millis(150);

struct OneSlotPerKey;

#[async_trait]
impl Parts for OneSlotPerKey {
    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        Ok(twisted(strategy::build(config, context).await?, Slots::default()))
    }
}

/// By character: the request that is pushed next.
#[derive(Default)]
struct Slots(Mutex<BTreeMap<i64, Vec<ExpectationWriteTask>>>);

impl Slots {
    /// Whether the slot was free.
    fn put(&self, key: i64, tasks: Vec<ExpectationWriteTask>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, tasks).is_none()
    }

    fn take(&self, key: i64) -> Vec<ExpectationWriteTask> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key).unwrap_or_default()
    }
}

#[async_trait]
impl Twist for Slots {
    async fn offer(&self, inner: &Buffer, tasks: Vec<ExpectationWriteTask>) -> Offered {
        let Some(key) = tasks.first().map(|task| task.key) else { return inner.offer(tasks).await };
        if !self.put(key, tasks) {
            return Offered::Accepted { durability: inner.durability() };
        }
        tokio::time::sleep(GATHER).await;
        inner.offer(self.take(key)).await
    }
}
