//! `mxctl bench server`, for as long as a test needs it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use super::Lab;

/// Until it is dropped.
pub struct BenchServer {
    child: Child,
    pub url: String,
}

impl BenchServer {
    pub fn start(lab: &Lab, arguments: &[&str]) -> BenchServer {
        let mut command = lab.mxctl(&[&["bench", "server"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("mxctl starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let addr = line.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("{line:?}"));
        BenchServer { url: format!("http://{addr}/"), child }
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        super::signal(&self.child, Signal::SIGTERM);
        self.child.wait().expect("it was started here");
    }
}
