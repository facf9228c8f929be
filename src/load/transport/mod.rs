//! How requests travel: HTTP/1.1 over TCP, the same over TLS, or HTTP/2 over either.
//!
//! In: a [`Transport`] and addresses. Out: [`Link`]s, each of which carries one request at a time, with the same times
//! and the same ends whatever is beneath it.
//!
//! ```text
//! Opener ─┬─ plain: client ─────────────────────────────▶ Link
//!         ├─ tls ─ handshake ──────────────────────────▶ Link
//!         └─ http2 ─ pool of connections ─ room ─ stream ─▶ Link
//! ```
//!
//! # Why
//! Load without TLS and HTTP/2 must not pay for either: which one it is, is a branch, not a virtual call, and nothing is
//! allocated for it. What they take to open a connection is large, and is kept apart from what every connection keeps.

mod handshake;
mod http2;
mod room;
mod socket;
mod tls;
mod translate;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

pub use handshake::{HandshakeError, OpenError};
pub use tls::{Tls, TrustError};
pub use translate::{Untranslatable, is_of_connection, translate};

use super::client::{Broken, Connection};
use super::dialogue::Dialogue;
use super::lanes::Operation;
use super::response::Answer;
use crate::plan::Protocol;

/// What every connection of a load speaks.
#[derive(Debug, Clone, Default)]
pub struct Transport {
    tls: Option<Tls>,
    /// HTTP/2, with so many requests at a time on a connection; else HTTP/1.1, with one.
    streams: Option<u32>,
}

/// HTTP/1.1 over TCP.
pub static PLAIN: Transport = Transport { tls: None, streams: None };

impl Transport {
    /// `host` is whom a certificate must name.
    pub fn new(protocol: &Protocol, host: &str) -> Result<Transport, TrustError> {
        let trust = protocol.tls.as_ref();
        let tls = trust.map(|trust| Tls::new(host, trust, protocol.http2.is_some())).transpose()?;
        Ok(Transport { tls, streams: protocol.http2 })
    }

    /// Opens a connection, asks for nothing, and closes it. An error is one that every connection would meet: who cannot
    /// be reached at all may be there a moment later.
    pub async fn greet(&self, addr: SocketAddr, patience: Duration) -> Result<(), HandshakeError> {
        let greeting = async {
            match (&self.tls, self.streams) {
                (None, None) => Ok(()),
                (Some(tls), None) => tls.greet(addr).await,
                (_, Some(_)) => http2::greet(self.tls.as_ref(), addr).await,
            }
        };
        match timeout(patience, greeting).await {
            Ok(Err(OpenError::Handshake(error))) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Requests at a time on one connection.
    fn streams(&self) -> u32 {
        self.streams.unwrap_or(1)
    }
}

/// Opens the links of one shard.
#[derive(Debug)]
pub struct Opener {
    transport: Transport,
    pool: http2::Pool,
}

/// What opening gave.
#[derive(Debug)]
pub struct Opened {
    pub link: Link,
    /// It came with a connection of its own, not as one more stream of another's.
    pub is_new: bool,
    /// What a new connection speaks, where both sides had to agree on that.
    pub spoken: Option<String>,
}

impl Opener {
    /// For so many connections to each instance.
    pub fn new(transport: Transport, connections: u32) -> Opener {
        let pool = http2::Pool::new(connections, transport.streams());
        Opener { transport, pool }
    }

    /// How many links to each instance there may be.
    pub fn links_max(&self) -> u32 {
        self.pool.streams_max()
    }

    pub async fn open(&self, addr: SocketAddr, dialogue: &dyn Dialogue) -> Result<Opened, OpenError> {
        match (&self.transport.tls, self.transport.streams) {
            (None, None) => {
                let link = Link::Plain(Connection::open(addr, dialogue).await?);
                Ok(Opened { link, is_new: true, spoken: None })
            }
            (Some(tls), None) => {
                let connection = Box::pin(tls::Connection::open(tls, addr, dialogue)).await?;
                let spoken = Some(format!("HTTP/1.1 over {}", connection.version()));
                Ok(Opened { link: Link::Tls(Box::new(connection)), is_new: true, spoken })
            }
            (tls, Some(_)) => {
                let (stream, spoken) = Box::pin(self.pool.open(tls.as_ref(), addr, dialogue)).await?;
                Ok(Opened { link: Link::Http2(Box::new(stream)), is_new: spoken.is_some(), spoken })
            }
        }
    }

    /// Ends what carried several links.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// What carries one request at a time.
#[derive(Debug)]
pub enum Link {
    Plain(Connection),
    Tls(Box<tls::Connection>),
    Http2(Box<http2::Stream>),
}

impl Link {
    /// Waits until a request can be sent, where others share the connection.
    pub async fn ready(&mut self) {
        if let Link::Http2(stream) = self {
            stream.ready().await;
        }
    }

    /// Whether a request may be written: as far as this machine has heard, the peer goes on, and has said nothing unasked.
    pub fn usable(&mut self) -> bool {
        match self {
            Link::Plain(connection) => connection.usable(),
            Link::Tls(connection) => connection.usable(),
            Link::Http2(stream) => stream.usable(),
        }
    }

    /// Waits until an idle link is of no more use.
    pub async fn ended(&mut self) {
        match self {
            Link::Plain(connection) => connection.ended().await,
            Link::Tls(connection) => connection.ended().await,
            Link::Http2(stream) => stream.ended().await,
        }
    }

    /// Renders the next request.
    pub fn prepare(&mut self, op: &Operation) {
        match self {
            Link::Plain(connection) => connection.prepare(op),
            Link::Tls(connection) => connection.prepare(op),
            Link::Http2(stream) => stream.prepare(op),
        }
    }

    /// Sends the prepared request and reads its answer; the body is good until the next exchange.
    pub async fn exchange(&mut self) -> Result<(Answer, &[u8]), Broken> {
        match self {
            Link::Plain(connection) => connection.exchange().await,
            Link::Tls(connection) => connection.exchange().await,
            // It needs more room than the others do, which they would have to keep, too.
            Link::Http2(stream) => Box::pin(stream.exchange()).await,
        }
    }

    /// Whether this is the link that tells of the end of its connection: one of those that shared it does.
    pub fn tells_of_its_end(&self) -> bool {
        match self {
            Link::Plain(_) | Link::Tls(_) => true,
            Link::Http2(stream) => stream.tells_of_its_end(),
        }
    }
}

async fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
