//! Load plans for this stage's tests.

use std::time::Duration;

use crate::plan::{Arrivals, LoadPlan, Mix, ReadKeys, Shape};

pub fn with_mix(mix: Mix, hot_keys: u32) -> LoadPlan {
    LoadPlan { mix, hot_keys, ..load(100.0, Duration::from_secs(1)) }
}

/// Write-once only, one shard.
pub fn load(rps: f64, duration: Duration) -> LoadPlan {
    LoadPlan {
        shape: Shape::constant(rps, duration),
        mix: Mix { write_once: 1000, hot_key: 0, read: 0, poison: 0, request: 0 },
        hot_keys: 4,
        arrivals: Arrivals::Even,
        closed: None,
        read_keys: ReadKeys::All,
        connections: 10,
        shards: 1,
        request_timeout: Duration::from_secs(2),
        grace: Duration::from_secs(4),
        own_lag_limit: Duration::from_millis(20),
        rate_floor: 0.99,
        rate_tolerance: Duration::from_millis(20),
        acked_floor: 0.9,
    }
}
