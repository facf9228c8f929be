//! Reading HTTP/1.1 answers, one after another, in as many pieces as they come in.
//!
//! In: bytes, as a connection gives them. Out: an [`Answer`] once it is complete, `None` while it is not, or a
//! [`BadAnswer`]: this connection cannot be trusted any more. What comes of some bytes does not depend on how they
//! were cut.
//!
//! ```text
//!        ┌ 1xx ┐                     ┌────────── size ◀─ line end ┐
//!        ▼     │                     ▼                            │
//! begin ─ head ┴─┬─ chunked ───── chunk size ─┬─ chunk ── data ───┘
//!                ├─ Content-Length ─ data ─┐  └─ 0: trailers ─┐
//!                └─ no body ───────────────┴──────────────────┴─▶ complete
//! ```
//!
//! # Why
//! An acknowledgement rests on a *complete* answer, so its end must be known: by `Content-Length`, by chunks, or
//! because there is no body (204, 304, HEAD). An answer that ends where its connection ends may have been cut anywhere,
//! and is refused. Nothing may follow an answer: one request is outstanding at a time.
//!
//! Nothing is read twice but what is not complete of a head, a chunk's line, or trailers, which have their limits; and
//! nothing is allocated once the buffers are as large as what comes. An answer that came in one read is read where it
//! lies.

mod chunks;
mod head;

use std::ops::Range;

use head::{Framing, Head};

/// Interim heads and the final one together; trailers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const KEPT_BYTES_MAX: u64 = 256 * 1024;
const DROPPED_BYTES_MAX: u64 = 1 << 30;
/// At once, at first; more where answers fill it.
const READ_BYTES: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// A complete answer. Its body is with the [`Reader`] that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

/// What is to be done with the bodies of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// There are none, whatever heads say: the requests are HEADs.
    None,
    /// They are read to their end, and nobody looks at them: up to 1 GiB.
    Dropped,
    /// Somebody looks at them: up to 256 KiB.
    Kept,
}

impl Bodies {
    pub(super) fn bytes_max(self) -> u64 {
        match self {
            Bodies::None => 0,
            Bodies::Dropped => DROPPED_BYTES_MAX,
            Bodies::Kept => KEPT_BYTES_MAX,
        }
    }
}

/// Why bytes are not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAnswer {
    /// They are no HTTP/1.1.
    NoHttp,
    /// Its headers do not tell where it ends.
    NoLength,
    BadChunk,
    TooLong,
    /// More bytes follow it.
    Leftover,
    /// The connection ended within it.
    CutOff,
}

#[derive(Debug)]
pub struct Reader {
    bodies: Bodies,
    stage: Stage,
    /// What came, and how much of it is read.
    inbox: Vec<u8>,
    read: usize,
    /// Of the answer so far.
    head_bytes: usize,
    /// Announced so far.
    body_bytes: u64,
    /// The last piece of a kept body, in the inbox, and all those before it.
    piece: Range<usize>,
    pieces: Vec<u8>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many bytes, then the end.
    Body(Answer, u64),
    ChunkSize(Answer),
    /// So many bytes, then the end of the chunk.
    Chunk(Answer, u64),
    ChunkEnd(Answer),
    Trailers(Answer),
    /// Nothing.
    Complete(Answer),
}

impl Reader {
    pub fn new(bodies: Bodies) -> Reader {
        Reader {
            bodies,
            stage: Stage::Head,
            inbox: Vec::with_capacity(READ_BYTES),
            read: 0,
            head_bytes: 0,
            body_bytes: 0,
            piece: 0..0,
            pieces: Vec::new(),
        }
    }

    /// Forgets the answer before: what comes from now on is the next one.
    pub fn begin(&mut self) {
        self.inbox.clear();
        self.pieces.clear();
        (self.stage, self.piece) = (Stage::Head, 0..0);
        (self.read, self.head_bytes, self.body_bytes) = (0, 0, 0);
    }

    /// Where what comes next is to be appended. There is room, and no more than a read should take at once.
    pub fn room(&mut self) -> &mut Vec<u8> {
        let full = self.inbox.len() == self.inbox.capacity();
        if self.read > 0 {
            self.gather();
            self.inbox.drain(..self.read);
            self.read = 0;
        }
        if full && self.inbox.capacity() < READ_BYTES_MAX {
            self.inbox.reserve(2 * self.inbox.capacity());
        }
        &mut self.inbox
    }

    /// Reads on, as far as what came allows.
    pub fn advance(&mut self) -> Result<Option<Answer>, BadAnswer> {
        while let Some(next) = self.step()? {
            self.stage = next;
            if let Stage::Complete(answer) = next {
                return self.complete(answer).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether nothing at all came since the begin.
    pub fn is_untouched(&self) -> bool {
        self.stage == Stage::Head && self.head_bytes == 0 && self.inbox.is_empty()
    }

    /// The body of the answer that is complete, without the framing of chunks; empty where bodies are not kept.
    pub fn body(&self) -> &[u8] {
        if self.pieces.is_empty() { &self.inbox[self.piece.clone()] } else { &self.pieces }
    }

    /// Reads what comes next; `None`: it is not all there.
    fn step(&mut self) -> Result<Option<Stage>, BadAnswer> {
        match self.stage {
            Stage::Head => self.head(),
            Stage::Body(answer, 0) | Stage::Complete(answer) => Ok(Some(Stage::Complete(answer))),
            Stage::Body(answer, left) => Ok(self.data(left).map(|left| Stage::Body(answer, left))),
            Stage::ChunkSize(answer) => self.chunk_size(answer),
            Stage::Chunk(answer, 0) => Ok(Some(Stage::ChunkEnd(answer))),
            Stage::Chunk(answer, left) => Ok(self.data(left).map(|left| Stage::Chunk(answer, left))),
            Stage::ChunkEnd(answer) => {
                let length = chunks::end(self.unread())?;
                Ok(self.skip(length).then_some(Stage::ChunkSize(answer)))
            }
            Stage::Trailers(answer) => {
                let length = chunks::trailers(self.unread())?;
                Ok(self.skip(length).then_some(Stage::Complete(answer)))
            }
        }
    }

    fn head(&mut self) -> Result<Option<Stage>, BadAnswer> {
        let found = within(self.unread(), HEAD_BYTES_MAX - self.head_bytes, head::parse)?;
        let Some((length, head)) = found else { return Ok(None) };
        self.read += length;
        self.head_bytes += length;
        let Head::Final { answer, framing } = head else { return Ok(Some(Stage::Head)) };
        if self.bodies == Bodies::None {
            return Ok(Some(Stage::Complete(answer)));
        }
        Ok(Some(match framing? {
            Framing::Empty => Stage::Complete(answer),
            Framing::Length(length) => Stage::Body(answer, self.announced(length)?),
            Framing::Chunked => Stage::ChunkSize(answer),
        }))
    }

    fn chunk_size(&mut self, answer: Answer) -> Result<Option<Stage>, BadAnswer> {
        let Some((line, size)) = chunks::size(self.unread())? else { return Ok(None) };
        self.read += line;
        Ok(Some(match self.announced(size)? {
            0 => Stage::Trailers(answer),
            size => Stage::Chunk(answer, size),
        }))
    }

    fn announced(&mut self, length: u64) -> Result<u64, BadAnswer> {
        self.body_bytes = self.body_bytes.saturating_add(length);
        if self.body_bytes > self.bodies.bytes_max() { Err(BadAnswer::TooLong) } else { Ok(length) }
    }

    /// Reads data of which so much is left; gives what is left then. `None`: nothing came.
    fn data(&mut self, left: u64) -> Option<u64> {
        let length = self.unread().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let data = self.read..self.read + length;
        self.read += length;
        if self.bodies == Bodies::Kept && length > 0 {
            self.gather();
            self.piece = data;
        }
        (length > 0).then_some(left - length as u64)
    }

    /// Moves the last piece to those before it.
    fn gather(&mut self) {
        self.pieces.extend_from_slice(&self.inbox[self.piece.clone()]);
        self.piece = 0..0;
    }

    /// Whether there is something to skip.
    fn skip(&mut self, length: Option<usize>) -> bool {
        self.read += length.unwrap_or(0);
        length.is_some()
    }

    fn complete(&mut self, answer: Answer) -> Result<Answer, BadAnswer> {
        // A body in one piece stays where it is.
        if !self.pieces.is_empty() {
            self.gather();
        }
        if self.unread().is_empty() { Ok(answer) } else { Err(BadAnswer::Leftover) }
    }

    fn unread(&self) -> &[u8] {
        &self.inbox[self.read..]
    }
}

/// Parses something that must end within `bytes_max`. More than that is not looked at, so that it does not matter how
/// much came at once.
fn within<T>(
    bytes: &[u8],
    bytes_max: usize,
    parse: impl FnOnce(&[u8]) -> Result<Option<T>, BadAnswer>,
) -> Result<Option<T>, BadAnswer> {
    match parse(&bytes[..bytes.len().min(bytes_max)])? {
        None if bytes.len() > bytes_max => Err(BadAnswer::TooLong),
        found => Ok(found),
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
