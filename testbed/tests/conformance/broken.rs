//! Strategies with one mistake each, built on one that has none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use testbed::strategy::{
    BufferError, BufferType, Capabilities, Cause, DeadLetter, Delivery, Durability, Offered, Receipt, Size,
    WriteBackBufferStrategy,
};
use testbed::task::ExpectationWriteTask;

use crate::invariants::{TaskId, id};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// What a worker that died held is gone.
    PopsWithoutLease,
    /// Of two tasks of a row it keeps the older.
    DropsTheNewest,
    /// Delivers a task that nobody offered.
    Invents,
    /// An acknowledgement counts for the task, whoever holds it now.
    AcksByTask,
    /// Still counts what was acknowledged.
    CountsTwice,
    /// Forgets that a task has failed.
    ResetsAttempts,
    /// Never looks for expired leases.
    NeverRedrives,
    /// Takes only some requests: callers would have to change with it.
    IsChoosy,
}

pub struct Broken {
    mistake: Mistake,
    inner: Arc<dyn WriteBackBufferStrategy>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By receipt: which task, and when its lease ends.
    leases: BTreeMap<Receipt, (TaskId, Instant)>,
    /// The last receipt of each task.
    latest: BTreeMap<TaskId, Receipt>,
    /// The newest seq of each row that was taken.
    taken: BTreeMap<(i64, u8), u64>,
    acked: u64,
    invented: BTreeSet<Receipt>,
}

impl Broken {
    pub fn new(mistake: Mistake, inner: Arc<dyn WriteBackBufferStrategy>) -> Self {
        Broken { mistake, inner, state: Mutex::default() }
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Without those that are newer than one of the same row before them.
    fn without_the_newest(&self, tasks: Vec<ExpectationWriteTask>) -> Vec<ExpectationWriteTask> {
        let mut state = self.state();
        let older = |task: &ExpectationWriteTask| {
            let taken = state.taken.entry((task.key, task.preset)).or_insert(task.seq);
            *taken >= task.seq
        };
        tasks.into_iter().filter(older).collect()
    }

    fn note(&self, deliveries: &[Delivery], lease: Duration) {
        let mut state = self.state();
        for delivery in deliveries {
            let (task, receipt) = (id(&delivery.task), delivery.receipt.clone());
            state.leases.insert(receipt.clone(), (task, Instant::now() + lease));
            state.latest.insert(task, receipt);
        }
    }

    /// The same task under another key.
    fn invent(&self, deliveries: &mut Vec<Delivery>) {
        let mut state = self.state();
        if let Some(first) = deliveries.first().filter(|_| state.invented.is_empty()) {
            let mut invented = first.clone();
            invented.receipt = Receipt("nobody#0".into());
            invented.task.key += 50;
            state.invented.insert(invented.receipt.clone());
            deliveries.push(invented);
        }
    }

    fn expired(&self) -> Vec<Receipt> {
        let mut state = self.state();
        let now = Instant::now();
        state.leases.extract_if(.., |_, (_, until)| *until <= now).map(|(receipt, _)| receipt).collect()
    }

    /// The receipts under which the inner buffer knows the same tasks now.
    fn current(&self, receipts: &[Receipt]) -> Vec<Receipt> {
        let state = self.state();
        let task = |receipt: &Receipt| state.leases.get(receipt).map(|(task, _)| *task);
        let latest = receipts.iter().filter_map(task).filter_map(|task| state.latest.get(&task).cloned());
        latest.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How many of them were invented, and the rest.
    fn without_invented(&self, receipts: &[Receipt]) -> (u64, Vec<Receipt>) {
        let state = self.state();
        let (invented, real): (Vec<_>, _) = receipts.iter().cloned().partition(|r| state.invented.contains(r));
        (invented.len() as u64, real)
    }
}

#[async_trait]
impl WriteBackBufferStrategy for Broken {
    async fn offer(&self, tasks: Vec<ExpectationWriteTask>) -> Offered {
        if self.is(Mistake::IsChoosy) && tasks.len() > 2 {
            return Offered::Backpressure { retry_after: Duration::from_secs(1) };
        }
        let tasks = if self.is(Mistake::DropsTheNewest) { self.without_the_newest(tasks) } else { tasks };
        self.inner.offer(tasks).await
    }

    async fn poll(&self, max: usize, lease: Duration) -> Result<Vec<Delivery>, BufferError> {
        let mut deliveries = self.inner.poll(max, lease).await?;
        self.note(&deliveries, lease);
        if self.is(Mistake::Invents) {
            self.invent(&mut deliveries);
        }
        Ok(deliveries)
    }

    async fn wait_ready(&self, at_least: usize, limit: Duration) {
        self.inner.wait_ready(at_least, limit).await;
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<u64, BufferError> {
        let (invented, receipts) = self.without_invented(receipts);
        let receipts = if self.is(Mistake::AcksByTask) { self.current(&receipts) } else { receipts };
        let acked = self.inner.ack(&receipts).await?;
        self.state().acked += acked;
        Ok(acked + invented)
    }

    async fn nack(&self, receipts: &[Receipt], delay: Duration, cause: &Cause) -> Result<u64, BufferError> {
        let (invented, receipts) = self.without_invented(receipts);
        let cause = if self.is(Mistake::ResetsAttempts) { &Cause::Unavailable } else { cause };
        Ok(self.inner.nack(&receipts, delay, cause).await? + invented)
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<u64, BufferError> {
        let (invented, receipts) = self.without_invented(receipts);
        Ok(self.inner.extend(&receipts, lease).await? + invented)
    }

    async fn redrive(&self) -> Result<u64, BufferError> {
        match self.mistake {
            Mistake::NeverRedrives => return Ok(0),
            Mistake::PopsWithoutLease => drop(self.inner.ack(&self.expired()).await?),
            _ => {}
        }
        self.inner.redrive().await
    }

    async fn size(&self) -> Result<Size, BufferError> {
        let mut size = self.inner.size().await?;
        if self.is(Mistake::CountsTwice) {
            size.leased += self.state().acked;
        }
        Ok(size)
    }

    async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, BufferError> {
        self.inner.dead_letters(max).await
    }

    async fn ping(&self) -> Result<(), BufferError> {
        self.inner.ping().await
    }

    fn buffer_type(&self) -> BufferType {
        self.inner.buffer_type()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn close(&self) {
        self.inner.close();
    }
}
