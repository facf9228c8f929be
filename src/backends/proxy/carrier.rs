//! One connection through the proxy: two directions, each a queue of pieces that are due.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Counters;
use super::toxic::{Direction, Toxics};

const PIECE: usize = 64 * 1024;
/// Pieces that may wait in one direction: beyond them the sender has to.
const WAITING_MAX: usize = 256;

#[derive(Clone)]
pub(super) struct Carrier {
    pub server: watch::Receiver<SocketAddr>,
    pub toxics: watch::Receiver<Toxics>,
    pub counters: Arc<Counters>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    /// By a toxic.
    Reset,
}

impl Carrier {
    /// Until one side closes, or a toxic resets it.
    pub async fn carry(self, mut client: TcpStream) {
        count(&self.counters.connections);
        // Whoever cannot be reached closes: the client sees the end of a connection.
        let server = *self.server.borrow();
        let end = match TcpStream::connect(server).await {
            Ok(mut server) => self.both_ways(&mut client, &mut server).await.unwrap_or(End::Closed),
            Err(_) => End::Closed,
        };
        if end == End::Reset {
            count(&self.counters.reset);
            // Without it the client would see an orderly end. One that is gone already needs no reset.
            let _ = client.set_zero_linger();
        }
    }

    async fn both_ways(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<End> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let asked = AtomicBool::new(false);
        let way = |direction| Way { direction, carrier: self, toxics: self.toxics.clone(), asked: &asked, deaf: false };
        tokio::select! {
            end = way(Direction::ToServer).run(from_client, to_server) => end,
            end = way(Direction::ToClient).run(from_server, to_client) => end,
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A piece of data, and when it is due at the other end.
struct Piece {
    due: Instant,
    data: Vec<u8>,
}

/// One direction of a connection.
struct Way<'a> {
    direction: Direction,
    carrier: &'a Carrier,
    toxics: watch::Receiver<Toxics>,
    /// Whether the client has asked something whose answer is to be swallowed. The other direction sees it.
    asked: &'a AtomicBool,
    /// Whether something was taken out of it: what follows would make no sense to the server.
    deaf: bool,
}

impl Way<'_> {
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<End> {
        let (mut waiting, mut open) = (VecDeque::<Piece>::new(), true);
        let mut buffer = vec![0; PIECE];
        loop {
            let toxics = self.toxics.borrow_and_update().clone();
            if toxics.resets() || (self.deaf && toxics.swallows_requests().is_none()) {
                return Ok(End::Reset);
            }
            if !open && waiting.is_empty() {
                return Ok(End::Closed);
            }
            let next = waiting.front().map(|piece| piece.due).filter(|_| !toxics.holds(self.direction));
            tokio::select! {
                changed = self.toxics.changed() => if changed.is_err() { return Ok(End::Closed) },
                () = until(next) => {
                    let piece = waiting.pop_front().expect("what is due is waiting");
                    to.write_all(&piece.data).await?;
                }
                read = from.read(&mut buffer), if open && waiting.len() < WAITING_MAX => match read? {
                    0 => open = false,
                    length if self.is_lost(&buffer[..length]) => {}
                    length if self.is_swallowed(&buffer[..length]) => return Ok(End::Reset),
                    length => waiting.push_back(self.piece(&buffer[..length])),
                }
            }
        }
    }

    /// By the toxics of this moment: one that was put in while the direction was silent counts as well.
    fn piece(&self, data: &[u8]) -> Piece {
        let (delay, holds) = (self.toxics.borrow().delay(self.direction), self.toxics.borrow().holds(self.direction));
        if delay > Duration::ZERO {
            count(&self.carrier.counters.delayed);
        }
        if holds {
            count(&self.carrier.counters.held);
        }
        Piece { due: Instant::now() + delay, data: data.to_vec() }
    }

    /// Whether this is a request that must not arrive, or comes after one.
    fn is_lost(&mut self, data: &[u8]) -> bool {
        if self.direction == Direction::ToServer
            && !self.deaf
            && let Some(word) = self.toxics.borrow().swallows_requests()
            && holds(data, word)
        {
            self.deaf = true;
            count(&self.carrier.counters.swallowed);
        }
        self.deaf
    }

    /// Whether this is an answer that must not arrive. In the other direction: notes what is asked.
    fn is_swallowed(&self, data: &[u8]) -> bool {
        let Some(word) = self.toxics.borrow().swallows_answers() else { return false };
        match self.direction {
            Direction::ToServer => {
                self.asked.fetch_or(holds(data, word), Ordering::Relaxed);
                false
            }
            Direction::ToClient if self.asked.load(Ordering::Relaxed) => {
                count(&self.carrier.counters.swallowed);
                true
            }
            Direction::ToClient => false,
        }
    }
}

fn holds(data: &[u8], word: &str) -> bool {
    data.windows(word.len()).any(|part| part == word.as_bytes())
}

/// Never, where nothing is due.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
