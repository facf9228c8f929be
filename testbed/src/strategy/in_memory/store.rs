//! Where each task of the buffer in memory is: ready, leased, delayed or dead. Synchronous; the time is an argument.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::clock::Clock;
use crate::strategy::config::BufferConfig;
use crate::strategy::dead_letter::LEASE_EXPIRED;
use crate::strategy::{Cause, DeadLetter, Delivery, Receipt, Size, StrategyContext};
use crate::task::ExpectationWriteTask;

/// Tasks by place. Receipt numbers rise with each delivery, so ordered maps keep the order of delivery.
pub(super) struct Store {
    capacity: usize,
    max_attempts: u32,
    clock: Clock,
    ready: VecDeque<Item>,
    leased: BTreeMap<u64, Held>,
    delayed: BTreeMap<u64, Held>,
    dead: Vec<DeadLetter>,
    last_receipt: u64,
}

#[derive(Debug, Clone)]
struct Item {
    task: ExpectationWriteTask,
    failed: u32,
    offered_at: Instant,
}

struct Held {
    item: Item,
    until: Instant,
}

/// A delivery that the buffer has not signed yet.
pub(super) struct Leased {
    number: u64,
    item: Item,
}

impl Leased {
    pub(super) fn sign(self, instance: &str) -> Delivery {
        Delivery { receipt: Receipt::new(instance, self.number), task: self.item.task, attempt: self.item.failed + 1 }
    }
}

impl Store {
    /// A task owns no memory outside its item, so the bound in bytes is one in items too.
    pub(super) fn new(config: &BufferConfig, context: &StrategyContext) -> Self {
        Store {
            capacity: config.capacity.min(config.capacity_bytes / size_of::<Held>()),
            max_attempts: context.max_attempts,
            clock: context.clock,
            ready: VecDeque::new(),
            leased: BTreeMap::new(),
            delayed: BTreeMap::new(),
            dead: Vec::new(),
            last_receipt: 0,
        }
    }

    /// Takes all tasks, or none where there is no room for all.
    pub(super) fn push(&mut self, tasks: Vec<ExpectationWriteTask>, now: Instant) -> bool {
        let held = self.ready.len() + self.leased.len() + self.delayed.len();
        let fits = tasks.len() <= self.capacity.saturating_sub(held);
        if fits {
            self.ready.extend(tasks.into_iter().map(|task| Item { task, failed: 0, offered_at: now }));
        }
        fits
    }

    pub(super) fn lease(&mut self, max: usize, until: Instant) -> Vec<Leased> {
        let polled = self.ready.drain(..max.min(self.ready.len()));
        polled
            .map(|item| {
                self.last_receipt += 1;
                self.leased.insert(self.last_receipt, Held { item: item.clone(), until });
                Leased { number: self.last_receipt, item }
            })
            .collect()
    }

    /// Forgets a leased task: it is in the database. False where the receipt is stale.
    pub(super) fn end(&mut self, number: u64) -> bool {
        self.leased.remove(&number).is_some()
    }

    /// Lets a leased task wait until `due`, or buries it. False where the receipt is stale.
    pub(super) fn give_back(&mut self, number: u64, due: Instant, cause: &Cause) -> bool {
        let Some(Held { item, .. }) = self.leased.remove(&number) else { return false };
        let kept = match cause {
            Cause::Unavailable => Some(item),
            Cause::Failed(why) => self.count_attempt(item, why),
        };
        self.delayed.extend(kept.map(|item| (number, Held { item, until: due })));
        true
    }

    pub(super) fn extend(&mut self, number: u64, until: Instant) -> bool {
        self.leased.get_mut(&number).map(|held| held.until = until).is_some()
    }

    /// Makes expired leases and due delays ready, ahead of all others, in the order in which they were delivered.
    pub(super) fn redrive(&mut self, now: Instant) -> u64 {
        let expired: Vec<_> = take_until(&mut self.leased, now);
        let mut back: BTreeMap<u64, Item> = take_until(&mut self.delayed, now).into_iter().collect();
        for (number, item) in expired {
            back.extend(self.count_attempt(item, LEASE_EXPIRED).map(|item| (number, item)));
        }
        self.put_in_front(back)
    }

    /// Only the delays: what was given back without one is ready at once, and no lease is looked at.
    pub(super) fn redeliver_delayed(&mut self, now: Instant) -> u64 {
        let due = take_until(&mut self.delayed, now).into_iter().collect();
        self.put_in_front(due)
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn dead(&self) -> &[DeadLetter] {
        &self.dead
    }

    pub(super) fn size(&self, now: Instant) -> Size {
        Size {
            ready: self.ready.len() as u64,
            leased: self.leased.len() as u64,
            delayed: self.delayed.len() as u64,
            dead: self.dead.len() as u64,
            oldest_age: self.ready.front().map(|item| now - item.offered_at),
            exact: true,
        }
    }

    fn put_in_front(&mut self, back: BTreeMap<u64, Item>) -> u64 {
        let count = back.len() as u64;
        // Newest first, so that the oldest ends foremost.
        back.into_values().rev().for_each(|item| self.ready.push_front(item));
        count
    }

    /// The item with one failed attempt more, or nothing where that was its last: then it is dead.
    fn count_attempt(&mut self, item: Item, cause: &str) -> Option<Item> {
        let item = Item { failed: item.failed + 1, ..item };
        if item.failed < self.max_attempts {
            return Some(item);
        }
        self.dead.push(DeadLetter {
            cause: cause.to_owned(),
            attempts: item.failed,
            at_ms: self.clock.now_ms(),
            payload: serde_json::to_string(&item.task).expect("a task has no map keys and no floats"),
        });
        None
    }
}

fn take_until(held: &mut BTreeMap<u64, Held>, now: Instant) -> Vec<(u64, Item)> {
    held.extract_if(.., |_, h| h.until <= now).map(|(number, h)| (number, h.item)).collect()
}
