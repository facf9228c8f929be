//! What Ctrl-C and SIGTERM do to a command that takes its time.

use tokio::signal::unix::{SignalKind, signal};

use crate::stop::Stop;

/// The first Ctrl-C or SIGTERM heals and reports (or whatever `first` says), the second stops. Both are heard from this
/// call on, before the future is polled: a signal that comes as the run begins must not kill it.
pub fn listen(stop: Stop, first: &'static str) -> impl Future<Output = ()> {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process may listen for SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
    async move {
        loop {
            let kind = tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            };
            stop.signalled(kind.as_raw_value());
            match stop.abort.is_cancelled() {
                false => eprintln!("mxctl: interrupted; {first} (once more to stop at once)"),
                true => eprintln!("mxctl: stopping at once"),
            }
        }
    }
}
