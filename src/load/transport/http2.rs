//! HTTP/2: connections that several requests share, over TLS or, with prior knowledge, over TCP.
//!
//! In: addresses, and requests as HTTP/1.1 would say them. Out: [`Stream`]s, each of which carries one request at a time.
//!
//! # Why
//! The frames are those of `h2`, which says of every stream that ends early who ended it and why: that is what an outcome
//! rests on (RFC 9113 §8.7). A stream above the last one of a GOAWAY, and one reset by REFUSED_STREAM, was not processed;
//! any other that gave no whole answer may have been. Whichever it was, nothing is sent again.
//!
//! Before the first request the peer must have answered a PING: then it speaks HTTP/2, and has said how many streams it
//! allows at a time. It may say so anew whenever it likes. What is asked for beyond that waits, as for a free connection.
//!
//! A request that is not answered in time costs its stream. Where nothing at all was heard on its connection meanwhile,
//! there may be nobody any more: then it costs the connection, as it does in HTTP/1.1.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, Reason};
use http::Request;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;

use super::handshake::{HandshakeError, OVER_TLS, OpenError, PRIOR_KNOWLEDGE};
use super::room::{Room, Turn};
use super::socket::{Socket, Waiting};
use super::tls::{self, Tls};
use super::translate::translate;
use crate::load::client::Broken;
use crate::load::dialogue::{Dialogue, Requests};
use crate::load::lanes::Operation;
use crate::load::response::{Answer, BadAnswer, Bodies};

/// An answer is read as it comes: the peer need not wait for us to say so.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// How much a peer may misuse a connection before h2 ends it, to protect a server from its clients. Answers that come after
/// a time-out count as that: the load would end a connection of its own, and tell of the target. (Of frames without data,
/// which end no stream, h2 takes a hundred, and cannot be told otherwise.)
const UNBOUNDED: usize = usize::MAX;
/// How often a stream lets the driver read what has come, before it sends. It reads all there is at once, unless it
/// cannot write.
const LOOKS: u32 = 8;

/// The connections of one shard.
#[derive(Debug)]
pub struct Pool {
    /// To each address.
    connections_max: u32,
    /// On each connection.
    streams: u32,
    trunks: RefCell<Vec<Rc<Trunk>>>,
    drivers: RefCell<JoinSet<()>>,
}

/// The place of a connection that streams share. The first of them opens it.
#[derive(Debug)]
struct Trunk {
    addr: SocketAddr,
    streams: Cell<u32>,
    connection: OnceCell<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    socket: Socket,
    room: Rc<Room>,
    /// Its driver has ended.
    over: CancellationToken,
    /// Rises with everything that comes on a stream.
    heard: Cell<u64>,
    /// No more requests are sent on it.
    given_up: Cell<bool>,
    end_told: Cell<bool>,
}

/// One stream's place on a trunk, as long as it is held.
#[derive(Debug)]
struct Place(Rc<Trunk>);

/// What reads and writes a connection's frames, as long as it goes on.
type Driver = Pin<Box<dyn Future<Output = ()>>>;

/// A connection, what drives it, and what it speaks.
struct Dialled {
    connection: Connection,
    driver: Driver,
    spoken: String,
}

/// A connection on which both sides speak HTTP/2.
struct Agreed {
    sender: SendRequest<Bytes>,
    room: Rc<Room>,
    driver: Driver,
    over: CancellationToken,
}

impl Pool {
    pub fn new(connections_max: u32, streams: u32) -> Pool {
        Pool { connections_max, streams, trunks: RefCell::default(), drivers: RefCell::default() }
    }

    /// To each address, on all of its connections.
    pub fn streams_max(&self) -> u32 {
        self.connections_max.saturating_mul(self.streams)
    }

    /// A stream; and what its connection speaks, where that is new.
    pub async fn open(
        &self,
        tls: Option<&Tls>,
        addr: SocketAddr,
        dialogue: &dyn Dialogue,
    ) -> Result<(Stream, Option<String>), OpenError> {
        let place = self.place(addr);
        let mut spoken = None;
        // Where the first one fails, the next one tries: each learns for itself why.
        let opening = place.0.connection.get_or_try_init(async || {
            let dialled = dial(tls, addr, self.streams).await?;
            let mut drivers = self.drivers.borrow_mut();
            while drivers.try_join_next().is_some() {}
            drivers.spawn_local(dialled.driver);
            spoken = Some(dialled.spoken);
            Ok::<_, OpenError>(dialled.connection)
        });
        let sender = opening.await?.sender.clone();
        let stream = Stream {
            place,
            sender,
            requests: dialogue.requests(addr),
            bodies: dialogue.bodies(),
            prepared: None,
            turn: None,
            asked: None,
            body: Vec::new(),
        };
        Ok((stream, spoken))
    }

    pub async fn close(&self) {
        let mut drivers = self.drivers.take();
        drivers.shutdown().await;
    }

    /// On a connection of its own, as long as there may be another one; then where the fewest are.
    fn place(&self, addr: SocketAddr) -> Place {
        let mut trunks = self.trunks.borrow_mut();
        trunks.retain(|trunk| trunk.is_of_use());
        let there = trunks.iter().filter(|trunk| trunk.addr == addr);
        let fewest = there.clone().min_by_key(|trunk| trunk.streams.get());
        let trunk = match fewest {
            Some(fewest) if there.count() >= self.connections_max as usize => fewest.clone(),
            _ => {
                let trunk = Rc::new(Trunk { addr, streams: Cell::new(0), connection: OnceCell::new() });
                trunks.push(trunk.clone());
                trunk
            }
        };
        trunk.streams.update(|streams| streams + 1);
        Place(trunk)
    }
}

impl Trunk {
    /// It has a connection that goes on, or somebody is about to open one.
    fn is_of_use(&self) -> bool {
        self.connection.get().map_or(self.streams.get() > 0, Connection::goes_on)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.update(|streams| streams - 1);
    }
}

impl Connection {
    /// Whether another request may be sent, as far as this machine has heard.
    fn goes_on(&self) -> bool {
        let mut sender = self.sender.clone();
        self.is_up() && may_send(&mut sender)
    }

    fn is_up(&self) -> bool {
        !self.given_up.get() && !self.over.is_cancelled() && self.socket.waiting() != Waiting::End
    }

    fn hear(&self) {
        self.heard.update(|heard| heard + 1);
    }

    /// It is we who end it.
    fn give_up(&self) {
        self.given_up.set(true);
        self.end_told.set(true);
        // Whoever waits for a turn on it asks for another connection.
        self.over.cancel();
    }
}

/// No GOAWAY has come, and there are numbers left for streams.
fn may_send(sender: &mut SendRequest<Bytes>) -> bool {
    matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
}

/// Opens a connection, and closes it unused.
pub async fn greet(tls: Option<&Tls>, addr: SocketAddr) -> Result<(), OpenError> {
    dial(tls, addr, 1).await.map(drop)
}

async fn dial(tls: Option<&Tls>, addr: SocketAddr, streams: u32) -> Result<Dialled, OpenError> {
    let socket = Socket::new(super::connect(addr).await?);
    let (agreed, scheme, spoken) = match tls {
        None => (agree(socket.clone(), PRIOR_KNOWLEDGE, streams).await?, Scheme::HTTP, "HTTP/2".to_owned()),
        Some(tls) => {
            let stream = tls.shake_hands(socket.clone()).await?;
            let spoken = format!("HTTP/2 over {}", tls::version(stream.get_ref().1));
            let agreed = agree(stream, OVER_TLS, streams).await.map_err(|error| tls.explained(error))?;
            (agreed, Scheme::HTTPS, spoken)
        }
    };
    let Agreed { sender, room, driver, over } = agreed;
    let (heard, given_up, end_told) = (Cell::new(0), Cell::new(false), Cell::new(false));
    let connection = Connection { sender, scheme, socket, room, over, heard, given_up, end_told };
    Ok(Dialled { connection, driver, spoken })
}

/// Exchanges settings and a PING, so that both sides know of each other.
async fn agree<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    how: &'static str,
    streams: u32,
) -> Result<Agreed, HandshakeError> {
    let refused = |error: &h2::Error| HandshakeError::of_http2(Some(error), how);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_reset_streams(UNBOUNDED)
        .max_local_error_reset_streams(None)
        .data_frame_budget(UNBOUNDED);
    let (sender, mut connection) = builder.handshake(stream).await.map_err(|e| refused(&e))?;
    let mut pings = connection.ping_pong().expect("nobody has taken it before");
    tokio::select! {
        // The connection knows better than the PING why there is no answer.
        biased;
        ended = &mut connection => Err(HandshakeError::of_http2(ended.as_ref().err(), how)),
        pong = pings.ping(Ping::opaque()) => pong.map(drop).map_err(|e| refused(&e)),
    }?;
    let (room, over) = (Rc::new(Room::new(streams as usize)), CancellationToken::new());
    room.allow(connection.max_concurrent_send_streams());
    let driver = Box::pin(drive(connection, room.clone(), over.clone()));
    Ok(Agreed { sender, room, driver, over })
}

async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: h2::client::Connection<S, Bytes>,
    room: Rc<Room>,
    over: CancellationToken,
) {
    let ended = poll_fn(|context| {
        let ended = Pin::new(&mut connection).poll(context);
        // Whatever the peer says of its limit is heard here.
        room.allow(connection.max_concurrent_send_streams());
        ended
    });
    // Its streams have heard how it ended.
    let _ = ended.await;
    over.cancel();
}

/// What carries one request at a time on a connection that others share.
#[derive(Debug)]
pub struct Stream {
    place: Place,
    sender: SendRequest<Bytes>,
    requests: Box<dyn Requests>,
    bodies: Bodies,
    prepared: Option<(Request<()>, Bytes)>,
    /// Held while a request is open.
    turn: Option<Turn>,
    /// While a request is open: what its connection had heard before.
    asked: Option<u64>,
    /// Of the last answer, where bodies are kept.
    body: Vec<u8>,
}

impl Stream {
    /// Waits until the peer allows one more stream, or ends them all.
    pub async fn ready(&mut self) {
        let over = self.connection().over.clone();
        over.run_until_cancelled(self.wait_for_turn()).await;
    }

    async fn wait_for_turn(&mut self) {
        loop {
            if self.turn.is_none() {
                self.turn = Some(self.connection().room.enter().await);
            }
            self.listen().await;
            if !self.connection().room.is_overdrawn() {
                return;
            }
            self.turn = None;
        }
    }

    /// Waits for what the peer has said already, such as a GOAWAY, or another limit.
    async fn listen(&self) {
        for _ in 0..LOOKS {
            if self.connection().socket.waiting() != Waiting::Bytes {
                return;
            }
            yield_now().await;
        }
    }

    pub fn usable(&mut self) -> bool {
        self.connection().is_up() && may_send(&mut self.sender)
    }

    pub async fn ended(&self) {
        self.connection().over.cancelled().await;
    }

    pub fn tells_of_its_end(&self) -> bool {
        !self.connection().end_told.replace(true)
    }

    pub fn prepare(&mut self, op: &Operation) {
        self.requests.render(op);
        let translated = translate(self.requests.rendered(), &self.connection().scheme);
        self.prepared = Some(translated.expect("a load over HTTP/2 renders what that can say"));
        self.body.clear();
    }

    /// Where this is dropped before it is ready, its stream is reset, and the connection goes on.
    pub async fn exchange(&mut self) -> Result<(Answer, &[u8]), Broken> {
        let (request, body) = self.prepared.take().expect("a request is prepared for every exchange");
        self.asked = Some(self.connection().heard.get());
        let answered = self.ask(request, body).await;
        (self.turn, self.asked) = (None, None);
        self.connection().hear();
        answered.map(|answer| (answer, &*self.body))
    }

    async fn ask(&mut self, request: Request<()>, body: Bytes) -> Result<Answer, Broken> {
        let sent = self.sender.send_request(request, body.is_empty());
        // The connection's end had come before: not a byte of the request was written.
        let (response, mut outgoing) = sent.map_err(|_| Broken::GoingAway)?;
        if !body.is_empty() {
            outgoing.send_data(body, true).map_err(|e| cut_off(&e))?;
        }
        let (head, mut incoming) = response.await.map_err(|e| unanswered(&e))?.into_parts();
        let mut body_bytes = 0;
        while let Some(data) = incoming.data().await {
            let data = data.map_err(|e| cut_off(&e))?;
            self.connection().hear();
            incoming.flow_control().release_capacity(data.len()).expect("as much as came");
            body_bytes += data.len() as u64;
            if body_bytes > self.bodies.bytes_max() {
                return Err(Broken::BadAnswer(BadAnswer::TooLong));
            }
            if self.bodies == Bodies::Kept {
                self.body.extend_from_slice(&data);
            }
        }
        incoming.trailers().await.map_err(|e| cut_off(&e))?;
        Ok(Answer { status: head.status.as_u16(), keep_alive: true })
    }

    fn connection(&self) -> &Connection {
        self.place.0.connection.get().expect("a stream is made when its connection is open")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.asked.is_some_and(|before| self.connection().heard.get() == before) {
            self.connection().give_up();
        }
    }
}

/// Before the head of an answer.
fn unanswered(error: &h2::Error) -> Broken {
    match error.is_remote() {
        // h2 gives a peer's GOAWAY to those streams alone that are above its last one.
        true if error.is_go_away() => Broken::GoingAway,
        true if error.reason() == Some(Reason::REFUSED_STREAM) => Broken::RefusedStream,
        _ => cut_off(error),
    }
}

/// Within an answer, or where nobody knows whether there would have been one.
fn cut_off(error: &h2::Error) -> Broken {
    match (error.is_remote(), error.is_reset()) {
        (true, true) => Broken::StreamReset,
        _ if error.is_library() => Broken::BadAnswer(BadAnswer::NoHttp),
        _ => Broken::Reset,
    }
}
