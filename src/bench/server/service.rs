//! The server itself: one thread that waits, reads, and writes.
//!
//! ```text
//!            ┌────────────── log: arrived ────────────┐  ┌─ log: answered
//! read ─ request ─┬─ due now ───────────────────── outbox ─ write
//!                 └─ held (delay, stall) ─ due ──────┘  └─ drips ─┘
//! ```
//!
//! # Why two plain queues and no timer wheel
//! Every answer has the same delay, and a stall moves all that are due in it to its end: an answer never overtakes one
//! that was held before it. So the next one due is always the first. The same goes for drips.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use nix::libc::linger;
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{setsockopt, sockopt};

use super::answers::{Answer, Answers, Text, Then};
use super::arrivals::Arrivals;
use super::clock::Clock;
use super::connection::{Connection, Owed, is_last};
use super::door::Door;
use super::poll::{Ears, Event, Poll};
use super::request::{self, Head};
use super::schedule::{DoorState, Schedule};
use super::script::{CloseAfter, Drip, Script};
use super::summary::{Counts, Ending, Summary};
use super::{Served, ServerError};
use crate::clock::Offset;

/// At once from one connection.
const READ_BYTES: usize = 64 * 1024;

pub struct Service {
    script: Script,
    answers: Answers,
    clock: Clock,
    /// Begins with the first request.
    schedule: Schedule,
    poll: Poll,
    door: Door,
    /// By descriptor.
    connections: Vec<Option<Box<Connection>>>,
    held: VecDeque<Held<Owed>>,
    drips: VecDeque<Held<()>>,
    log: Arrivals,
    counts: Counts,
    stopped: bool,
    /// All connections share it: between requests none of them has anything in it.
    buffer: Box<[u8]>,
}

/// Something that a connection gets at its time, if it is still there.
struct Held<T> {
    due: Offset,
    fd: RawFd,
    number: u32,
    what: T,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Fate {
    Lives,
    Ends,
}

impl Service {
    /// Listens from now on.
    pub fn open(script: Script, address: SocketAddr) -> Result<Service, ServerError> {
        let clock = Clock::starting_now();
        let poll = Poll::new(clock).map_err(ServerError::Poll)?;
        let door = Door::open(address, &poll).map_err(|source| ServerError::Listen { address, source })?;
        Ok(Service {
            answers: Answers::of(&script),
            script,
            clock,
            schedule: Schedule::default(),
            poll,
            door,
            connections: Vec::new(),
            held: VecDeque::new(),
            drips: VecDeque::new(),
            log: Arrivals::new(),
            counts: Counts::default(),
            stopped: false,
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    pub fn stop(&self) -> Arc<EventFd> {
        self.poll.stop()
    }

    /// Serves until its end, by the script or by word.
    pub fn serve(mut self) -> Result<Served, ServerError> {
        loop {
            let now = self.clock.now();
            let ears = self.turn_door(now)?;
            self.answer_held(now);
            self.drip_on(now);
            if let Some(ended) = self.ending(now) {
                let summary = Summary::of(&self.log, self.counts, self.clock, ended);
                return Ok(Served { summary, arrivals: self.log });
            }
            let until = self.next_moment(now);
            for index in 0..self.poll.wait(ears, until).map_err(ServerError::Poll)? {
                match self.poll.event(index) {
                    Event::Knock => self.let_in()?,
                    Event::Stop => self.stopped = true,
                    // What is due is looked after in every round.
                    Event::Alarm => {}
                    Event::Connection { fd, readable, writable } => self.attend(fd, readable, writable),
                }
            }
        }
    }

    fn ending(&self, now: Offset) -> Option<Ending> {
        let enough = self.script.requests.is_some_and(|enough| self.counts.answered >= enough.get());
        let over = self.script.duration.is_some_and(|duration| now >= Offset::from_duration(duration));
        match (self.stopped, enough, over) {
            (true, _, _) => Some(Ending::Stopped),
            (_, true, _) => Some(Ending::Requests),
            (_, _, true) => Some(Ending::Duration),
            (false, false, false) => None,
        }
    }

    fn next_moment(&self, now: Offset) -> Option<Offset> {
        let held = self.held.front().map(|held| held.due);
        let drip = self.drips.front().map(|drip| drip.due);
        let end = self.script.duration.map(Offset::from_duration);
        [held, drip, self.schedule.next_turn(now), end].into_iter().flatten().min()
    }

    /// Opens or shuts the door as the schedule says, and says who is listened to behind it.
    fn turn_door(&mut self, now: Offset) -> Result<Ears, ServerError> {
        let state = self.schedule.door(now);
        match (state, self.door.is_open()) {
            (DoorState::Refusing, true) => {
                self.door.shut();
                self.connections.drain(..).flatten().for_each(reset);
            }
            (DoorState::Open | DoorState::Blackholed, false) => {
                let address = self.address();
                self.door.reopen(&self.poll).map_err(|source| ServerError::Listen { address, source })?;
            }
            (DoorState::Refusing, false) | (DoorState::Open | DoorState::Blackholed, true) => {}
        }
        Ok(if state == DoorState::Blackholed { Ears::Door } else { Ears::Everybody })
    }

    fn let_in(&mut self) -> Result<(), ServerError> {
        while let Some(stream) = self.door.take().map_err(ServerError::Accept)? {
            self.settle_in(&stream).map_err(ServerError::Accept)?;
            self.counts.connections += 1;
            let fd = stream.as_raw_fd() as usize;
            if self.connections.len() <= fd {
                self.connections.resize_with(fd + 1, || None);
            }
            self.connections[fd] = Some(Box::new(Connection::new(stream, self.counts.connections)));
        }
        Ok(())
    }

    fn settle_in(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.poll.hear_connection(stream)
    }

    /// Lends a connection out, and puts it back if it lives. What is meant for one that is gone goes nowhere.
    fn with(&mut self, fd: RawFd, act: impl FnOnce(&mut Self, &mut Connection) -> Fate) {
        let Some(mut connection) = self.connections.get_mut(fd as usize).and_then(Option::take) else { return };
        if act(self, &mut connection) == Fate::Lives {
            self.connections[fd as usize] = Some(connection);
        }
    }

    fn attend(&mut self, fd: RawFd, readable: bool, writable: bool) {
        self.with(fd, |service, connection| {
            if writable && service.send(connection) == Fate::Ends {
                return Fate::Ends;
            }
            if readable { service.read(connection) } else { Fate::Lives }
        });
    }

    /// Reads once: what is left is told again. The buffer is lent out meanwhile.
    fn read(&mut self, connection: &mut Connection) -> Fate {
        let mut buffer = std::mem::take(&mut self.buffer);
        let fate = match connection.stream.read(&mut buffer) {
            // He is gone, and what is owed to him goes with him.
            Ok(0) => Fate::Ends,
            Ok(count) => self.hear(connection, &buffer[..count]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Fate::Lives,
            Err(_) => Fate::Ends,
        };
        self.buffer = buffer;
        fate
    }

    /// Takes every request that is complete, and sends what is due.
    fn hear(&mut self, connection: &mut Connection, bytes: &[u8]) -> Fate {
        let now = self.clock.now();
        if connection.inbox.is_empty() {
            let used = self.take(connection, bytes, now);
            connection.inbox.extend_from_slice(&bytes[used..]);
        } else {
            let mut inbox = std::mem::take(&mut connection.inbox);
            inbox.extend_from_slice(bytes);
            let used = self.take(connection, &inbox, now);
            inbox.drain(..used);
            connection.inbox = inbox;
        }
        self.send(connection)
    }

    /// Says how many bytes were of use; all, where no more requests are taken.
    fn take(&mut self, connection: &mut Connection, bytes: &[u8], now: Offset) -> usize {
        let mut used = 0;
        while !connection.ending {
            used += skip_body(connection, bytes.len() - used);
            if connection.body_left > 0 {
                return used;
            }
            if let Some(owed) = connection.after_body.take() {
                self.hold(connection, owed, now);
                continue;
            }
            match request::parse(&bytes[used..]) {
                Ok(Some(head)) => {
                    used += head.bytes;
                    self.arrive(connection, head, now);
                }
                Ok(None) => return used,
                Err(request::BadRequest) => self.turn_down(connection, now),
            }
        }
        bytes.len()
    }

    /// The answer waits for the request's body, however short.
    fn arrive(&mut self, connection: &mut Connection, head: Head, now: Offset) {
        if self.log.is_empty() {
            self.schedule = Schedule::of(&self.script, now);
        }
        connection.taken += 1;
        let text = if self.script.is_error(self.log.len() as u64) { Text::Error } else { Text::Asked };
        let answer = Answer { text, then: self.then(connection, head), head_only: head.is_head };
        let record = self.log.arrived(now, connection.number, self.answers.status(text));
        connection.body_left = head.body_bytes;
        connection.after_body = Some(Owed { answer, record: Some(record) });
    }

    fn then(&self, connection: &Connection, head: Head) -> Then {
        let close = self.script.close.filter(|close| connection.taken >= close.answers.get());
        match close {
            _ if !head.keep_alive => Then::Close,
            None => Then::Next,
            Some(CloseAfter { abruptly: true, .. }) => Then::Cut,
            Some(CloseAfter { abruptly: false, .. }) => Then::Close,
        }
    }

    fn turn_down(&mut self, connection: &mut Connection, now: Offset) {
        self.counts.bad_requests += 1;
        let answer = Answer { text: Text::Bad, then: Then::Close, head_only: false };
        self.hold(connection, Owed { answer, record: None }, now);
    }

    /// Into the outbox where it may leave at once and none is held: nobody is overtaken.
    fn hold(&mut self, connection: &mut Connection, owed: Owed, now: Offset) {
        connection.ending |= is_last(&owed);
        let due = self.schedule.leaves(now.plus(self.script.delay));
        if due <= now && self.held.is_empty() {
            connection.owe(owed);
        } else {
            let (fd, number) = (connection.fd(), connection.number);
            self.held.push_back(Held { due, fd, number, what: owed });
        }
    }

    fn answer_held(&mut self, now: Offset) {
        while let Some(Held { fd, number, what, .. }) = next_due(&mut self.held, now) {
            let more_for_it = self.held.front().is_some_and(|next| next.due <= now && next.number == number);
            self.with(fd, |service, connection| {
                if connection.number != number {
                    return Fate::Lives;
                }
                connection.owe(what);
                if more_for_it { Fate::Lives } else { service.send(connection) }
            });
        }
    }

    fn drip_on(&mut self, now: Offset) {
        while let Some(Held { fd, number, .. }) = next_due(&mut self.drips, now) {
            self.with(fd, |service, connection| {
                if connection.number != number {
                    return Fate::Lives;
                }
                connection.dripping = false;
                service.send(connection)
            });
        }
    }

    fn send(&mut self, connection: &mut Connection) -> Fate {
        match self.script.drip {
            None => self.send_all(connection),
            Some(_) if connection.dripping || connection.owes_nothing() => Fate::Lives,
            Some(drip) => self.send_drop(connection, drip),
        }
    }

    fn send_all(&mut self, connection: &mut Connection) -> Fate {
        while !connection.owes_nothing() {
            match connection.write(&self.answers) {
                Ok(bytes) => {
                    if self.written(connection, bytes) == Fate::Ends {
                        return Fate::Ends;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return self.block(connection, true),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Fate::Ends,
            }
        }
        self.block(connection, false)
    }

    /// Who does not take his answers is not read until he does: they would pile up here.
    fn block(&mut self, connection: &mut Connection, blocked: bool) -> Fate {
        if connection.blocked == blocked {
            return Fate::Lives;
        }
        connection.blocked = blocked;
        let stream = &connection.stream;
        let heard = if blocked { self.poll.hear_room(stream) } else { self.poll.hear_bytes(stream) };
        if heard.is_ok() { Fate::Lives } else { Fate::Ends }
    }

    /// One piece; the next one has its turn. Where the kernel takes none, that is its next try.
    fn send_drop(&mut self, connection: &mut Connection, drip: Drip) -> Fate {
        let fate = match connection.write_at_most(&self.answers, drip.bytes) {
            Ok(bytes) => self.written(connection, bytes),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Fate::Lives,
            Err(_) => Fate::Ends,
        };
        if fate == Fate::Lives && !connection.owes_nothing() {
            connection.dripping = true;
            let due = self.schedule.leaves(self.clock.now().plus(drip.every));
            self.drips.push_back(Held { due, fd: connection.fd(), number: connection.number, what: () });
        }
        fate
    }

    /// Notes which answers are complete.
    fn written(&mut self, connection: &mut Connection, bytes: usize) -> Fate {
        let now = self.clock.now();
        let mut then = Then::Next;
        connection.written(bytes);
        while let Some(owed) = connection.complete(&self.answers) {
            then = owed.answer.then;
            if let Some(record) = owed.record {
                self.log.answered(record, now);
                self.counts.answered += 1;
            }
        }
        match then {
            Then::Next => Fate::Lives,
            // A close with bytes unread would be a reset, which may overtake the answer: his end comes first.
            Then::Close => {
                connection.shut();
                Fate::Lives
            }
            Then::Cut => Fate::Ends,
        }
    }
}

/// Skips so much of a body as is there; says how much.
fn skip_body(connection: &mut Connection, there: usize) -> usize {
    let skipped = usize::try_from(connection.body_left).unwrap_or(usize::MAX).min(there);
    connection.body_left -= skipped as u64;
    skipped
}

fn next_due<T>(queue: &mut VecDeque<Held<T>>, now: Offset) -> Option<Held<T>> {
    queue.pop_front_if(|held| held.due <= now)
}

/// Closed so that the other side hears a reset.
#[expect(clippy::boxed_local, reason = "connections are kept in boxes")]
fn reset(connection: Box<Connection>) {
    // One that is gone already needs none.
    let _ = setsockopt(&connection.stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
}
