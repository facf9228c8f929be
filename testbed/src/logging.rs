//! Logging: plain lines to stderr, or to a file. stdout belongs to the caller.

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Mutex;

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

/// Sends what this thread logs while it acts to a file, whatever the rest of the process does with its log: for a
/// service on a thread of its own, whose tasks all run there. What other threads do for it (a driver's own, for
/// example) is not in it.
pub fn with_log_in<T>(file: File, act: impl FnOnce() -> T) -> T {
    let log = tracing_subscriber::fmt().with_writer(Mutex::new(file)).with_ansi(false).with_target(false).finish();
    tracing::subscriber::with_default(log, act)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_log_each_into_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::thread::scope(|threads| {
            for name in ["one", "two"] {
                let file = File::create(path(name)).unwrap();
                threads.spawn(move || with_log_in(file, || tracing::info!("this is {name}")));
            }
        });
        for (name, other) in [("one", "two"), ("two", "one")] {
            let text = std::fs::read_to_string(path(name)).unwrap();
            assert!(text.contains(&format!("this is {name}")) && !text.contains(other), "{text}");
        }
    }
}
