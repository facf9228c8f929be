//! How long answers took, as a report tells it: by lane and phase, and second by second.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Percentiles;
use crate::load::Lane;
use crate::plan::RunPhase;

/// One lane in one phase (`None`: the whole run). Milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LaneLatency {
    pub lane: Lane,
    pub phase: Option<RunPhase>,
    pub response_ms: Percentiles,
    pub service_ms: Percentiles,
    /// Own lag: no connection was free.
    pub waited_ms: Percentiles,
    /// Own lag: we woke late.
    pub woke_late_ms: Percentiles,
}

/// One second of the run, by due time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesPoint {
    pub second: u64,
    pub due: u64,
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub not_sent: u64,
    pub response_ms_p50: f64,
    pub response_ms_p99: f64,
    /// Tasks in the buffer, the last reading of that second.
    pub depth: Option<u64>,
}
