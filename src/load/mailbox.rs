//! Where an idle connection waits for its next job. One shard is one thread, so this is two cells and no lock.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::rotation::Job;

#[derive(Debug, Default)]
pub struct Mailbox {
    letter: Cell<Option<Letter>>,
    waiting: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    Job(Job),
    /// No job will come: the connection is to be closed.
    Close,
}

impl Mailbox {
    pub fn give(&self, job: Job) {
        self.put(Letter::Job(job));
    }

    pub fn close(&self) {
        self.put(Letter::Close);
    }

    /// The next job; `None` when the connection is to be closed.
    pub async fn next(&self) -> Option<Job> {
        poll_fn(|context| match self.letter.take() {
            Some(Letter::Job(job)) => Poll::Ready(Some(job)),
            Some(Letter::Close) => Poll::Ready(None),
            None => {
                self.waiting.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    #[cfg(test)]
    pub fn is_closed(&self) -> bool {
        self.letter.get() == Some(Letter::Close)
    }

    fn put(&self, letter: Letter) {
        self.letter.set(Some(letter));
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Offset;
    use crate::load::lanes::{Lane, Operation};

    const JOB: Job = Job { op: Operation { index: 1, lane: Lane::Read, key: 1, seq: 0 }, due: Offset(1) };

    #[tokio::test]
    async fn a_waiting_connection_wakes_for_its_job_and_for_the_end() {
        let mailbox = Mailbox::default();
        let (taken, ()) = tokio::join!(mailbox.next(), async { mailbox.give(JOB) });
        assert_eq!(taken, Some(JOB));
        let (taken, ()) = tokio::join!(mailbox.next(), async { mailbox.close() });
        assert_eq!(taken, None);
    }

    #[tokio::test]
    async fn a_job_that_came_first_is_there() {
        let mailbox = Mailbox::default();
        mailbox.give(JOB);
        assert_eq!(mailbox.next().await, Some(JOB));
    }
}
