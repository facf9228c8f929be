//! A server of HTTP/2 that writes its frames by hand, so that it can do what a good library would not.
//!
//! It looks at no header: a request is a HEADERS frame that ends its stream, and `:status 200` is one byte of HPACK.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Seen, add};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const MAX_CONCURRENT_STREAMS: u16 = 3;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

const SHUT: Duration = Duration::from_millis(300);

const STATUS_200: &[u8] = &[0x88];

/// What it does to requests, counted on each connection from 1.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Allows one stream at a time.
    OneAtATime,
    /// Allows none for [`SHUT`], and then two.
    OpensLate,
    /// On the first connection with requests: answers four at once, when it has allowed one at a time from then on; and
    /// no one any more.
    Narrows,
    /// At the fourth request: a GOAWAY that names the third as the last, which it answers only then.
    GoesAway,
    /// A GOAWAY after the first answer.
    GoesAwayIdle,
    /// On so many connections, from the second one on: a GOAWAY before any request.
    GoesAwayUnasked(u64),
    /// A GOAWAY that names an error, as the first that is heard of it after its settings.
    TurnsAway,
    /// Refuses every fifth one.
    Refuses,
    /// Resets every fifth one in the middle of its answer.
    Resets,
    /// Ends the connection in the middle of the fifth answer.
    CutsOff,
    /// Never answers the fifth one.
    Forgets,
    /// Answers every tenth one, and any other one when it has been reset.
    AnswersLate,
    /// Answers thirty, and then says nothing any more.
    FallsSilent,
}

pub struct Server {
    pub addr: SocketAddr,
    pub seen: Arc<Seen>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

struct Connection {
    tcp: TcpStream,
    manner: Manner,
    seen: Arc<Seen>,
    /// Among all, from 1.
    taken: u64,
    /// Among those with requests, from 1; 0 before the first one.
    nth: u64,
    requests: u64,
    /// Streams that wait for an answer.
    open: Vec<u32>,
}

impl Server {
    /// It ends with the test's process.
    pub fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let (addr, seen) = (listener.local_addr().expect("its address"), Arc::new(Seen::default()));
        let counted = seen.clone();
        std::thread::spawn(move || {
            for (tcp, taken) in listener.incoming().flatten().zip(1..) {
                let (seen, open) = (counted.clone(), Vec::new());
                let connection = Connection { tcp, manner, seen, taken, nth: 0, requests: 0, open };
                // However it ends, what was counted until then is what counts.
                std::thread::spawn(move || connection.serve());
            }
        });
        Server { addr, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}/items/{{seq}}", self.addr)
    }
}

impl Manner {
    /// It allows so many at a time, at first.
    fn streams(self) -> u32 {
        match self {
            Manner::OpensLate => 0,
            Manner::OneAtATime => 1,
            Manner::AnswersLate => 1000,
            _ => 100,
        }
    }
}

impl Connection {
    fn serve(mut self) -> io::Result<()> {
        self.tcp.set_nodelay(true)?;
        let mut preface = [0; PREFACE.len()];
        self.tcp.read_exact(&mut preface)?;
        assert_eq!(preface, PREFACE);
        self.allow(self.manner.streams())?;
        loop {
            let frame = self.read()?;
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS, 0) => self.write(SETTINGS, ACK, 0, &[])?,
                (SETTINGS, _) if self.narrows(4) => {
                    self.open.clone().into_iter().try_for_each(|open| self.answer(open))?
                }
                (PING, 0) => self.pinged(&frame.payload)?,
                (RST_STREAM, _) if self.open.contains(&frame.stream) => self.cancelled(frame.stream)?,
                (HEADERS, _) => {
                    assert_ne!(frame.flags & END_STREAM, 0, "requests without a body");
                    self.requested(frame.stream)?;
                }
                _ => {}
            }
        }
    }

    fn requested(&mut self, stream: u32) -> io::Result<()> {
        self.requests += 1;
        if self.requests == 1 {
            self.nth = add(&self.seen.connections);
        }
        add(&self.seen.requests);
        self.open.push(stream);
        self.seen.open_most.fetch_max(self.open.len() as u64, Ordering::SeqCst);
        if self.narrows(4) {
            return self.allow(1);
        }
        let fifth = self.requests.is_multiple_of(5);
        match self.manner {
            Manner::GoesAway => self.goes_away(stream),
            Manner::GoesAwayUnasked(_) if self.is_left() => {
                add(&self.seen.unprocessed);
                Ok(())
            }
            Manner::GoesAwayIdle if self.requests > 1 => {
                add(&self.seen.unprocessed);
                Ok(())
            }
            Manner::GoesAwayIdle => {
                self.answer(stream)?;
                self.go_away(stream, NO_ERROR)
            }
            Manner::Refuses if fifth => {
                add(&self.seen.unprocessed);
                self.reset(stream, REFUSED_STREAM)
            }
            Manner::Resets if fifth => {
                self.half(stream)?;
                self.reset(stream, INTERNAL_ERROR)
            }
            Manner::CutsOff if fifth => {
                self.half(stream)?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Manner::Narrows if self.nth == 1 => Ok(()),
            Manner::Forgets if fifth => Ok(()),
            Manner::AnswersLate if !self.requests.is_multiple_of(10) => Ok(()),
            Manner::FallsSilent if self.requests > 30 => Ok(()),
            _ => self.answer(stream),
        }
    }

    fn pinged(&mut self, payload: &[u8]) -> io::Result<()> {
        if matches!(self.manner, Manner::TurnsAway) {
            return self.go_away(0, ENHANCE_YOUR_CALM);
        }
        self.write(PING, ACK, 0, payload)?;
        match self.manner {
            Manner::OpensLate => {
                std::thread::sleep(SHUT);
                self.allow(2)
            }
            Manner::GoesAwayUnasked(_) if self.is_left() => self.go_away(0, NO_ERROR),
            _ => Ok(()),
        }
    }

    fn is_left(&self) -> bool {
        matches!(self.manner, Manner::GoesAwayUnasked(connections) if self.taken > 1 && self.taken - 1 <= connections)
    }

    /// After so many requests.
    fn narrows(&self, requests: u64) -> bool {
        matches!(self.manner, Manner::Narrows) && self.nth == 1 && self.requests == requests
    }

    fn goes_away(&mut self, stream: u32) -> io::Result<()> {
        match self.requests {
            1 | 2 => self.answer(stream),
            3 => Ok(()),
            nth => {
                add(&self.seen.unprocessed);
                if nth == 4 {
                    let last = stream - 2;
                    self.go_away(last, NO_ERROR)?;
                    self.answer(last)?;
                }
                Ok(())
            }
        }
    }

    fn answer(&mut self, stream: u32) -> io::Result<()> {
        // Counted first: the client may be gone when it has read what it waited for.
        add(&self.seen.answered);
        self.open.retain(|open| *open != stream);
        self.whole(stream)
    }

    fn cancelled(&mut self, stream: u32) -> io::Result<()> {
        add(&self.seen.cancelled);
        self.open.retain(|open| *open != stream);
        if matches!(self.manner, Manner::AnswersLate) { self.whole(stream) } else { Ok(()) }
    }

    /// An answer.
    fn whole(&mut self, stream: u32) -> io::Result<()> {
        self.write(HEADERS, END_HEADERS, stream, STATUS_200)?;
        self.write(DATA, END_STREAM, stream, b"ok")
    }

    /// The head of an answer and a part of its body.
    fn half(&mut self, stream: u32) -> io::Result<()> {
        self.open.retain(|open| *open != stream);
        self.write(HEADERS, END_HEADERS, stream, STATUS_200)?;
        self.write(DATA, 0, stream, b"o")
    }

    fn reset(&mut self, stream: u32, code: u32) -> io::Result<()> {
        self.open.retain(|open| *open != stream);
        self.write(RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    fn allow(&mut self, streams: u32) -> io::Result<()> {
        let settings = [&MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &streams.to_be_bytes()].concat();
        self.write(SETTINGS, 0, 0, &settings)
    }

    fn go_away(&mut self, last: u32, code: u32) -> io::Result<()> {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.tcp.write_all(&[&head, payload].concat())
    }

    fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.tcp.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.tcp.read_exact(&mut payload)?;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }
}
