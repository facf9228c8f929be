//! The table of defaults, in one place. Two columns: a run without a time line is a load test, one with a time line
//! is a chaos test.

use std::time::Duration;

use crate::plan::{Arrivals, LoadPlan, Mix, ProbePlan, ReadKeys, SettlePlan, Shape, Strategy, WorkerPlan};
use crate::scenario::Scenario;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What a scenario does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    pub strategy: Strategy,
    pub instances: u64,
    /// Of a shared buffer; a buffer in memory has none.
    pub workers: u64,
    pub witness: bool,
    pub appendfsync: &'static str,
    pub grace: Duration,
    pub ready_within: Duration,
    pub worker: WorkerPlan,
    pub probe: ProbePlan,
    pub load: LoadPlan,
}

/// Between the longest answer and the end: as often the request time-out.
pub const LOAD_GRACE_TIMEOUTS: u32 = 2;
/// How long a task may take to arrive at a pause point.
pub const HOLD_WITHIN: Duration = ms(5_000);
/// What a pause adds to lease + redrive scan + flush interval: time to write what was taken over.
pub const DRAIN: Duration = ms(2_000);
/// Before and after a stop.
pub const WINDOW: Duration = ms(5_000);
/// Acks needed in a stop's window. Only the scenario's own `window_acks` lowers it.
pub const WINDOW_ACKS: u64 = 200;
/// (refused + unknown + not sent) ÷ due, outside every fault and recovery.
pub const ERROR_RATE_STEADY: f64 = 0.001;

impl Defaults {
    pub fn of(scenario: &Scenario) -> Defaults {
        if scenario.timeline.is_empty() { Defaults::loadtest() } else { Defaults::chaos() }
    }

    pub fn loadtest() -> Defaults {
        Defaults {
            strategy: Strategy::InMemory,
            instances: 1,
            workers: 2,
            witness: false,
            appendfsync: "always",
            grace: ms(10_000),
            ready_within: ms(30_000),
            worker: worker(),
            probe: ProbePlan { interval: ms(100), timeout: ms(200), endpoint_lag: ms(400) },
            load: load(ms(30_000), Mix { write_once: 950, hot_key: 0, read: 50, poison: 0, request: 0 }),
        }
    }

    pub fn chaos() -> Defaults {
        Defaults {
            strategy: Strategy::Redis,
            instances: 3,
            witness: true,
            load: load(ms(60_000), Mix { write_once: 800, hot_key: 150, read: 50, poison: 0, request: 0 }),
            ..Defaults::loadtest()
        }
    }
}

fn worker() -> WorkerPlan {
    WorkerPlan {
        batch: 256,
        flush_interval: ms(200),
        lease: ms(5_000),
        redrive_scan: ms(1_000),
        max_attempts: 5,
        backoff_max: ms(2_000),
    }
}

fn load(duration: Duration, mix: Mix) -> LoadPlan {
    LoadPlan {
        shape: Shape::constant(800.0, duration),
        mix,
        hot_keys: 16,
        arrivals: Arrivals::Even,
        closed: None,
        read_keys: ReadKeys::All,
        connections: 50,
        shards: 1,
        request_timeout: ms(2_000),
        grace: ms(2_000) * LOAD_GRACE_TIMEOUTS,
        own_lag_limit: ms(20),
        rate_floor: 0.99,
        rate_tolerance: ms(20),
        acked_floor: 0.9,
    }
}

/// `quiet` is not in the table: it follows from the worker's times.
pub fn settle(quiet: Duration) -> SettlePlan {
    SettlePlan { quiet, poll: ms(200), deadline: ms(30_000), hard_cap: ms(120_000) }
}
