//! What Ctrl-C and SIGTERM do to a command that takes its time.

use std::convert::Infallible;

use tokio::signal::unix::{SignalKind, signal};

use crate::stop::Stop;

/// What `run` comes to. As long as it takes, the first Ctrl-C or SIGTERM makes it heal and report (or whatever `first`
/// says), the second stop. Both are heard before it is first polled: a signal that comes as it begins must not kill it.
pub async fn heard<T>(stop: &Stop, first: &'static str, run: impl Future<Output = T>) -> T {
    let listening = listen(stop, first);
    tokio::select! {
        came_to = run => came_to,
        never = listening => match never {},
    }
}

/// They are heard from this call on.
fn listen(stop: &Stop, first: &'static str) -> impl Future<Output = Infallible> {
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
