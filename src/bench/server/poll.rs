//! What the server waits for: somebody at the door, bytes, room to write, a moment, the word to stop.
//!
//! # Why epoll by hand, and by level
//! One thread, and as few calls into the kernel as there can be: a request costs a read, a write and its share of a
//! wait. By level, because what is left unread is told again: no read is spent on finding that nothing is left.
//! Beside all connections there is a second set without them, for a blackhole: connections are taken, and nobody
//! looks whether they say anything.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use super::clock::Clock;
use crate::clock::Offset;

/// In one wait; more are told in the next one.
const EVENTS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Knock,
    Stop,
    Alarm,
    Connection { fd: RawFd, readable: bool, writable: bool },
}

/// What is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ears {
    Everybody,
    /// All but the connections.
    Door,
}

pub struct Poll {
    everybody: Epoll,
    door: Epoll,
    timer: TimerFd,
    alarm: Alarm,
    stop: Arc<EventFd>,
    clock: Clock,
    events: Box<[EpollEvent; EVENTS]>,
}

/// What the kernel's timer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alarm {
    Unset,
    Set(Offset),
    /// It rings until it is set anew.
    Rings,
}

const KNOCK: u64 = u64::MAX;
const STOP: u64 = u64::MAX - 1;
const ALARM: u64 = u64::MAX - 2;

impl Poll {
    pub fn new(clock: Clock) -> io::Result<Poll> {
        let epoll = || Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let poll = Poll {
            everybody: epoll()?,
            door: epoll()?,
            timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?,
            alarm: Alarm::Unset,
            stop: Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?),
            clock,
            events: Box::new([EpollEvent::empty(); EVENTS]),
        };
        poll.hear(&poll.timer, ALARM)?;
        poll.hear(&*poll.stop, STOP)?;
        Ok(poll)
    }

    /// Whoever writes to it stops the server.
    pub fn stop(&self) -> Arc<EventFd> {
        self.stop.clone()
    }

    /// A socket is heard until it is closed.
    pub fn hear_door(&self, listener: &TcpListener) -> io::Result<()> {
        self.hear(listener, KNOCK)
    }

    fn hear(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        self.everybody.add(&fd, event)?;
        Ok(self.door.add(&fd, event)?)
    }

    pub fn hear_connection(&self, stream: &TcpStream) -> io::Result<()> {
        Ok(self.everybody.add(stream, EpollEvent::new(EpollFlags::EPOLLIN, token(stream)))?)
    }

    /// From now on it is told when there is room to write, and no more when there are bytes to read.
    pub fn hear_room(&self, stream: &TcpStream) -> io::Result<()> {
        self.hear_only(stream, EpollFlags::EPOLLOUT)
    }

    /// The other way round.
    pub fn hear_bytes(&self, stream: &TcpStream) -> io::Result<()> {
        self.hear_only(stream, EpollFlags::EPOLLIN)
    }

    fn hear_only(&self, stream: &TcpStream, what: EpollFlags) -> io::Result<()> {
        Ok(self.everybody.modify(stream, &mut EpollEvent::new(what, token(stream)))?)
    }

    /// Waits until something happens, at the latest `until`; says how much. See [`event`](Self::event).
    pub fn wait(&mut self, ears: Ears, until: Option<Offset>) -> io::Result<usize> {
        self.set_alarm(until)?;
        let set = if ears == Ears::Everybody { &self.everybody } else { &self.door };
        match set.wait(&mut self.events[..], EpollTimeout::NONE) {
            Err(Errno::EINTR) => Ok(0),
            happened => Ok(happened?),
        }
    }

    /// What happened in the last wait, one after the other.
    pub fn event(&mut self, index: usize) -> Event {
        let event = self.events[index];
        match event.data() {
            KNOCK => Event::Knock,
            STOP => Event::Stop,
            ALARM => {
                self.alarm = Alarm::Rings;
                Event::Alarm
            }
            fd => Event::Connection {
                fd: fd as RawFd,
                // An error or a hang-up is found by reading.
                readable: event.events() != EpollFlags::EPOLLOUT,
                writable: event.events().contains(EpollFlags::EPOLLOUT),
            },
        }
    }

    /// One that is set for earlier stays: to wake once too often is cheaper than to set it each time.
    fn set_alarm(&mut self, until: Option<Offset>) -> io::Result<()> {
        match (self.alarm, until) {
            (Alarm::Set(at), Some(until)) if at <= until => {}
            (_, Some(until)) => {
                let moment: TimeSpec = self.clock.moment(until);
                self.timer.set(Expiration::OneShot(moment), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
                self.alarm = Alarm::Set(until);
            }
            (Alarm::Rings, None) => {
                self.timer.unset()?;
                self.alarm = Alarm::Unset;
            }
            (Alarm::Unset | Alarm::Set(_), None) => {}
        }
        Ok(())
    }
}

fn token(stream: &TcpStream) -> u64 {
    stream.as_raw_fd() as u64
}
