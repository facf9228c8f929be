//! A child process that dies with its parent.
//!
//! # Why PDEATHSIG, and its trap
//! It is the one way that also covers `kill -9` of mxctl. It fires when the *thread* that spawned the child ends, so
//! children are spawned from the thread that runs the control plane, which lasts as long as the run.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::plan::DatabaseUrl;
use crate::process::ProcessIdentity;

/// The child finds the number of its control socket here. Without it a service has no pause points.
pub const CONTROL_FD: &str = "MXCTL_CONTROL_FD";

/// The child finds the URL of an existing database here: a file would keep its password.
pub const DATABASE_URL: &str = "DATABASE_URL";

pub(super) struct Child {
    pub identity: ProcessIdentity,
    process: tokio::process::Child,
}

impl Child {
    /// An instance of the service, and our end of its control socket.
    pub fn service(
        name: &str,
        executable: &Path,
        config: &Path,
        existing: Option<&DatabaseUrl>,
        log: &Path,
    ) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(executable);
        command.arg("serve").arg("--config").arg(config);
        command.env(CONTROL_FD, theirs.as_raw_fd().to_string());
        if let Some(url) = existing {
            command.env(DATABASE_URL, url.revealed());
        }
        let child = Child::spawn(name, command, Signal::SIGKILL, log, Some(theirs.as_raw_fd()))?;
        Ok((child, ours))
    }

    /// Any other program.
    pub fn program(name: &str, command: Command, log: &Path) -> io::Result<Child> {
        Child::spawn(name, command, Signal::SIGKILL, log, None)
    }

    /// A program that leaves something behind unless it ends in order: it hears `death` when its parent dies.
    pub fn server(name: &str, command: Command, death: Signal, log: &Path) -> io::Result<Child> {
        Child::spawn(name, command, death, log, None)
    }

    fn spawn(name: &str, mut command: Command, death: Signal, log: &Path, keep: Option<RawFd>) -> io::Result<Child> {
        let output = File::create(log)?;
        let parent = std::process::id() as i32;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        // SAFETY: between fork and exec only async-signal-safe calls: prctl, getppid, fcntl.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(death)?;
                // The parent may have died before the line above.
                if nix::unistd::getppid().as_raw() != parent {
                    return Err(io::Error::from(io::ErrorKind::BrokenPipe));
                }
                if let Some(fd) = keep {
                    let fd = std::os::fd::BorrowedFd::borrow_raw(fd);
                    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
                }
                Ok(())
            });
        }
        let process = command.spawn()?;
        let pid = process.id().ok_or_else(|| io::Error::other(format!("{name} ended at once")))? as i32;
        Ok(Child { identity: ProcessIdentity::of(pid)?, process })
    }

    /// Waits for the end and reaps: exit code, or the signal that ended it.
    pub async fn ended(mut self) -> (Option<i32>, Option<i32>) {
        use std::os::unix::process::ExitStatusExt;
        let status: io::Result<ExitStatus> = self.process.wait().await;
        status.map_or((None, None), |status| (status.code(), status.signal()))
    }
}
