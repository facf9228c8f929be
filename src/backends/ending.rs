//! The end of a backend that runs things itself: its own tasks go last.

use std::sync::Mutex;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DownError;

/// Ends the tasks of a backend, which end by `over`, once everybody was told to go. `left`: who would not.
pub(super) async fn end(
    left: Vec<String>,
    over: &CancellationToken,
    tasks: &Mutex<JoinSet<()>>,
) -> Result<(), DownError> {
    over.cancel();
    let mut tasks = std::mem::take(&mut *tasks.lock().expect("no code panics while it holds the tasks"));
    if !left.is_empty() {
        // Who reaps a process that outlives SIGKILL would wait for ever.
        tasks.shutdown().await;
        return Err(DownError(left));
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
