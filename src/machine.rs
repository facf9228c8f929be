//! What the processors of this machine were busy with: the run's own processes, and everybody else's.
//!
//! A service that had to share its processors with strangers shows latencies that are not its own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::process::{Stat, ticks_a_second};

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
    let second = ticks_a_second()? as f64;
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / second);
    let processes = processes()?;
    Some(Consumed {
        busy: time(busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?)?),
        own: time(own(&processes, roots)),
    })
}

/// proc(5): `cpu user nice system idle iowait irq softirq steal …`. Guests are part of user.
fn busy_ticks(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let fields: Vec<u64> = line.split_ascii_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

fn processes() -> Option<BTreeMap<i32, Stat>> {
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let pids = std::fs::read_dir("/proc").ok()?.flatten().filter_map(pid);
    // One that ended in this moment is in its parent's figure.
    Some(pids.filter_map(|pid| Some((pid, Stat::read(pid).ok()?))).collect())
}

/// Whoever descends from a root, through however many generations.
fn own(processes: &BTreeMap<i32, Stat>, roots: &[i32]) -> u64 {
    let descends = |pid: i32| {
        let parent = |pid: &i32| processes.get(pid).map(|stat| stat.parent);
        std::iter::successors(Some(pid), parent).take(processes.len() + 1).any(|ancestor| roots.contains(&ancestor))
    };
    let own = processes.iter().filter(|(pid, _)| descends(**pid));
    own.map(|(_, stat)| stat.cpu_ticks + stat.ended_children_ticks).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_everything_but_idle_and_waiting_for_disks() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 64 128\ncpu0 9 9 9 9 9 9 9 9\n"), Some(63));
        assert_eq!(busy_ticks("intr 1"), None);
    }

    #[test]
    fn a_grandchild_is_own_and_a_stranger_is_not() {
        let stat =
            |parent, ticks| Stat { state: 'S', parent, cpu_ticks: ticks, ended_children_ticks: 1, start_ticks: 1 };
        let processes = [(1, stat(0, 100)), (10, stat(1, 2)), (11, stat(10, 4)), (12, stat(11, 8)), (20, stat(1, 16))];
        assert_eq!(own(&BTreeMap::from(processes), &[10]), 2 + 4 + 8 + 3);
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
