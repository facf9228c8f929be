//! V4: the buffer in this process's memory. In: offers, bounded in tasks and bytes. Out: leased deliveries.
//!
//! Its semantic is that of the shared buffers, so that only the place differs: what is in here dies with the process,
//! and no other instance sees it.

mod store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::store::Store;
use super::config::BufferConfig;
use super::registry::{Building, Strategy, StrategyContext};
use super::{
    BufferError, BufferType, Capabilities, Cause, DeadLetter, Delivery, Durability, Offered, Receipt, Size,
    WriteBackBufferStrategy,
};
use crate::task::ExpectationWriteTask;

pub(super) const STRATEGY: Strategy = Strategy { word: "in-memory", build };

fn build<'a>(config: &'a BufferConfig, context: &'a StrategyContext) -> Building<'a> {
    Box::pin(async move { Ok(Arc::new(InMemoryBufferStrategy::new(config, context)) as _) })
}

/// How long a caller should stay away when the buffer is full: a few flushes' worth.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub struct InMemoryBufferStrategy {
    instance: String,
    store: Mutex<Store>,
    closed: AtomicBool,
    /// Told whenever tasks become ready.
    became_ready: Notify,
}

impl InMemoryBufferStrategy {
    pub fn new(config: &BufferConfig, context: &StrategyContext) -> Self {
        InMemoryBufferStrategy {
            instance: context.instance.clone(),
            store: Mutex::new(Store::new(config, context)),
            closed: AtomicBool::new(false),
            became_ready: Notify::new(),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no method of the store panics")
    }

    /// The number of one of our own receipts; anything else is stale.
    fn number(&self, receipt: &Receipt) -> Option<u64> {
        receipt.number().filter(|_| receipt.holder() == self.instance)
    }

    fn count(&self, receipts: &[Receipt], change: impl FnMut(u64) -> bool) -> u64 {
        receipts.iter().filter_map(|r| self.number(r)).map(change).filter(|changed| *changed).count() as u64
    }
}

#[async_trait]
impl WriteBackBufferStrategy for InMemoryBufferStrategy {
    async fn offer(&self, tasks: Vec<ExpectationWriteTask>) -> Offered {
        if self.closed.load(Ordering::Acquire) {
            return Offered::ShuttingDown;
        }
        if !self.store().push(tasks, Instant::now()) {
            return Offered::Backpressure { retry_after: RETRY_AFTER };
        }
        self.became_ready.notify_waiters();
        Offered::Accepted { durability: self.durability() }
    }

    async fn poll(&self, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        let leased = self.store().lease(max, Instant::now() + lease);
        Ok(leased.into_iter().map(|l| l.sign(&self.instance)).collect())
    }

    async fn wait_ready(&self, at_least: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let mut told = std::pin::pin!(self.became_ready.notified());
            // Listen before looking: an offer between the two would otherwise go unheard.
            told.as_mut().enable();
            if self.store().ready() >= at_least || timeout_at(deadline, told).await.is_err() {
                return;
            }
        }
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<u64, BufferError> {
        let mut store = self.store();
        Ok(self.count(receipts, |number| store.end(number)))
    }

    async fn nack(&self, receipts: &[Receipt], delay: Duration, cause: &Cause) -> Result<u64, BufferError> {
        let due = Instant::now() + delay;
        let given_back = {
            let mut store = self.store();
            let given_back = self.count(receipts, |number| store.give_back(number, due, cause));
            if delay.is_zero() {
                store.redeliver_delayed(due);
            }
            given_back
        };
        self.became_ready.notify_waiters();
        Ok(given_back)
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        let until = Instant::now() + lease;
        let mut store = self.store();
        Ok(self.count(receipts, |number| store.extend(number, until)))
    }

    async fn redrive(&self) -> Result<u64, BufferError> {
        let redriven = self.store().redrive(Instant::now());
        self.became_ready.notify_waiters();
        Ok(redriven)
    }

    async fn size(&self) -> Result<Size, BufferError> {
        Ok(self.store().size(Instant::now()))
    }

    async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, BufferError> {
        Ok(self.store().dead().iter().take(max).cloned().collect())
    }

    async fn ping(&self) -> Result<(), BufferError> {
        Ok(())
    }

    fn buffer_type(&self) -> BufferType {
        BufferType::InMemory
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared: false, durable: false, ordered: true }
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::task::{Costs, Money};

    fn task(seq: u64) -> ExpectationWriteTask {
        let costs = Costs {
            total_expected_cost: Money(1),
            black_cube_cost: Money(2),
            red_cube_cost: Money(3),
            additional_cube_cost: Money(4),
            starforce_cost: Money(5),
        };
        ExpectationWriteTask { key: 1, preset: 1, seq, costs }
    }

    fn buffer() -> InMemoryBufferStrategy {
        let context = StrategyContext { instance: "local".into(), max_attempts: 3, clock: Clock::default() };
        InMemoryBufferStrategy::new(&BufferConfig::default(), &context)
    }

    const LEASE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_lease_lasts_exactly_its_time() {
        let buffer = buffer();
        buffer.offer(vec![task(1)]).await;
        buffer.poll(1, LEASE).await.unwrap();
        tokio::time::advance(LEASE - Duration::from_millis(1)).await;
        assert_eq!(buffer.redrive().await.unwrap(), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(buffer.redrive().await.unwrap(), 1);
        assert_eq!(buffer.poll(1, LEASE).await.unwrap()[0].attempt, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_age_is_that_of_the_oldest_ready_task() {
        let buffer = buffer();
        assert_eq!(buffer.size().await.unwrap().oldest_age, None);
        for seq in 1..=2 {
            buffer.offer(vec![task(seq)]).await;
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(buffer.size().await.unwrap().oldest_age, Some(Duration::from_secs(20)));
        buffer.poll(1, LEASE).await.unwrap();
        assert_eq!(buffer.size().await.unwrap().oldest_age, Some(Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_enough_tasks_or_at_its_limit() {
        let (buffer, began) = (buffer(), Instant::now());
        let both = async { tokio::join!(buffer.wait_ready(2, LEASE), buffer.offer(vec![task(1), task(2)])) };
        both.await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        buffer.wait_ready(3, LEASE).await;
        assert_eq!(began.elapsed(), LEASE);
    }

    #[tokio::test]
    async fn a_receipt_of_another_holder_is_stale() {
        let buffer = buffer();
        buffer.offer(vec![task(1)]).await;
        let number = buffer.poll(1, LEASE).await.unwrap()[0].receipt.number().unwrap();
        assert_eq!(buffer.ack(&[Receipt::new("another", number)]).await.unwrap(), 0);
        assert_eq!(buffer.size().await.unwrap().leased, 1);
    }
}
