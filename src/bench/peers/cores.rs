//! Which core the server has, and which the generators.

use std::fmt;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cores {
    /// Also of the process that compares.
    pub server: usize,
    pub generator: usize,
}

impl Cores {
    /// The first two that this process may use; the same one twice where it may use one only. `None`: the kernel does
    /// not say.
    pub fn free() -> Option<Cores> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let server = cores.next()?;
        Some(Cores { server, generator: cores.next().unwrap_or(server) })
    }

    pub fn are_apart(self) -> bool {
        self.server != self.generator
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (server) and {} (generator)", self.server, self.generator)
    }
}

/// This thread, and what it starts, from now on.
pub fn keep_to(core: usize) -> io::Result<()> {
    Ok(sched_setaffinity(Pid::from_raw(0), &only(core)?)?)
}

pub fn only(core: usize) -> io::Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_to_its_core() {
        let free = Cores::free().unwrap();
        // On a thread of its own: the test's must go on anywhere.
        let kept = std::thread::spawn(move || {
            keep_to(free.generator).unwrap();
            Cores::free().unwrap()
        });
        let kept = kept.join().unwrap();
        assert_eq!(kept, Cores { server: free.generator, generator: free.generator });
        assert!(!kept.are_apart());
    }
}
