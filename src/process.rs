//! Processes as the kernel knows them: who is it, in what state, and is it still the same one.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Process, Stat, all_processes};
use serde::{Deserialize, Serialize};

/// A pid means nothing without the moment at which it was born (field 22 of /proc/PID/stat, clock ticks since boot):
/// pids are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    pub start_ticks: u64,
}

impl ProcessIdentity {
    /// Who has this pid now.
    pub fn of(pid: i32) -> io::Result<ProcessIdentity> {
        stat(pid).map(|stat| ProcessIdentity { pid, start_ticks: stat.starttime })
    }

    /// Its state letter (`R`, `S`, `T`, …); `None` when it is gone, a zombie, or another process has its pid.
    pub fn state(self) -> Option<char> {
        self.stat().filter(is_alive).map(|stat| stat.state)
    }

    pub fn is_alive(self) -> bool {
        self.state().is_some()
    }

    /// Whether SIGSTOP has taken effect.
    pub fn is_frozen(self) -> bool {
        self.state() == Some('T')
    }

    /// Who started it.
    pub fn parent(self) -> Option<i32> {
        self.stat().map(|stat| stat.ppid)
    }

    /// Those that it started, or that were started for it, and are alive.
    pub fn children(self) -> Vec<ProcessIdentity> {
        let all = all_processes().into_iter().flatten().filter_map(|process| process.ok()?.stat().ok());
        let own = all.filter(|stat| stat.ppid == self.pid && is_alive(stat));
        own.map(|stat| ProcessIdentity { pid: stat.pid, start_ticks: stat.starttime }).collect()
    }

    /// Waits for a SIGSTOP to take effect; false where it does not in time.
    pub async fn freezes(self, within: Duration) -> bool {
        let frozen = async {
            while !self.is_frozen() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(within, frozen).await.is_ok()
    }

    /// Waits for its end; false where it outlives the time. For a process that somebody else reaps.
    pub async fn ends(self, within: Duration) -> bool {
        let ended = async {
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(within, ended).await.is_ok()
    }

    /// Processor time, user and system, that all of its threads have used; `None`: gone, or another has its pid.
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = self.stat()?;
        Some(Duration::from_secs_f64((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64))
    }

    fn stat(self) -> Option<Stat> {
        stat(self.pid).ok().filter(|stat| stat.starttime == self.start_ticks)
    }

    /// Sends a signal if this is still the same process; `ESRCH` otherwise.
    pub fn signal(self, signal: Signal) -> Result<(), nix::Error> {
        if !self.is_alive() {
            return Err(nix::Error::ESRCH);
        }
        kill(Pid::from_raw(self.pid), signal)
    }
}

/// 10,000 connections need as many descriptors. Where the limit stays too low, opening or taking a connection fails, and
/// says so.
pub fn raise_limit_of_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// All of proc(5) `/proc/PID/stat`: times are in [ticks](procfs::ticks_per_second).
fn stat(pid: i32) -> io::Result<Stat> {
    Process::new(pid).and_then(|process| process.stat()).map_err(io::Error::other)
}

fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_processor_time() {
        let me = ProcessIdentity::of(std::process::id() as i32).unwrap();
        let before = me.cpu_time().unwrap();
        while me.cpu_time().unwrap() < before + Duration::from_millis(20) {}
    }

    #[test]
    fn another_birth_is_another_process() {
        let me = ProcessIdentity::of(std::process::id() as i32).unwrap();
        assert!(me.is_alive());
        let impostor = ProcessIdentity { start_ticks: me.start_ticks + 1, ..me };
        assert_eq!(impostor.signal(Signal::SIGCONT), Err(nix::Error::ESRCH));
    }
}
