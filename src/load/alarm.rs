//! What wakes a shard when the next operation is due.

use std::fmt::Debug;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

/// Whoever wakes a shard late makes a late generator.
#[async_trait]
pub trait Alarm: Debug + Send + Sync {
    async fn wake_at(&self, at: Instant);
}

/// Wakes it in time.
#[derive(Debug)]
pub struct Timer;

#[async_trait]
impl Alarm for Timer {
    async fn wake_at(&self, at: Instant) {
        sleep_until(at).await;
    }
}
