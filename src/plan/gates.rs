//! What a run is held to, beyond the checks that every run makes: the claims that its time line puts to the test, and
//! the limits that a person set, of the whole run or of one of its phases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Subject;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Claim {
    /// Scaling out fragments no data.
    F1,
    /// A rolling update loses nothing.
    F2,
    /// A failure of Redis loses nothing that was acknowledged.
    RedisFailure,
    /// A failure of the database does not, either.
    DatabaseFailure,
}

impl Claim {
    pub fn word(self) -> &'static str {
        match self {
            Claim::F1 => "F1",
            Claim::F2 => "F2",
            Claim::RedisFailure => "redis-failure",
            Claim::DatabaseFailure => "database-failure",
        }
    }

    /// The one that a failure of this puts to the test.
    pub fn of_failures(of: Subject) -> Claim {
        match of {
            Subject::Redis => Claim::RedisFailure,
            Subject::Database => Claim::DatabaseFailure,
        }
    }
}

/// A limit that the scenario or the command line sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub metric: GateMetric,
    /// `None`: the whole run.
    pub phase: Option<RunPhase>,
    pub limit: f64,
}

impl Gate {
    /// As in the scenario file: `p99.steady`.
    pub fn name(&self) -> String {
        match self.phase {
            Some(phase) => format!("{}.{}", self.metric.word(), phase.word()),
            None => self.metric.word().to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GateMetric {
    /// Response time (done − due) of acknowledged operations; an Unknown counts at the time-out. Limit in seconds.
    P50,
    P99,
    P999,
    /// (refused + unknown + not sent) ÷ due; limit as a share.
    ErrorRate,
    /// From the start of a stop or a disturbance until errors, p99 and backlog are back in band; limit in seconds.
    Recovery,
    /// Writes that the witness saw more than once.
    Duplicates,
    /// Writes that the witness saw attempted after a newer one of their row.
    Reordered,
}

impl GateMetric {
    /// Whether it is a number of writes, which no clock and no load can falsify.
    pub fn counts_writes(self) -> bool {
        matches!(self, GateMetric::Duplicates | GateMetric::Reordered)
    }

    pub fn word(self) -> &'static str {
        match self {
            GateMetric::P50 => "p50",
            GateMetric::P99 => "p99",
            GateMetric::P999 => "p99.9",
            GateMetric::ErrorRate => "error_rate",
            GateMetric::Recovery => "recovery",
            GateMetric::Duplicates => "duplicates",
            GateMetric::Reordered => "reordered",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// Outside every fault and recovery.
    Steady,
    /// From the first act of a stop until its replacement, or the paused instance itself, is ready (again); from the
    /// begin of a start until the new instance is ready; from a disturbance until it is undone.
    Fault,
    /// The window of the stop or the disturbance after that; after a start, the longest window of the plan's stops.
    Recovery,
}

impl RunPhase {
    pub const ALL: [RunPhase; 3] = [RunPhase::Steady, RunPhase::Fault, RunPhase::Recovery];

    pub fn word(self) -> &'static str {
        match self {
            RunPhase::Steady => "steady",
            RunPhase::Fault => "fault",
            RunPhase::Recovery => "recovery",
        }
    }
}
