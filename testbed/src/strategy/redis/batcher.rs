//! Natural batching. In: requests, from any number of callers. Out: one push at a time, and an answer for each.
//!
//! ```text
//! offer ─┐                      ┌─ idle: sent at once
//! offer ─┼─ queue ─ gather ─────┤
//! offer ─┘                      └─ a push is outstanding: what comes meanwhile is the next batch
//! ```
//! No request waits for company, so a request waits for two pushes at most as long as what comes during one fits into
//! the next ([`BATCH_MAX`]).
//!
//! # Why a task of its own
//! A caller that gives up (its client went away) must not take the requests of others, batched with its own, along.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::connection::Failure;
use super::pusher::Pusher;
use crate::strategy::Offered;

/// Tasks in one push; a single larger request goes alone.
const BATCH_MAX: usize = 256;

/// How long a caller should stay away when there is no room: a few flushes' worth.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Batcher {
    queue: mpsc::Sender<Request>,
    /// Bytes that may still wait in this process.
    bytes: Arc<Semaphore>,
    _pushing: AbortOnDropHandle<()>,
}

/// The tasks of one request, as JSON, until they are answered.
struct Request {
    tasks: Vec<String>,
    answer: oneshot::Sender<Offered>,
    _bytes: OwnedSemaphorePermit,
}

impl Batcher {
    /// At most `waiting_max` requests and `bytes_max` bytes wait in this process.
    pub(super) fn start(pusher: Pusher, waiting_max: usize, bytes_max: usize) -> Self {
        let (queue, requests) = mpsc::channel(waiting_max.min(Semaphore::MAX_PERMITS));
        Batcher {
            queue,
            bytes: Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))),
            _pushing: AbortOnDropHandle::new(tokio::spawn(push_all(pusher, requests))),
        }
    }

    pub(super) async fn offer(&self, tasks: Vec<String>) -> Offered {
        let full = Offered::Backpressure { retry_after: RETRY_AFTER };
        let size = u32::try_from(tasks.iter().map(String::len).sum::<usize>()).unwrap_or(u32::MAX);
        let Ok(bytes) = Arc::clone(&self.bytes).try_acquire_many_owned(size) else { return full };
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Request { tasks, answer, _bytes: bytes }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Offered::Indeterminate { why: "the buffer went away".into() }),
            Err(_) => full,
        }
    }
}

/// Ends when the batcher is dropped.
async fn push_all(mut pusher: Pusher, mut queue: mpsc::Receiver<Request>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(request) = queue.recv().await else { return };
            waiting.push_back(request);
        }
        take_in(&mut waiting, &mut queue);
        let batch = next_batch(&mut waiting);
        let failed = push(&mut pusher, batch).await;
        if let Some(why) = failed {
            refuse(&mut waiting, &mut queue, &why);
        }
    }
}

/// Enough for one batch; the rest stays in the queue, whose bound is the one that counts.
fn take_in(waiting: &mut VecDeque<Request>, queue: &mut mpsc::Receiver<Request>) {
    while waiting.len() < BATCH_MAX
        && let Ok(request) = queue.try_recv()
    {
        waiting.push_back(request);
    }
}

fn next_batch(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let mut tasks = 0;
    let fitting = waiting.iter().take_while(|request| {
        tasks += request.tasks.len();
        tasks <= BATCH_MAX
    });
    let requests = fitting.count().max(1);
    waiting.drain(..requests).collect()
}

/// Pushes and answers. Says why where Redis is out of reach.
async fn push(pusher: &mut Pusher, batch: Vec<Request>) -> Option<String> {
    let tasks: Vec<&[String]> = batch.iter().map(|request| &request.tasks[..]).collect();
    let pushed = pusher.push(&tasks).await;
    let away = match &pushed {
        Ok(_) | Err(Failure::Refused { .. }) => None,
        Err(Failure::NotSent(why) | Failure::Lost(why)) => Some(why.clone()),
    };
    match pushed {
        Ok((taken, durability)) => {
            let answers = taken.into_iter().map(|taken| match taken {
                true => Offered::Accepted { durability },
                false => Offered::Backpressure { retry_after: RETRY_AFTER },
            });
            batch.into_iter().zip(answers).for_each(|(request, offered)| request.tell(offered));
        }
        Err(failure) => batch.into_iter().for_each(|request| request.tell(offered(&failure))),
    }
    away
}

/// What waited behind a push that failed has not been sent. To send it now would let it wait for a second time-out.
fn refuse(waiting: &mut VecDeque<Request>, queue: &mut mpsc::Receiver<Request>, why: &str) {
    let queued = std::iter::from_fn(|| queue.try_recv().ok());
    for request in waiting.drain(..).chain(queued) {
        request.tell(Offered::Unavailable { why: format!("not sent: {why}") });
    }
}

impl Request {
    /// A caller that is gone has no use for its answer.
    fn tell(self, offered: Offered) {
        let _ = self.answer.send(offered);
    }
}

/// What can be said of every request in a push that failed: surely not stored only where that is proven.
fn offered(failure: &Failure) -> Offered {
    let why = failure.to_string();
    match failure {
        Failure::NotSent(_) => Offered::Unavailable { why },
        Failure::Refused { code, .. } if NOTHING_RAN.contains(&&code[..]) => Offered::Unavailable { why },
        Failure::Refused { .. } | Failure::Lost(_) => Offered::Indeterminate { why },
    }
}

/// Error codes that Redis answers only *instead* of beginning a script. `NOPERM` is not among them: since 7.2 it may
/// also come from a command inside of one, behind others that were done.
const NOTHING_RAN: [&str; 14] = [
    "OOM",
    "READONLY",
    "MISCONF",
    "LOADING",
    "NOSCRIPT",
    "MASTERDOWN",
    "NOREPLICAS",
    "NOAUTH",
    "BUSY",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str) -> Failure {
        Failure::Refused { code: code.into(), detail: "…".into() }
    }

    #[test]
    fn only_a_proof_that_nothing_ran_is_called_unavailable() {
        for code in NOTHING_RAN {
            assert!(matches!(offered(&refusal(code)), Offered::Unavailable { .. }), "{code}");
        }
        for code in ["ERR", "WRONGTYPE", "NOPERM", "UNHEARD-OF"] {
            assert!(matches!(offered(&refusal(code)), Offered::Indeterminate { .. }), "{code}");
        }
        assert!(matches!(offered(&Failure::NotSent("refused".into())), Offered::Unavailable { .. }));
        assert!(matches!(offered(&Failure::Lost("reset".into())), Offered::Indeterminate { .. }));
    }

    fn waiting(sizes: &[usize]) -> VecDeque<Request> {
        let bytes = Arc::new(Semaphore::new(sizes.len()));
        let request = |tasks: &usize| Request {
            tasks: vec![String::new(); *tasks],
            answer: oneshot::channel().0,
            _bytes: Arc::clone(&bytes).try_acquire_owned().expect("one permit for each"),
        };
        sizes.iter().map(request).collect()
    }

    #[test]
    fn a_batch_holds_whole_requests_and_never_none() {
        let mut requests = waiting(&[100, 100, 57, 1000, 3]);
        let sizes = |batch: Vec<Request>| batch.iter().map(|r| r.tasks.len()).collect::<Vec<_>>();
        assert_eq!(sizes(next_batch(&mut requests)), [100, 100]);
        assert_eq!(sizes(next_batch(&mut requests)), [57]);
        assert_eq!(sizes(next_batch(&mut requests)), [1000]);
        assert_eq!(sizes(next_batch(&mut requests)), [3]);
    }
}
