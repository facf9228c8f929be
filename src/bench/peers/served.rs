//! `mxctl bench server` as a child process, for one run.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child::pin;
use crate::bench::server::{Summary, Window};
use crate::scenario::Period;

/// After the run was to end, it ends by itself: nobody waits for ever for one that was not told to.
const GRACE: Duration = Duration::from_secs(120);

/// It listens.
pub struct Served {
    pub address: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Served {
    pub fn start(mxctl: &Path, core: usize, stall: Option<Window>, lasts: Duration) -> Result<Served, String> {
        let mut command = Command::new(mxctl);
        command.args(["bench", "server", "--duration", &Period(lasts + GRACE).to_string()]);
        if let Some(Window { at, lasts }) = stall {
            command.args(["--stall".to_owned(), format!("{}:{}", Period(at), Period(lasts))]);
        }
        pin(&mut command, core).map_err(|e| format!("{}: {e}", mxctl.display()))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("{}: {e}; is it still there?", mxctl.display()))?;
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        match address(&mut stdout) {
            Some(address) => Ok(Served { address, child, stdout }),
            None => {
                let ended = child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
                Err(format!("{} does not say where it listens ({ended}); its own message says why", mxctl.display()))
            }
        }
    }

    /// Ends it; what it saw.
    pub fn end(mut self) -> Result<Summary, String> {
        // ESRCH: it ended by itself, and its summary is there all the same.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let mut text = String::new();
        let read = self.stdout.read_to_string(&mut text).and_then(|_| self.child.wait());
        read.map_err(|e| format!("read its summary: {e}"))?;
        serde_json::from_str(&text).map_err(|e| format!("read its summary: {e}"))
    }
}

impl Drop for Served {
    /// Where a run was given up.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn address(stdout: &mut impl BufRead) -> Option<SocketAddr> {
    let mut line = String::new();
    stdout.read_line(&mut line).ok()?;
    line.trim().strip_prefix("listening ")?.parse().ok()
}
