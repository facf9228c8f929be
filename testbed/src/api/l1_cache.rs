//! The L1 cache of reads: what the database had of a character a short while ago.
//!
//! In: the rows of a character, with the moment at which they were asked for. Out: the same rows, to every reader until
//! they are `max_age` old.
//!
//! # How stale a read may be
//! A read that begins at t shows at least what was committed at t − `max_age`. An entry's age therefore counts from
//! before its query, not from its arrival, and nothing prolongs it: other instances write the same rows, and tell
//! nobody. That there are no rows is never kept: a character's first write is seen as soon as it is committed.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::config::L1CacheConfig;
use crate::store::StoredPreset;

pub type Lane = Arc<Vec<StoredPreset>>;

#[derive(Debug)]
pub struct L1Cache {
    /// `None`: every read goes to the database.
    lanes: Option<Cache<i64, Aged>>,
    max_age: Duration,
}

#[derive(Debug, Clone)]
struct Aged {
    lane: Lane,
    asked: Instant,
}

impl L1Cache {
    pub fn new(config: &L1CacheConfig) -> Self {
        let lanes = (config.capacity > 0).then(|| Cache::new(config.capacity));
        L1Cache { lanes, max_age: config.max_age }
    }

    /// The character's rows, if they were asked for less than `max_age` ago.
    pub fn get(&self, key: i64) -> Option<Lane> {
        let kept = self.lanes.as_ref()?.get(&key)?;
        (kept.asked.elapsed() < self.max_age).then_some(kept.lane)
    }

    /// Keeps what a query found that began at `asked`. Of two, the one that began later is the newer.
    pub fn put(&self, key: i64, lane: &Lane, asked: Instant) {
        let Some(lanes) = &self.lanes else { return };
        if !lane.is_empty() && lanes.peek(&key).is_none_or(|kept| kept.asked <= asked) {
            lanes.insert(key, Aged { lane: lane.clone(), asked });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Costs, Money};

    const MAX_AGE: Duration = Duration::from_millis(500);

    fn cache(capacity: usize) -> L1Cache {
        L1Cache::new(&L1CacheConfig { capacity, max_age: MAX_AGE })
    }

    fn lane(seq: u64) -> Lane {
        let costs = Costs {
            total_expected_cost: Money(1),
            black_cube_cost: Money(2),
            red_cube_cost: Money(3),
            additional_cube_cost: Money(4),
            starforce_cost: Money(5),
        };
        Arc::new(vec![StoredPreset { preset: 1, seq, costs }])
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_ages_from_before_its_query_and_nothing_prolongs_it() {
        let (cache, asked) = (cache(10), Instant::now());
        tokio::time::advance(MAX_AGE / 2).await;
        cache.put(1, &lane(3), asked);
        assert_eq!(cache.get(1), Some(lane(3)));
        tokio::time::advance(MAX_AGE / 2 - Duration::from_millis(1)).await;
        assert_eq!(cache.get(1), Some(lane(3)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.get(1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_query_does_not_replace_a_newer_one() {
        let (cache, early) = (cache(10), Instant::now());
        tokio::time::advance(Duration::from_millis(10)).await;
        cache.put(1, &lane(4), Instant::now());
        cache.put(1, &lane(3), early);
        assert_eq!(cache.get(1), Some(lane(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn absence_is_never_kept_and_capacity_0_keeps_nothing() {
        let cache_of_ten = cache(10);
        cache_of_ten.put(1, &Arc::new(Vec::new()), Instant::now());
        assert_eq!(cache_of_ten.get(1), None);
        let none = cache(0);
        none.put(1, &lane(3), Instant::now());
        assert_eq!(none.get(1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded() {
        let cache = cache(100);
        (0..10_000).for_each(|key| cache.put(key, &lane(1), Instant::now()));
        let kept = (0..10_000).filter(|key| cache.get(*key).is_some()).count();
        assert!((1..=100).contains(&kept), "{kept} entries");
    }
}
