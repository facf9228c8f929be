//! What the processors of this machine were busy with: the run's own processes, and everybody else's.
//!
//! A service that had to share its processors with strangers shows latencies that are not its own.

use std::collections::BTreeMap;
use std::time::Duration;

use procfs::process::{Stat, all_processes};
use procfs::{CpuTime, CurrentSI, KernelStats, ticks_per_second};

/// Processor time since the machine's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// By everything: all processors, what a hypervisor took away included.
    pub busy: Duration,
    /// By these processes, by all that descend from them, and by those of them that have ended.
    pub own: Duration,
}

/// Reads /proc/stat and every /proc/PID/stat. `None`: this is no Linux that shows them.
pub fn consumed(roots: &[i32]) -> Option<Consumed> {
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64);
    let processes = processes()?;
    let machine = KernelStats::current().ok()?;
    Some(Consumed { busy: time(busy_ticks(&machine.total)), own: time(own(&processes, roots)) })
}

/// Guests are a part of `user`.
fn busy_ticks(cpu: &CpuTime) -> u64 {
    let interrupted = [cpu.irq, cpu.softirq, cpu.steal].into_iter().flatten();
    cpu.user + cpu.nice + cpu.system + interrupted.sum::<u64>()
}

/// What one process has used.
struct Used {
    parent: i32,
    /// Its own, and its children's that were waited for.
    ticks: u64,
}

impl From<Stat> for Used {
    fn from(stat: Stat) -> Used {
        Used { parent: stat.ppid, ticks: stat.utime + stat.stime + (stat.cutime + stat.cstime) as u64 }
    }
}

fn processes() -> Option<BTreeMap<i32, Used>> {
    // One that ended in this moment is in its parent's figure.
    let stats = all_processes().ok()?.filter_map(|process| process.ok()?.stat().ok());
    Some(stats.map(|stat| (stat.pid, Used::from(stat))).collect())
}

/// Whoever descends from a root, through however many generations.
fn own(processes: &BTreeMap<i32, Used>, roots: &[i32]) -> u64 {
    let descends = |pid: i32| {
        let parent = |pid: &i32| processes.get(pid).map(|used| used.parent);
        std::iter::successors(Some(pid), parent).take(processes.len() + 1).any(|ancestor| roots.contains(&ancestor))
    };
    processes.iter().filter(|(pid, _)| descends(**pid)).map(|(_, used)| used.ticks).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_everything_but_idle_and_waiting_for_disks() {
        let mut cpu = KernelStats::current().unwrap().total;
        (cpu.user, cpu.nice, cpu.system, cpu.idle, cpu.iowait) = (1, 2, 4, 1000, Some(1000));
        (cpu.irq, cpu.softirq, cpu.steal, cpu.guest) = (Some(8), Some(16), Some(32), Some(64));
        assert_eq!(busy_ticks(&cpu), 63);
    }

    #[test]
    fn a_grandchild_is_own_and_a_stranger_is_not() {
        let used = |parent, ticks| Used { parent, ticks };
        let processes = [(1, used(0, 100)), (10, used(1, 2)), (11, used(10, 4)), (12, used(11, 8)), (20, used(1, 16))];
        assert_eq!(own(&BTreeMap::from(processes), &[10]), 2 + 4 + 8);
    }

    #[test]
    fn this_process_is_a_part_of_the_machine() {
        let before = consumed(&[std::process::id() as i32]).unwrap();
        let (mut now, deadline) = (before, std::time::Instant::now() + Duration::from_secs(10));
        while now.own < before.own + Duration::from_millis(20) || now.busy == before.busy {
            now = consumed(&[std::process::id() as i32]).unwrap();
            assert!(std::time::Instant::now() < deadline, "{before:?}, then {now:?}");
        }
    }
}
