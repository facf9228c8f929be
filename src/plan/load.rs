//! The load of a plan: how much is sent, when, of which lanes, and what is asked of the generator.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Shape;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// How many operations a second, and for how long; all lanes together.
    #[serde(flatten)]
    pub shape: Shape,
    #[serde(default, skip_serializing_if = "Arrivals::is_even")]
    pub arrivals: Arrivals,
    /// So many requests at a time, each sent when one before it has ended, in place of a rate: a closed loop, which hides
    /// what a stall keeps from being sent. For comparison with other tools, on a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<u32>,
    pub mix: Mix,
    /// How many keys the hot-key lane writes, in turn.
    pub hot_keys: u32,
    #[serde(default)]
    pub read_keys: ReadKeys,
    /// Connections to each instance.
    pub connections: u32,
    pub shards: u16,
    pub request_timeout: Duration,
    /// How long open requests may still end after the last one was due.
    pub grace: Duration,
    /// Own-lag limit: p99 of "we woke late", over each stop's window and over the run.
    pub own_lag_limit: Duration,
    /// The share of due operations that must be sent within `rate_tolerance` of their due time.
    pub rate_floor: f64,
    pub rate_tolerance: Duration,
    /// acked ÷ due outside fault windows.
    pub acked_floor: f64,
}

impl LoadPlan {
    pub fn duration(&self) -> Duration {
        self.shape.duration()
    }
}

/// How operations arrive at the rate of the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Like a metronome.
    #[default]
    Even,
    /// As many independent users make them: a Poisson process.
    Poisson { seed: u64 },
}

impl Arrivals {
    fn is_even(&self) -> bool {
        *self == Arrivals::Even
    }
}

/// Which keys reads ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadKeys {
    /// Any key that was written before, each as likely.
    #[default]
    All,
    /// One of the last write-once keys: some of them are still in the buffer.
    Recent,
    /// Any hot key that was written before.
    Hot,
}

impl ReadKeys {
    pub fn word(self) -> &'static str {
        match self {
            ReadKeys::All => "all",
            ReadKeys::Recent => "recent",
            ReadKeys::Hot => "hot",
        }
    }
}

fn none(permille: &u16) -> bool {
    *permille == 0
}

/// Weights in permille; they add up to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    pub write_once: u16,
    pub hot_key: u16,
    pub read: u16,
    /// Writes that the database refuses, whoever tries: they belong in the dead-letter queue.
    #[serde(default)]
    pub poison: u16,
    /// Requests to a URL: all of its load, or none.
    #[serde(default, skip_serializing_if = "none")]
    pub request: u16,
}
