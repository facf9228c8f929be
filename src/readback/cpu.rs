//! The processor time that the instances have used, read from the kernel: what a step of scaling costs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::backends::{Deployment, Instance, InstanceId};
use crate::clock::{Offset, RunClock};

/// Between two readings during the load.
const EVERY: Duration = Duration::from_secs(1);

/// The processor time that one instance had used since its start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuReading {
    pub at: Offset,
    pub instance: InstanceId,
    pub used: Duration,
}

/// One reading of every living instance.
pub fn read(deployment: &dyn Deployment, clock: &RunClock) -> Vec<CpuReading> {
    let reading = |instance: &Instance| {
        let used = instance.process.cpu_time()?;
        Some(CpuReading { at: clock.now(), instance: instance.id, used })
    };
    deployment.alive().iter().filter_map(reading).collect()
}

/// Reads about once a second until `over`.
pub async fn follow(deployment: &dyn Deployment, clock: &RunClock, over: &CancellationToken) -> Vec<CpuReading> {
    let mut readings = Vec::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while over.run_until_cancelled(ticks.tick()).await.is_some() {
        readings.extend(read(deployment, clock));
    }
    readings
}
