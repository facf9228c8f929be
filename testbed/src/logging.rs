//! Logging: plain lines to stderr. stdout belongs to the caller.

use std::io::IsTerminal;

/// Sends the service's log to stderr. Only the first call of a process counts.
pub fn log_to_stderr() {
    let already_set = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    if already_set.is_err() {
        tracing::debug!("the log was already set up");
    }
}
