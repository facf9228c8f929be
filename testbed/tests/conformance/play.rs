//! Plays a script against a strategy and a database, and notes what it sees. Then a worker without fault drains the
//! buffer, until it is empty or gives out no more.
//!
//! # What is known of a receipt
//! A clock runs beside the script. A receipt is *stale* once its task was delivered again or its delivery ended, and
//! *current* while its lease surely lasts. Between the two nobody can say, and nothing is concluded.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testbed::store::{Store, StoreError};
use testbed::strategy::{Cause, Delivery, Offered, Receipt, Size, WriteBackBufferStrategy};
use testbed::task::ExpectationWriteTask;
use tokio::time::sleep;

use crate::invariants::{Evidence, Invariant, TaskId, id};
use crate::lab::database::Database;
use crate::lab::strategies::MAX_ATTEMPTS;
use crate::script::{KEYS, Script, Step, task};

/// Short enough to be waited for.
const LEASE: Duration = Duration::from_millis(150);
/// Of the worker that drains: it abandons nothing.
const LONG_LEASE: Duration = Duration::from_secs(20);
/// A broker may count in milliseconds.
const TICK: Duration = Duration::from_millis(5);
/// How often a worker looks for expired leases.
const SCAN: Duration = Duration::from_millis(20);
/// What a busy machine may add to a recovery.
const BUSY: Duration = Duration::from_secs(3);

/// What a script is played against.
pub struct Stage<'a> {
    pub strategy: Arc<dyn WriteBackBufferStrategy>,
    pub store: &'a Store,
    pub database: &'a Database,
    /// Keys below it belong to other scripts.
    pub first: i64,
}

/// What one delivery came to, as far as the script knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Acked,
    Failed,
    GivenBack,
    /// One of several, not all of which were taken.
    Unknown,
}

/// One delivery. The last one of a task is the current one.
#[derive(Debug)]
struct Given {
    receipt: Receipt,
    /// The lease lasts at least until then.
    until: Instant,
    ended: Ended,
}

/// What a worker holds, and what the database said to it.
#[derive(Debug)]
struct Held {
    delivery: Delivery,
    written: Option<Result<(), String>>,
}

struct Player<'a> {
    stage: Stage<'a>,
    evidence: Evidence,
    workers: [Vec<Held>; 2],
    given: BTreeMap<TaskId, Vec<Given>>,
    /// Longer once the script is over.
    lease: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Current,
    Unknown,
    Stale,
}

impl Stage<'_> {
    pub async fn play(self, script: &Script) -> Evidence {
        let first = self.first;
        let mut player = Player {
            stage: self,
            evidence: Evidence { first, ..Evidence::default() },
            workers: Default::default(),
            given: BTreeMap::new(),
            lease: LEASE,
        };
        for step in script {
            player.step(step).await;
            player.check_sums().await;
        }
        player.drain().await;
        player.finish().await
    }
}

impl Player<'_> {
    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Offer { key, seq, presets } => self.offer(key, seq, presets).await,
            Step::Poll { worker, max } => drop(self.poll(worker, max).await),
            Step::Apply { worker } => self.apply(worker).await,
            Step::Settle { worker } => self.settle(worker).await,
            Step::GiveBack { worker, delayed } => self.give_back(worker, delayed).await,
            Step::Extend { worker } => self.extend(worker).await,
            Step::Crash { worker } => self.workers[worker].clear(),
            Step::Expire => sleep(LEASE + TICK).await,
            Step::Redrive => drop(self.stage.strategy.redrive().await.expect("redrive")),
        }
    }

    async fn offer(&mut self, key: i64, seq: u64, presets: u8) {
        let tasks: Vec<_> = (1..=presets).map(|preset| task(self.stage.first, key, seq, preset)).collect();
        if let Offered::Accepted { .. } = self.stage.strategy.offer(tasks.clone()).await {
            self.evidence.accepted.extend(tasks.into_iter().map(|task| (id(&task), task)));
        }
    }

    async fn poll(&mut self, worker: usize, max: usize) -> usize {
        let until = Instant::now() + self.lease - TICK;
        let deliveries = self.stage.strategy.poll(max, self.lease).await.expect("poll");
        let count = deliveries.len();
        for delivery in deliveries {
            self.note_delivery(&delivery, until);
            self.workers[worker].push(Held { delivery, written: None });
        }
        count
    }

    fn note_delivery(&mut self, delivery: &Delivery, until: Instant) {
        let name = id(&delivery.task);
        if self.evidence.accepted.get(&name) != Some(&delivery.task) {
            self.evidence.saw(Invariant::NothingIsInvented, format!("nobody offered what was delivered: {delivery:?}"));
        }
        let earlier = self.given.entry(name).or_default();
        let attempts = attempts_after(earlier);
        let again = earlier.iter().any(|given| given.ended == Ended::Acked);
        let twice = earlier.last().is_some_and(|last| last.ended == Ended::No && Instant::now() < last.until);
        earlier.push(Given { receipt: delivery.receipt.clone(), until, ended: Ended::No });
        if again || twice {
            let when = if again { "after its acknowledgement" } else { "while another lease of it lasts" };
            self.evidence.saw(Invariant::TheSumsAddUp, format!("{name:?} was delivered {when}"));
        }
        if !attempts.contains(&delivery.attempt) || delivery.attempt > MAX_ATTEMPTS {
            let seen = format!("{name:?} came as attempt {}, not {attempts:?} of {MAX_ATTEMPTS}", delivery.attempt);
            self.evidence.saw(Invariant::AttemptsAreBounded, seen);
        }
    }

    /// As a worker does: the batch in one transaction, and each task by itself where the database refuses one.
    async fn apply(&mut self, worker: usize) {
        let unwritten = |held: &&mut Held| held.written.is_none();
        let mut batch: Vec<&mut Held> = self.workers[worker].iter_mut().filter(unwritten).collect();
        let tasks: Vec<ExpectationWriteTask> = batch.iter().map(|held| held.delivery.task.clone()).collect();
        match self.stage.store.apply(&tasks.iter().collect::<Vec<_>>()).await {
            Ok(_) => batch.iter_mut().for_each(|held| held.written = Some(Ok(()))),
            Err(StoreError::Failed(_)) => {
                for (held, task) in batch.into_iter().zip(&tasks) {
                    held.written = Some(self.stage.store.apply(&[task]).await.map(drop).map_err(|e| e.to_string()));
                }
            }
            Err(StoreError::Unavailable(why)) => panic!("{}: {why}", self.stage.database.word),
        }
    }

    async fn settle(&mut self, worker: usize) {
        let (written, held): (Vec<Held>, _) =
            std::mem::take(&mut self.workers[worker]).into_iter().partition(|h| h.written.is_some());
        self.workers[worker] = held;
        let (mut committed, mut refused) = (Vec::new(), Vec::new());
        for held in written {
            match held.written.expect("it is") {
                Ok(()) => committed.push(held.delivery),
                Err(why) => refused.push((held.delivery, why)),
            }
        }
        self.end(committed, Ended::Acked, "").await;
        for (delivery, why) in refused {
            self.end(vec![delivery], Ended::Failed, &why).await;
        }
    }

    async fn give_back(&mut self, worker: usize, delayed: bool) {
        let (held, written): (Vec<Held>, _) =
            std::mem::take(&mut self.workers[worker]).into_iter().partition(|h| h.written.is_none());
        self.workers[worker] = written;
        let deliveries = held.into_iter().map(|held| held.delivery).collect();
        self.end(deliveries, Ended::GivenBack, if delayed { "delayed" } else { "" }).await;
    }

    /// Ends deliveries: those whose receipt is surely current in one call, the others one by one.
    async fn end(&mut self, deliveries: Vec<Delivery>, how: Ended, why: &str) {
        let (current, others): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| self.standing(delivery) == Standing::Current);
        self.end_current(current, how, why).await;
        for delivery in others {
            self.end_other(&delivery, how, why).await;
        }
    }

    async fn end_current(&mut self, deliveries: Vec<Delivery>, how: Ended, why: &str) {
        if deliveries.is_empty() {
            return;
        }
        let ended = self.tell(&deliveries, how, why).await;
        let lasted = deliveries.iter().all(|delivery| self.standing(delivery) == Standing::Current);
        if lasted && ended != deliveries.len() as u64 {
            let seen = format!("{ended} of {} current receipts counted: {deliveries:?}", deliveries.len());
            self.evidence.saw(Invariant::StaleReceiptsAreHarmless, seen);
        }
        // Where some had run out meanwhile nobody can say which.
        let how = if ended == deliveries.len() as u64 { how } else { Ended::Unknown };
        deliveries.iter().for_each(|delivery| self.note_end(delivery, how));
    }

    async fn end_other(&mut self, delivery: &Delivery, how: Ended, why: &str) {
        let (standing, before) = (self.standing(delivery), self.size().await);
        let ended = self.tell(std::slice::from_ref(delivery), how, why).await;
        match standing {
            Standing::Stale if ended != 0 || places(self.size().await) != places(before) => {
                let seen = format!("a stale receipt of {:?} was taken ({how:?})", id(&delivery.task));
                self.evidence.saw(Invariant::StaleReceiptsAreHarmless, seen);
            }
            Standing::Stale => {}
            Standing::Current | Standing::Unknown if ended == 1 => self.note_end(delivery, how),
            Standing::Current | Standing::Unknown => {}
        }
    }

    async fn tell(&self, deliveries: &[Delivery], how: Ended, why: &str) -> u64 {
        let receipts: Vec<Receipt> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        let strategy = &self.stage.strategy;
        let delay = if why == "delayed" { SCAN } else { Duration::ZERO };
        let told = match how {
            Ended::No | Ended::Unknown => unreachable!("a delivery is ended in some way"),
            Ended::Acked => strategy.ack(&receipts).await,
            Ended::Failed => strategy.nack(&receipts, Duration::ZERO, &Cause::Failed(why.to_owned())).await,
            Ended::GivenBack => strategy.nack(&receipts, delay, &Cause::Unavailable).await,
        };
        told.expect("ack or nack")
    }

    async fn extend(&mut self, worker: usize) {
        let deliveries: Vec<Delivery> = self.workers[worker].iter().map(|held| held.delivery.clone()).collect();
        for delivery in deliveries {
            let (standing, until) = (self.standing(&delivery), Instant::now() + LEASE - TICK);
            let receipt = std::slice::from_ref(&delivery.receipt);
            let extended = self.stage.strategy.extend(receipt, LEASE).await.expect("extend");
            if extended == 1 && standing == Standing::Stale {
                let seen = format!("a stale receipt of {:?} was prolonged", id(&delivery.task));
                self.evidence.saw(Invariant::StaleReceiptsAreHarmless, seen);
            } else if extended == 1 {
                self.current(&delivery).expect("it was delivered").until = until;
            }
        }
    }

    fn note_end(&mut self, delivery: &Delivery, how: Ended) {
        if let Some(given) = self.current(delivery) {
            given.ended = how;
        }
    }

    /// Its own entry, while it is the last of its task.
    fn current(&mut self, delivery: &Delivery) -> Option<&mut Given> {
        let last = self.given.get_mut(&id(&delivery.task))?.last_mut()?;
        (last.receipt == delivery.receipt).then_some(last)
    }

    fn standing(&self, delivery: &Delivery) -> Standing {
        let last = self.given.get(&id(&delivery.task)).and_then(|given| given.last());
        match last.filter(|last| last.receipt == delivery.receipt && last.ended == Ended::No) {
            None => Standing::Stale,
            Some(last) if Instant::now() < last.until => Standing::Current,
            Some(_) => Standing::Unknown,
        }
    }

    async fn size(&self) -> Size {
        self.stage.strategy.size().await.expect("size")
    }

    /// Accepted = acknowledged + dead + pending: what is acknowledged was applied or superseded.
    async fn check_sums(&mut self) {
        let size = self.size().await;
        let ended =
            |how: Ended| self.given.values().filter(|given| given.iter().any(|g| g.ended == how)).count() as u64;
        let (accepted, acked) = (self.evidence.accepted.len() as u64, ended(Ended::Acked));
        if size.exact && ended(Ended::Unknown) == 0 && accepted != acked + size.dead + pending(size) {
            let seen = format!("{accepted} accepted are not {acked} acknowledged + {size:?}");
            self.evidence.saw(Invariant::TheSumsAddUp, seen);
        }
    }

    /// Until the buffer is empty, or gives out nothing for longer than it may keep a lease to itself.
    async fn drain(&mut self) {
        self.workers.iter_mut().for_each(Vec::clear);
        self.lease = LONG_LEASE;
        let mut progress = Instant::now();
        while pending(self.size().await) > 0 && progress.elapsed() < LEASE + SCAN + BUSY {
            self.stage.strategy.redrive().await.expect("redrive");
            if self.poll(0, 64).await > 0 {
                progress = Instant::now();
            }
            self.apply(0).await;
            self.give_up_what_is_over_its_limit().await;
            self.settle(0).await;
            sleep(SCAN).await;
        }
    }

    /// The buffer should have: so that this mistake does not hide others.
    async fn give_up_what_is_over_its_limit(&mut self) {
        let over = |held: &Held| self.given[&id(&held.delivery.task)].len() > 4 * MAX_ATTEMPTS as usize;
        let (given_up, held): (Vec<Held>, _) = std::mem::take(&mut self.workers[0]).into_iter().partition(over);
        self.workers[0] = held;
        for Held { delivery, .. } in given_up {
            self.evidence.saw(Invariant::AttemptsAreBounded, format!("{:?} never ends", id(&delivery.task)));
            self.evidence.dead.insert(id(&delivery.task));
            self.end(vec![delivery], Ended::Acked, "").await;
        }
    }

    async fn finish(mut self) -> Evidence {
        self.check_sums().await;
        self.evidence.pending = pending(self.size().await);
        self.read_dead_letters().await;
        let keys = self.stage.first..self.stage.first + KEYS;
        let rows = self.stage.database.rows().await;
        self.evidence.rows = rows.into_iter().filter(|row| keys.contains(&row.key)).collect();
        self.evidence
    }

    async fn read_dead_letters(&mut self) {
        for letter in self.stage.strategy.dead_letters(usize::MAX).await.expect("dead letters") {
            let task: ExpectationWriteTask = serde_json::from_str(&letter.payload).expect("a task as JSON");
            let name = id(&task);
            if self.evidence.accepted.get(&name) != Some(&task) {
                self.evidence.saw(Invariant::NothingIsInvented, format!("nobody offered what is dead: {letter:?}"));
            }
            let attempts = attempts_after(self.given.get(&name).map_or(&[], Vec::as_slice));
            if *attempts.end() <= MAX_ATTEMPTS {
                let seen = format!("{name:?} was given up although attempt {attempts:?} was next: {letter:?}");
                self.evidence.saw(Invariant::AttemptsAreBounded, seen);
            }
            self.evidence.dead.insert(name);
        }
    }
}

/// Which attempt the next one is: each delivery counts, unless it was given back because the database was away.
fn attempts_after(given: &[Given]) -> RangeInclusive<u32> {
    let count = |counts: fn(Ended) -> bool| given.iter().filter(|given| counts(given.ended)).count() as u32;
    let failed = count(|ended| matches!(ended, Ended::No | Ended::Failed | Ended::Acked));
    failed + 1..=failed + 1 + count(|ended| ended == Ended::Unknown)
}

fn pending(size: Size) -> u64 {
    size.ready + size.leased + size.delayed
}

/// What a receipt may change. That a delay is over in the meantime is nobody's doing.
fn places(size: Size) -> [u64; 3] {
    [size.ready + size.delayed, size.leased, size.dead]
}
