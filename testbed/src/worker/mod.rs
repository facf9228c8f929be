//! The worker: moves tasks from the buffer to the database.
//!
//! In: leased deliveries. Out: rows; then the leases are acknowledged, or given back with a cause.
//!
//! ```text
//! wait_ready ─ poll ─ ◆worker.leased ─ transaction ─ ◆worker.committed ─ ack
//!                                       ├ unavailable ─ nack, the attempt does not count ─ back off
//!                                       └ failed ─ halves, until each poison task stands alone ─ nack
//! ```
//!
//! A batch is prolonged while work on it lasts. Whatever goes wrong is logged, and the worker goes on.

mod backoff;
mod leases;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::WorkerConfig;
use crate::metrics::Metrics;
use crate::pause::{PausePoints, Point};
use crate::store::Store;
use crate::strategy::{BufferError, Cause, Delivery, WriteBackBufferStrategy};
use backoff::Backoff;
use leases::Leases;
use outcome::{Outcome, write};

pub struct Worker {
    buffer: Arc<dyn WriteBackBufferStrategy>,
    store: Store,
    pause: PausePoints,
    metrics: Arc<Metrics>,
    config: WorkerConfig,
    leases: Leases,
}

/// What the loop does after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// As many tasks as a batch takes: more are probably waiting.
    Full,
    Partial,
    /// Buffer or database is away.
    Away,
}

impl Round {
    /// Failures in a row, from those before this round.
    fn failures_after(self, before: u32) -> u32 {
        if self == Round::Away { before.saturating_add(1) } else { 0 }
    }
}

/// While a private buffer is drained: how long to wait for the next task that becomes due.
const DRAIN_WAIT: Duration = Duration::from_millis(20);

impl Worker {
    pub fn new(
        buffer: Arc<dyn WriteBackBufferStrategy>,
        store: Store,
        pause: PausePoints,
        metrics: Arc<Metrics>,
        config: WorkerConfig,
    ) -> Self {
        Worker { buffer, store, pause, metrics, config, leases: Leases::default() }
    }

    /// Works until `stop`, then ends the batch at hand; a private buffer is drained, because nobody else can.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut failures = 0;
        let mut round = Round::Partial;
        while !stop.is_cancelled() {
            if round != Round::Full && stop.run_until_cancelled(self.wait(failures)).await.is_none() {
                break;
            }
            // Never cancelled: a poll that is cut off may have leased tasks.
            round = self.round(failures).await;
            failures = round.failures_after(failures);
        }
        if !self.buffer.capabilities().shared {
            self.drain().await;
        }
    }

    async fn wait(&self, failures: u32) {
        match failures {
            0 => self.buffer.wait_ready(self.config.batch, self.config.flush_interval).await,
            failures => tokio::time::sleep(self.backoff().after(failures)).await,
        }
    }

    /// Every worker looks for expired leases, so that a dead one's tasks are found by any other.
    pub async fn redrive(&self) {
        let mut scan = interval_at(Instant::now() + self.config.redrive_scan, self.config.redrive_scan);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            scan.tick().await;
            self.redrive_once().await;
        }
    }

    /// Until the buffer is empty: also what is delayed, or leased by a round that could not end its leases.
    async fn drain(&self) {
        let mut failures = 0;
        while self.tasks_left().await > 0 {
            let round = self.round(failures).await;
            failures = round.failures_after(failures);
            match round {
                Round::Full => {}
                Round::Partial => self.buffer.wait_ready(1, DRAIN_WAIT).await,
                Round::Away => self.wait(failures).await,
            }
            self.redrive_once().await;
        }
    }

    async fn redrive_once(&self) {
        match self.buffer.redrive().await {
            Ok(0) => {}
            Ok(tasks) => debug!(tasks, "redriven"),
            Err(error) => warn!("failed to {error}"),
        }
    }

    /// Tasks that wait to be written; at least one where the buffer cannot say.
    pub async fn tasks_left(&self) -> u64 {
        match self.buffer.size().await {
            Ok(size) => size.ready + size.leased + size.delayed,
            Err(_) => 1,
        }
    }

    /// Gives back whatever this worker still holds, to be ready at once for another.
    pub async fn release_leases(&self) {
        let receipts = self.leases.all();
        if receipts.is_empty() {
            return;
        }
        match self.buffer.nack(&receipts, Duration::ZERO, &Cause::Unavailable).await {
            Ok(tasks) => info!(tasks, "gave leases back"),
            Err(error) => warn!("failed to {error}: {} leases are left to expire", receipts.len()),
        }
    }

    async fn round(&self, failures: u32) -> Round {
        let deliveries = match self.buffer.poll(self.config.batch, self.config.lease).await {
            Ok(deliveries) if deliveries.is_empty() => return Round::Partial,
            Ok(deliveries) => deliveries,
            Err(error) => {
                warn!("failed to {error}");
                return Round::Away;
            }
        };
        self.leases.hold(&deliveries);
        let round = self.while_prolonging(self.work(&deliveries, failures)).await;
        self.leases.end();
        round
    }

    async fn work(&self, deliveries: &[Delivery], failures: u32) -> Round {
        self.pause.at(Point::WorkerLeased, deliveries.len()).await;
        let began = Instant::now();
        let outcome = write(&self.store, deliveries).await;
        self.metrics.flushed(began.elapsed());
        self.metrics.processed(outcome.committed.len());
        self.metrics.failed_attempts(outcome.failed.len());
        if !outcome.committed.is_empty() {
            self.pause.at(Point::WorkerCommitted, outcome.committed.len()).await;
        }
        self.settle(&outcome, failures).await.unwrap_or_else(|error| {
            warn!("failed to {error}: the leases are left to expire, and their tasks come again");
            Round::Away
        })
    }

    /// Ends every lease of a batch, each in its way.
    async fn settle(&self, outcome: &Outcome<'_>, failures: u32) -> Result<Round, BufferError> {
        let Outcome { committed, failed, unavailable, .. } = outcome;
        if !committed.is_empty() {
            self.buffer.ack(&receipts(committed)).await?;
        }
        for (delivery, why) in failed {
            self.give_back_failed(delivery, why).await?;
        }
        if !unavailable.is_empty() {
            let delay = self.backoff().after(failures + 1);
            self.buffer.nack(&receipts(unavailable), delay, &Cause::Unavailable).await?;
        }
        Ok(self.next_round(outcome))
    }

    fn next_round(&self, outcome: &Outcome<'_>) -> Round {
        if let Some(why) = &outcome.why_unavailable {
            warn!(tasks = outcome.unavailable.len(), "gave a batch back: failed to {why}");
            return Round::Away;
        }
        if outcome.deliveries() == self.config.batch { Round::Full } else { Round::Partial }
    }

    async fn give_back_failed(&self, delivery: &Delivery, why: &str) -> Result<(), BufferError> {
        let Delivery { receipt, task, attempt } = delivery;
        warn!(key = task.key, preset = task.preset, seq = task.seq, attempt, "failed to {why}");
        let delay = self.backoff().after(*attempt);
        let cause = Cause::Failed(why.to_owned());
        self.buffer.nack(std::slice::from_ref(receipt), delay, &cause).await.map(drop)
    }

    fn backoff(&self) -> Backoff {
        Backoff { first: self.config.backoff, longest: self.config.backoff_max }
    }

    /// Three chances to prolong a lease before it ends.
    async fn while_prolonging<T>(&self, work: impl Future<Output = T>) -> T {
        let third = self.config.lease / 3;
        let mut due = interval_at(Instant::now() + third, third);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = due.tick() => self.prolong().await,
            }
        }
    }

    async fn prolong(&self) {
        let receipts = self.leases.all();
        match self.buffer.extend(&receipts, self.config.lease).await {
            Ok(valid) if valid < receipts.len() as u64 => {
                warn!(
                    "{} of {} leases were over before they were prolonged",
                    receipts.len() as u64 - valid,
                    receipts.len()
                );
            }
            Ok(_) => {}
            Err(error) => warn!("failed to {error}"),
        }
    }
}

fn receipts(deliveries: &[&Delivery]) -> Vec<crate::strategy::Receipt> {
    deliveries.iter().map(|delivery| delivery.receipt.clone()).collect()
}
