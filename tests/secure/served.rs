//! Servers on tokio: HTTP/1.1 over TLS, and HTTP/2 over TLS or without.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{Seen, add};

/// How a server of HTTP/1.1 answers.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    Answers,
    /// So many on a connection, and then, unannounced, its end.
    ClosesAfter(u64),
    /// So many on a connection, and of the next one only a part.
    CutsOffAfter(u64),
    /// So many on a connection, and then nothing.
    FallsSilentAfter(u64),
}

#[derive(Debug, Clone, Copy)]
enum Speaks {
    Http1(Manner),
    Http2,
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const REMEDY: &str = "where this machine has no ::1, `sysctl net.ipv6.conf.lo.disable_ipv6=0` gives it back";

pub struct Server {
    pub addr: SocketAddr,
    pub seen: Arc<Seen>,
}

impl Server {
    pub fn http1(tls: Arc<ServerConfig>, manner: Manner) -> Server {
        Server::start(LOCALHOST, vec![tls], Speaks::Http1(manner))
    }

    /// One certificate for the first connection, and another for all others.
    pub fn turning(first: Arc<ServerConfig>, others: Arc<ServerConfig>) -> Server {
        Server::start(LOCALHOST, vec![first, others], Speaks::Http1(Manner::Answers))
    }

    pub fn http2(tls: Option<Arc<ServerConfig>>) -> Server {
        Server::start(LOCALHOST, tls.into_iter().collect(), Speaks::Http2)
    }

    /// On `[::1]`.
    pub fn over_ipv6(tls: Option<Arc<ServerConfig>>, http2: bool) -> Server {
        let speaks = if http2 { Speaks::Http2 } else { Speaks::Http1(Manner::Answers) };
        Server::start(Ipv6Addr::LOCALHOST.into(), tls.into_iter().collect(), speaks)
    }

    /// `tls` by connection; the last one is for all others. It ends with the test's process.
    fn start(ip: IpAddr, tls: Vec<Arc<ServerConfig>>, speaks: Speaks) -> Server {
        let listener = std::net::TcpListener::bind((ip, 0)).unwrap_or_else(|e| panic!("listen on {ip}: {e}; {REMEDY}"));
        listener.set_nonblocking(true).expect("a socket of ours");
        let (addr, seen) = (listener.local_addr().expect("its address"), Arc::new(Seen::default()));
        let counted = seen.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let tls = tls.into_iter().map(TlsAcceptor::from).collect();
            runtime.block_on(accept(listener, tls, speaks, counted));
        });
        Server { addr, seen }
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/items/{{seq}}", self.addr)
    }
}

async fn accept(listener: std::net::TcpListener, mut tls: VecDeque<TlsAcceptor>, speaks: Speaks, seen: Arc<Seen>) {
    let listener = TcpListener::from_std(listener).expect("a socket of ours");
    while let Ok((tcp, _)) = listener.accept().await {
        let next = if tls.len() > 1 { tls.pop_front() } else { tls.front().cloned() };
        let seen = seen.clone();
        tokio::spawn(async move {
            match next {
                None => speak(tcp, speaks, &seen).await,
                Some(tls) => {
                    // A client that refuses the certificate ends here.
                    let Ok(stream) = tls.accept(tcp).await else { return };
                    speak(stream, speaks, &seen).await;
                }
            }
        });
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, speaks: Speaks, seen: &Seen) {
    add(&seen.connections);
    match speaks {
        Speaks::Http1(manner) => http1(stream, manner, seen).await,
        Speaks::Http2 => http2(stream, seen).await,
    }
}

async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, seen: &Seen) {
    let (mut bytes, mut nth) = (Vec::new(), 0);
    loop {
        while !bytes.ends_with(b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        bytes.clear();
        add(&seen.requests);
        nth += 1;
        match manner {
            Manner::CutsOffAfter(answers) if nth > answers => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok").await;
                let _ = stream.shutdown().await;
                return;
            }
            Manner::FallsSilentAfter(answers) if nth > answers => continue,
            _ => {}
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
            return;
        }
        let _ = stream.flush().await;
        add(&seen.answered);
        if matches!(manner, Manner::ClosesAfter(answers) if nth >= answers) {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Answers every request with its own body.
async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        add(&seen.requests);
        assert!(!request.headers().contains_key("host"), "{request:?}");
        let expected =
            request.headers().get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut incoming = request.into_body();
        let mut body = Vec::new();
        // Small bodies: their frames are there when their head is, or come without a word of ours.
        while body.len() < expected {
            tokio::select! {
                biased;
                data = incoming.data() => {
                    let data = data.expect("a whole body").expect("an open stream");
                    incoming.flow_control().release_capacity(data.len()).expect("as much as came");
                    body.extend_from_slice(&data);
                }
                _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return,
            }
        }
        seen.body_bytes.fetch_add(body.len() as u64, Ordering::SeqCst);
        let mut answer = respond.send_response(http::Response::new(()), false).expect("an open stream");
        answer.send_data(Bytes::from(body), true).expect("an open stream");
        add(&seen.answered);
    }
}

/// A server that speaks HTTP/1.1 without TLS, whatever it hears.
pub fn plain() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || refuse(stream));
        }
    });
    addr
}

fn refuse(mut stream: std::net::TcpStream) {
    use std::io::{Read, Write};
    let mut buffer = [0; 1024];
    if matches!(stream.read(&mut buffer), Ok(1..)) {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // Until the client has read it: an end with bytes unread would be a reset.
        while matches!(stream.read(&mut buffer), Ok(1..)) {}
    }
}
