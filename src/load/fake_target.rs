//! A target for this stage's tests: a tiny HTTP server whose every reply is scripted.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::backends::{Endpoint, InstanceId};

/// A request as the target saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub is_write: bool,
    pub key: u64,
    /// 0 for a read.
    pub seq: u32,
    /// How-manieth request to this target, from 1.
    pub nth: u64,
}

#[derive(Debug, Clone)]
pub enum Reply {
    Send(Vec<u8>),
    /// Two writes, with a little time between them.
    InTwo(Vec<u8>, Vec<u8>),
    /// One byte a write.
    Drip(Vec<u8>),
    SendAndClose(Vec<u8>),
    /// The answer and the end of the connection in one segment: who has read the one has received the other.
    SendWithEnd(Vec<u8>),
    /// The connection ends in good order.
    Close,
    /// The connection ends with a reset.
    Reset,
    /// Nothing, and the connection stays open.
    Never,
    After(Duration, Box<Reply>),
    Then(Box<Reply>, Box<Reply>),
}

/// The answer of a healthy service.
pub fn acknowledge(seen: &Seen) -> Reply {
    let Seen { is_write, key, seq, .. } = seen;
    match is_write {
        true => answer("202 Accepted", &format!(r#"{{"accepted":true,"key":{key},"seq":{seq}}}"#)),
        false => answer("200 OK", &format!(r#"{{"key":{key},"presets":[]}}"#)),
    }
}

pub fn answer(status: &str, body: &str) -> Reply {
    Reply::Send(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Serves until it is stopped or dropped.
pub struct FakeTarget {
    pub endpoint: Endpoint,
    state: Arc<State>,
    server: JoinSet<()>,
}

struct State {
    script: Box<dyn Fn(&Seen) -> Reply + Send + Sync>,
    greeting: Mutex<Vec<u8>>,
    connections: AtomicU64,
    requests: AtomicU64,
    seen: Mutex<Vec<Seen>>,
}

impl FakeTarget {
    pub async fn start(id: u16, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> FakeTarget {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint { id: InstanceId(id), addr: listener.local_addr().unwrap() };
        let state = Arc::new(State {
            script: Box::new(script),
            greeting: Mutex::default(),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            seen: Mutex::default(),
        });
        let mut server = JoinSet::new();
        server.spawn(accept(listener, state.clone()));
        FakeTarget { endpoint, state, server }
    }

    /// From now on every new connection is told this at once.
    pub fn greeting(self, bytes: &[u8]) -> Self {
        *self.state.greeting.lock().unwrap() = bytes.to_vec();
        self
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Ends every connection and refuses new ones, as a process that was killed.
    pub async fn stop(&mut self) {
        self.server.shutdown().await;
    }

    /// Listens again where it did, as a process that was started anew. It still knows what it saw.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.endpoint.addr).await.unwrap();
        self.server.spawn(accept(listener, self.state.clone()));
    }
}

/// A listener with no room for another connection, and nobody who takes one from it: what asks for one is dropped, as by a
/// firewall, and a connect hangs.
pub struct FullDoor {
    pub addr: SocketAddr,
    _listener: TcpListener,
    _queued: TcpStream,
}

impl FullDoor {
    pub async fn new() -> FullDoor {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // Linux keeps one more than it is told to.
        let listener = socket.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let queued = TcpStream::connect(addr).await.unwrap();
        FullDoor { addr, _listener: listener, _queued: queued }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task, so that its connections end with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(converse(stream, state.clone()));
    }
}

async fn converse(mut stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    let greeting = state.greeting.lock().unwrap().clone();
    let mut inbox = Vec::new();
    if stream.write_all(&greeting).await.is_err() {
        return;
    }
    while let Some(mut seen) = request(&mut stream, &mut inbox).await {
        seen.nth = state.requests.fetch_add(1, Ordering::Relaxed) + 1;
        state.seen.lock().unwrap().push(seen.clone());
        if !Box::pin(reply(&mut stream, (state.script)(&seen))).await {
            return;
        }
    }
}

/// Whether the connection goes on. A client that has gone away is no concern of a target.
async fn reply(stream: &mut TcpStream, what: Reply) -> bool {
    match what {
        Reply::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
        Reply::InTwo(first, second) => {
            let sent = stream.write_all(&first).await.is_ok();
            tokio::time::sleep(Duration::from_millis(1)).await;
            sent && stream.write_all(&second).await.is_ok()
        }
        Reply::Drip(bytes) => {
            for byte in bytes {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
            }
            true
        }
        Reply::SendAndClose(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reply::SendWithEnd(bytes) => {
            // The kernel keeps what "more" is announced for until the close.
            let more = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);
            assert_eq!(send(stream.as_raw_fd(), &bytes, more), Ok(bytes.len()));
            false
        }
        Reply::Close => false,
        Reply::Reset => {
            stream.set_zero_linger().unwrap();
            false
        }
        Reply::Never => std::future::pending().await,
        Reply::After(pause, then) => {
            tokio::time::sleep(pause).await;
            Box::pin(reply(stream, *then)).await
        }
        Reply::Then(first, second) => Box::pin(reply(stream, *first)).await && Box::pin(reply(stream, *second)).await,
    }
}

/// Reads one request; `None` when the client is gone.
async fn request(stream: &mut TcpStream, inbox: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some((seen, length)) = parse(inbox) {
            inbox.drain(..length);
            return Some(seen);
        }
        if stream.read_buf(inbox).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Seen, usize)> {
    #[derive(serde::Deserialize)]
    struct Body {
        seq: u32,
    }
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).unwrap() else { return None };
    let is_write = request.method == Some("POST");
    let key = request.path.unwrap().split('/').nth(4).unwrap().parse().unwrap();
    let length = request.headers.iter().find(|h| h.name == "Content-Length");
    let length = length.map_or(0, |h| std::str::from_utf8(h.value).unwrap().parse().unwrap());
    let body = bytes.get(head..head + length)?;
    let seq = if is_write { serde_json::from_slice::<Body>(body).unwrap().seq } else { 0 };
    Some((Seen { is_write, key, seq, nth: 0 }, head + length))
}
