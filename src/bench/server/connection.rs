//! One connection: what it has said, what it is owed, and what became of that.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use super::answers::{Answer, Answers, Then};

/// An answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    pub answer: Answer,
    /// Of the request in the log; what was none is not in it.
    pub record: Option<usize>,
}

pub struct Connection {
    pub stream: TcpStream,
    /// Descriptors are reused, numbers are not.
    pub number: u32,
    /// The beginning of a request whose rest is still to come; empty between requests, and that is nearly always.
    pub inbox: Vec<u8>,
    /// Of the body that is being skipped, and the answer that waits for its end.
    pub body_left: u64,
    pub after_body: Option<Owed>,
    /// Requests so far.
    pub taken: u64,
    /// The last answer is owed: whatever else comes is not read as a request.
    pub ending: bool,
    /// It has a turn to come among those that drip.
    pub dripping: bool,
    /// The kernel took no more: it is told when there is room, and not read until then.
    pub blocked: bool,
    outbox: VecDeque<Owed>,
    /// Bytes of the first in the outbox.
    sent: usize,
}

/// In one write; more follow in the next one.
const SLICES: usize = 64;

impl Connection {
    pub fn new(stream: TcpStream, number: u32) -> Connection {
        Connection {
            stream,
            number,
            inbox: Vec::new(),
            body_left: 0,
            after_body: None,
            taken: 0,
            ending: false,
            dripping: false,
            blocked: false,
            outbox: VecDeque::new(),
            sent: 0,
        }
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn owe(&mut self, owed: Owed) {
        self.outbox.push_back(owed);
    }

    pub fn owes_nothing(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Writes as much of the outbox as the kernel takes at once.
    pub fn write(&mut self, answers: &Answers) -> io::Result<usize> {
        if self.outbox.len() == 1 {
            return self.write_at_most(answers, usize::MAX);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.outbox.len().min(SLICES);
        for (slice, owed) in slices.iter_mut().zip(&self.outbox) {
            *slice = IoSlice::new(answers.bytes(owed.answer));
        }
        if let Some(first) = slices[..count].first_mut() {
            first.advance(self.sent);
        }
        self.stream.write_vectored(&slices[..count])
    }

    /// Writes of the first in the outbox alone.
    pub fn write_at_most(&mut self, answers: &Answers, bytes: usize) -> io::Result<usize> {
        let Some(first) = self.outbox.front() else { return Ok(0) };
        let rest = &answers.bytes(first.answer)[self.sent..];
        self.stream.write(&rest[..bytes.min(rest.len())])
    }

    /// Notes that so many bytes are written. What is complete with them is told by [`complete`](Self::complete).
    pub fn written(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// The next answer whose every byte is written; it is owed no more.
    pub fn complete(&mut self, answers: &Answers) -> Option<Owed> {
        let length = answers.bytes(self.outbox.front()?.answer).len();
        self.sent = self.sent.checked_sub(length)?;
        self.outbox.pop_front()
    }

    /// Our side ends; what was sent arrives.
    pub fn shut(&self) {
        // He may be gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Whether it was the last answer of its connection.
pub fn is_last(owed: &Owed) -> bool {
    owed.answer.then != Then::Next
}
