//! The processor time that the instances have used, read from the kernel: what a step of scaling costs; and what the
//! whole machine was busy with meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::backends::{Deployment, Instance, InstanceId};
use crate::clock::{Offset, RunClock};
use crate::machine::{self, Consumed};
use crate::process::ProcessIdentity;

/// Between two readings during the load.
const EVERY: Duration = Duration::from_secs(1);

/// The processor time that one instance (of a URL: whoever listens there) had used since its start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuReading {
    pub at: Offset,
    pub instance: InstanceId,
    pub used: Duration,
}

/// One reading of every living instance that has a process of its own.
pub fn read(deployment: &dyn Deployment, clock: &RunClock) -> Vec<CpuReading> {
    let reading = |instance: &Instance| {
        let used = instance.process?.cpu_time()?;
        Some(CpuReading { at: clock.now(), instance: instance.id, used })
    };
    deployment.alive().iter().filter_map(reading).collect()
}

/// The processor time of the machine since its start, and the part of it that went to this run: mxctl, what it started,
/// the keeper of a lab that stays, and whoever listens at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MachineReading {
    pub at: Offset,
    pub busy: Duration,
    pub own: Duration,
}

fn read_machine(deployment: &dyn Deployment, clock: &RunClock) -> Option<MachineReading> {
    let starters = deployment.alive().into_iter().filter_map(|instance| instance.process?.parent());
    machine_reading(&starters.collect::<Vec<i32>>(), clock)
}

/// The run's are these processes besides mxctl itself.
fn machine_reading(others: &[i32], clock: &RunClock) -> Option<MachineReading> {
    let Consumed { busy, own } = machine::consumed(&[others, &[std::process::id() as i32]].concat())?;
    Some(MachineReading { at: clock.now(), busy, own })
}

/// Readings over the load.
#[derive(Debug, Default)]
pub struct Usage {
    pub instances: Vec<CpuReading>,
    pub machine: Vec<MachineReading>,
}

/// Reads about once a second until `over`.
pub async fn follow(deployment: &dyn Deployment, clock: &RunClock, over: &CancellationToken) -> Usage {
    let (mut usage, mut ticks) = (Usage::default(), ticks());
    while over.run_until_cancelled(ticks.tick()).await.is_some() {
        usage.instances.extend(read(deployment, clock));
        usage.machine.extend(read_machine(deployment, clock));
    }
    usage
}

/// The same of a load on these processes, which together are the one instance, as long as all of them live: a machine's
/// time without that of one who has ended says nothing of strangers.
pub async fn follow_processes(
    target: &[ProcessIdentity],
    instance: InstanceId,
    clock: &RunClock,
    over: &CancellationToken,
) -> Usage {
    let (mut usage, mut ticks) = (Usage::default(), ticks());
    let pids: Vec<i32> = target.iter().map(|process| process.pid).collect();
    while over.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(used) = target.iter().map(|process| process.cpu_time()).sum() else { break };
        usage.instances.push(CpuReading { at: clock.now(), instance, used });
        usage.machine.extend(machine_reading(&pids, clock));
    }
    usage
}

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_of_processes_ends_with_the_first_of_them() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let both = [std::process::id(), child.id()].map(|pid| ProcessIdentity::of(pid as i32).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        let (clock, never) = (RunClock::starting_in(Duration::ZERO), CancellationToken::new());
        let followed = follow_processes(&both, InstanceId(1), &clock, &never);
        let usage = tokio::time::timeout(Duration::from_secs(30), followed).await.expect("it ends by itself");
        assert!(usage.instances.is_empty() && usage.machine.is_empty(), "{usage:?}");
    }
}
