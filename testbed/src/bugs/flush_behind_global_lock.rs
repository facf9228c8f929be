//! Every instance has a buffer of its own, and flushes it behind one lock that all share; whoever does not get the lock
//! skips its turn.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Bug;
use super::twisted::{Twist, twisted};
use crate::config::Config;
use crate::parts::{Buffer, Parts};
use crate::strategy::config::BufferConfig;
use crate::strategy::{self, BufferError, Delivery, Receipt, StrategyContext, StrategyError};

pub(super) const BUG: Bug =
    Bug { name: "flush-behind-global-lock", parts: || Arc::new(FlushBehindGlobalLock::default()) };

/// Where the lock lies: beside the database that all share.
#[derive(Default)]
struct FlushBehindGlobalLock {
    place: Mutex<String>,
}

#[async_trait]
impl Parts for FlushBehindGlobalLock {
    fn configuration(&self, written: Config) -> Config {
        let file = written.database.url.revealed().trim_start_matches("sqlite://").to_owned();
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = format!("{file}.lock");
        written
    }

    async fn buffer(&self, config: &BufferConfig, context: &StrategyContext) -> Result<Buffer, StrategyError> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(twisted(strategy::build(config, context).await?, OneAtATime::at(Path::new(&place))))
    }
}

/// The lock is held from a poll that found something until its batch is over.
struct OneAtATime {
    lock: std::io::Result<File>,
}

impl OneAtATime {
    fn at(place: &Path) -> Self {
        OneAtATime { lock: File::options().create(true).truncate(false).write(true).open(place) }
    }

    fn lock(&self) -> Result<&File, BufferError> {
        let why = |error: &std::io::Error| BufferError { action: "lock", buffer: "private", why: error.to_string() };
        self.lock.as_ref().map_err(why)
    }

    fn unlock(&self) {
        if let Ok(lock) = &self.lock {
            // Not held, or the file is gone: either way it is free.
            let _ = lock.unlock();
        }
    }
}

#[async_trait]
impl Twist for OneAtATime {
    async fn poll(&self, inner: &Buffer, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        if let Err(TryLockError::WouldBlock) = self.lock()?.try_lock() {
            return Ok(Vec::new());
        }
        let polled = inner.poll(max, lease).await?;
        if polled.is_empty() {
            self.unlock();
        }
        Ok(polled)
    }

    async fn ack(&self, inner: &Buffer, receipts: &[Receipt]) -> Result<u64, BufferError> {
        let acked = inner.ack(receipts).await;
        self.unlock();
        acked
    }
}
