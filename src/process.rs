//! Processes as the kernel knows them: who is it, in what state, and is it still the same one.

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
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
        Stat::read(pid).map(|stat| ProcessIdentity { pid, start_ticks: stat.start_ticks })
    }

    /// Its state letter (`R`, `S`, `T`, …); `None` when it is gone, a zombie, or another process has its pid.
    pub fn state(self) -> Option<char> {
        let stat = Stat::read(self.pid).ok()?;
        (stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X')).then_some(stat.state)
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
        Stat::read(self.pid).ok().filter(|stat| stat.start_ticks == self.start_ticks).map(|stat| stat.parent)
    }

    /// Those that it started, or that were started for it, and are alive.
    pub fn children(self) -> Vec<ProcessIdentity> {
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let all = pids.filter_map(|pid| Some((pid, Stat::read(pid).ok()?)));
        let own = all.filter(|(_, stat)| stat.parent == self.pid && !matches!(stat.state, 'Z' | 'X'));
        own.map(|(pid, stat)| ProcessIdentity { pid, start_ticks: stat.start_ticks }).collect()
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

    /// Processor time, user and system, that all of its threads have used; `None` as for [`state`](Self::state).
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = Stat::read(self.pid).ok().filter(|stat| stat.start_ticks == self.start_ticks)?;
        Some(Duration::from_secs_f64(stat.cpu_ticks as f64 / ticks_a_second()? as f64))
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

/// The unit of times in /proc/PID/stat.
pub(crate) fn ticks_a_second() -> Option<i64> {
    sysconf(SysconfVar::CLK_TCK).ok()?
}

pub(crate) struct Stat {
    pub state: char,
    pub parent: i32,
    pub cpu_ticks: u64,
    /// Of children that were waited for.
    pub ended_children_ticks: u64,
    pub start_ticks: u64,
}

impl Stat {
    pub fn read(pid: i32) -> io::Result<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat: {text:?}")))
    }

    /// proc(5): `pid (comm) state ppid …`; comm may hold spaces and parentheses, so count from the last `)`.
    fn parse(text: &str) -> Option<Stat> {
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // `ppid` is field 4; `utime`, `stime`, `cutime` and `cstime` are 14 to 17; the start time is field 22.
        let mut ticks = fields.by_ref().skip(9).take(4).map(|field| field.parse::<u64>());
        let mut two = || Some(ticks.next()?.ok()? + ticks.next()?.ok()?);
        let (cpu_ticks, ended_children_ticks) = (two()?, two()?);
        let start_ticks = fields.nth(4)?.parse().ok()?;
        Some(Stat { state, parent, cpu_ticks, ended_children_ticks, start_ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start_ticks), ('S', 1, 777));
        assert_eq!((stat.cpu_ticks, stat.ended_children_ticks), (11 + 12, 13 + 14));
    }

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
