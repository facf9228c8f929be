//! What mxctl itself takes: time by phase, and memory, so that a report shows whether the measure grew with what it
//! measured.
//!
//! In: the phases as they begin. Out: [`Harness`], a part of the report.

use std::time::{Duration, Instant};

use procfs::process::{Process, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::{Offset, RunClock};
use crate::watch::{Phase, Watch};

/// Between two readings of memory during the load; longer in a load that would have more of them than this.
const EVERY: Duration = Duration::from_secs(1);
const READINGS_MAX: u32 = 600;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Harness {
    /// In their order.
    pub phases: Vec<PhaseTook>,
    /// Resident bytes over the load.
    pub memory: Vec<(Offset, u64)>,
    /// The most resident bytes at any time, as the kernel says; `None`: it does not.
    pub memory_peak: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseTook {
    /// `up`, `load`, `settle`, `read back`, `down`, `judge`.
    pub phase: String,
    pub took: Duration,
    /// Resident bytes at its end; `None`: the kernel does not say.
    pub memory: Option<u64>,
}

/// Follows a run through its phases.
#[derive(Debug, Default)]
pub struct Stopwatch {
    phases: Vec<PhaseTook>,
    now: Option<(Phase, Instant)>,
}

impl Stopwatch {
    /// The next phase begins: the watch is told, and may take its time in it.
    pub async fn phase(&mut self, phase: Phase, watch: &dyn Watch) {
        self.end_phase();
        self.now = Some((phase, Instant::now()));
        watch.phase(phase).await;
    }

    pub fn end(mut self, memory: Vec<(Offset, u64)>) -> Harness {
        self.end_phase();
        Harness { phases: self.phases, memory, memory_peak: own(|status| status.vmhwm) }
    }

    fn end_phase(&mut self) {
        if let Some((phase, began)) = self.now.take() {
            let (phase, took) = (phase.name().to_owned(), began.elapsed());
            self.phases.push(PhaseTook { phase, took, memory: own(|status| status.vmrss) });
        }
    }
}

/// Reads this process's memory until `over`.
pub async fn follow_memory(clock: &RunClock, load: Duration, over: &CancellationToken) -> Vec<(Offset, u64)> {
    let mut readings = Vec::new();
    let mut ticks = tokio::time::interval(EVERY.max(load / READINGS_MAX));
    while over.run_until_cancelled(ticks.tick()).await.is_some() {
        readings.extend(own(|status| status.vmrss).map(|bytes| (clock.now(), bytes)));
    }
    readings
}

/// What proc(5) `status` says of this process in kilobytes, in bytes.
fn own(kilobytes: fn(&Status) -> Option<u64>) -> Option<u64> {
    let status = Process::myself().and_then(|own| own.status()).ok()?;
    kilobytes(&status).map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Unwatched;

    #[tokio::test]
    async fn every_phase_has_its_time_and_the_memory_at_its_end() {
        let mut stopwatch = Stopwatch::default();
        stopwatch.phase(Phase::Up, &Unwatched).await;
        stopwatch.phase(Phase::Load, &Unwatched).await;
        let harness = stopwatch.end(Vec::new());
        let names: Vec<&str> = harness.phases.iter().map(|phase| phase.phase.as_str()).collect();
        assert_eq!(names, ["up", "load"]);
        assert!(harness.phases.iter().all(|phase| phase.memory > Some(1 << 20)), "{harness:?}");
        assert!(harness.memory_peak >= harness.phases[1].memory);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_of_hours_has_no_more_readings_than_one_of_minutes() {
        let (clock, over) = (RunClock::starting_in(Duration::ZERO), CancellationToken::new());
        let load = Duration::from_secs(36_000);
        let ending = async {
            tokio::time::sleep(load).await;
            over.cancel();
        };
        let (readings, ()) = tokio::join!(follow_memory(&clock, load, &over), ending);
        assert!((READINGS_MAX as usize..=READINGS_MAX as usize + 1).contains(&readings.len()), "{}", readings.len());
    }
}
