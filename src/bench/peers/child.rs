//! A generator as a child process on a core of its own, and what the kernel counted of it.
//!
//! # Why peak memory is asked for twice
//! What `wait4` says is the peak of the child *and* of the copy of this process that it was before `exec`: exact where
//! it is more than this process ever had, and nothing otherwise. So the kernel's own high-water mark of the child
//! (`VmHWM`) is read while it lives, too. In the worst case a tool that is smaller than this process grew in its last
//! 20 ms by what is not seen.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;

use super::Errand;
use super::cores::only;
use crate::stop::Stop;

/// Beyond the time that it was to last: start, requests that nobody answered, a report.
const GRACE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub measured: Measured,
    pub stdout: String,
    stderr: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub took: Duration,
    pub cpu: Duration,
    pub peak_rss_bytes: u64,
    /// `None`: a signal ended it.
    pub exit_code: Option<i32>,
}

impl Ended {
    /// For a message: the end of what it said, in one line.
    pub fn last_words(&self) -> String {
        let said = [&self.stderr, &self.stdout].into_iter().find(|said| !said.trim().is_empty());
        let lines = said.map_or("nothing", |said| said.trim()).lines().rev().take(3).collect::<Vec<_>>();
        lines.into_iter().rev().map(str::trim).collect::<Vec<_>>().join(" | ")
    }
}

/// Program and arguments.
pub fn words(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Runs it to its end. What it says goes through files: a pipe would make it wait for somebody who reads.
pub fn run(mut command: Command, errand: &Errand, core: usize, stop: &Stop) -> Result<Ended, String> {
    let (stdout, stderr) = (errand.folder.join("stdout"), errand.folder.join("stderr"));
    let create = |path: &Path| File::create(path).map_err(|e| format!("create {}: {e}", path.display()));
    command.stdout(create(&stdout)?).stderr(create(&stderr)?);
    let program = command.get_program().to_string_lossy().into_owned();
    let measured = measured(command, core, errand.lasts + GRACE, stop).map_err(|e| format!("run {program}: {e}"))?;
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    Ok(Ended { measured, stdout: text(&stdout), stderr: text(&stderr) })
}

fn measured(mut command: Command, core: usize, longest: Duration, stop: &Stop) -> io::Result<Measured> {
    pin(&mut command, core)?;
    let (began, own_peak) = (Instant::now(), high_water_mark(std::process::id() as i32).unwrap_or_default());
    let pid = Pid::from_raw(command.stdin(Stdio::null()).spawn()?.id() as i32);
    let (mut seen, mut late) = (0, false);
    let (status, usage) = loop {
        if let Some(reaped) = reap(pid)? {
            break reaped;
        }
        seen = high_water_mark(pid.as_raw()).unwrap_or_default().max(seen);
        if stop.interrupt.is_cancelled() || began.elapsed() > longest {
            late = true;
            kill(pid, Signal::SIGKILL)?;
        }
        std::thread::sleep(LOOK);
    };
    if late {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not at its end after {} s", longest.as_secs())));
    }
    Ok(Measured {
        took: began.elapsed(),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_rss_bytes: peak(usage.ru_maxrss as u64 * 1024, own_peak, seen),
        exit_code: status.code(),
    })
}

/// On one core, out of reach of the terminal's Ctrl-C, and dead as soon as this thread is.
pub fn pin(command: &mut Command, core: usize) -> io::Result<()> {
    let set: CpuSet = only(core)?;
    // SAFETY: between fork and exec only async-signal-safe calls: prctl, sched_setaffinity.
    unsafe {
        command.process_group(0).pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
        });
    }
    Ok(())
}

/// `None`: it lives.
fn reap(pid: Pid) -> io::Result<Option<(ExitStatus, libc::rusage)>> {
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::uninit());
    // SAFETY: both places are there to be written to, and a child of ours that nobody else waits for has this pid.
    match unsafe { libc::wait4(pid.as_raw(), &mut status, libc::WNOHANG, usage.as_mut_ptr()) } {
        0 => Ok(None),
        reaped if reaped == pid.as_raw() => {
            // SAFETY: wait4 fills it for whom it reaps.
            Ok(Some((ExitStatus::from_raw(status), unsafe { usage.assume_init() })))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

fn time(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

fn peak(told_at_its_end: u64, own_peak: u64, seen: u64) -> u64 {
    if told_at_its_end > own_peak { told_at_its_end } else { seen }
}

/// Bytes. `None`: it is gone.
fn high_water_mark(pid: i32) -> Option<u64> {
    Some(Process::new(pid).and_then(|process| process.status()).ok()?.vmhwm? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(folder: &Path) -> Errand<'_> {
        let pace = super::super::Pace::Max;
        Errand { url: String::new(), pace, lasts: Duration::ZERO, connections: 1, folder }
    }

    fn shell(script: &str, stop: &Stop) -> Result<Ended, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, &errand(folder.path()), super::super::Cores::free().unwrap().generator, stop)
    }

    #[test]
    fn it_is_told_how_it_ended_and_what_it_said() {
        let ended = shell("echo said; echo one >&2; echo two >&2; exit 3", &Stop::new()).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.measured.exit_code), ("said\n", Some(3)));
        assert_eq!(ended.last_words(), "one | two");
    }

    #[test]
    fn work_and_memory_are_counted() {
        let ended = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", &Stop::new()).unwrap();
        assert!(ended.measured.cpu > Duration::from_millis(5), "{ended:?}");
        assert!(ended.measured.peak_rss_bytes > 100_000, "{ended:?}");
    }

    /// A shell is small; the process that tests it is not.
    #[test]
    fn what_this_process_has_in_memory_is_not_the_childs() {
        let large = vec![1_u8; 256 << 20];
        let peak =
            shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", &Stop::new()).unwrap().measured.peak_rss_bytes;
        assert!(peak < large.len() as u64 / 4, "{peak}");
        assert_eq!(peak_of(300, 200, 7), 300);
        assert_eq!(peak_of(200, 200, 7), 7);
    }

    fn peak_of(told: u64, own: u64, seen: u64) -> u64 {
        super::peak(told, own, seen)
    }

    #[test]
    fn it_has_one_core() {
        let ended = shell("grep Cpus_allowed_list /proc/self/status", &Stop::new()).unwrap();
        let core = super::super::Cores::free().unwrap().generator.to_string();
        assert_eq!(ended.stdout.split_whitespace().last(), Some(core.as_str()));
    }

    #[test]
    fn an_interrupted_one_does_not_go_on() {
        let stop = Stop::new();
        stop.signalled(2);
        assert!(shell("exec sleep 600", &stop).unwrap_err().contains("not at its end"));
    }
}
