//! An idle connection over TLS: what makes it unusable, and what does not.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream as ServerStream;

use super::*;
use crate::load::dialogue::ServiceDialogue;
use crate::load::lanes::Lane;

const OP: Operation = Operation { index: 0, lane: Lane::Read, key: 1 << 32, seq: 0 };
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Serves one connection, as long as the set is held.
struct Peer {
    addr: SocketAddr,
    _served: JoinSet<()>,
}

impl Peer {
    async fn start<F: Future<Output = ()> + Send>(
        serve: impl FnOnce(ServerStream<TcpStream>) -> F + Send + 'static,
    ) -> Peer {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        assert!(config.send_tls13_tickets > 0, "or no ticket would come");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut served = JoinSet::new();
        served.spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            serve(TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap()).await;
        });
        Peer { addr, _served: served }
    }

    async fn connection(&self) -> Connection {
        let tls = Tls::new("localhost", &Trust::Anyone, false).unwrap();
        Connection::open(&tls, self.addr, &ServiceDialogue { api_version: "v5".to_owned() }).await.unwrap()
    }
}

/// Answers one request.
async fn answer(stream: &mut ServerStream<TcpStream>) {
    let mut buffer = [0; 1024];
    assert!(stream.read(&mut buffer).await.unwrap() > 0);
    stream.write_all(ANSWER).await.unwrap();
}

/// Until the kernel has bytes for the connection, or its end.
async fn hears(connection: &Connection) {
    connection.stream.get_ref().0.peek(&mut [0]).await.unwrap();
}

#[tokio::test]
async fn session_tickets_leave_a_connection_usable() {
    let peer = Peer::start(async |mut stream| {
        answer(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut connection = peer.connection().await;
    // The tickets follow the handshake, unasked: on a plain connection these bytes would be its end.
    hears(&connection).await;
    assert!(connection.usable());
    connection.prepare(&OP);
    assert_eq!(connection.exchange().await.unwrap().0.status, 200);
    assert!(connection.usable());
}

#[tokio::test]
async fn a_farewell_makes_a_connection_unusable_even_where_the_socket_stays_open() {
    let peer = Peer::start(async |mut stream| {
        answer(&mut stream).await;
        let (_, session) = stream.get_mut();
        session.send_close_notify();
        stream.flush().await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let mut connection = peer.connection().await;
    connection.prepare(&OP);
    connection.exchange().await.unwrap();
    connection.ended().await;
    assert!(!connection.usable());
}

#[tokio::test]
async fn data_that_nobody_asked_for_makes_a_connection_unusable() {
    let peer = Peer::start(async |mut stream| {
        stream.write_all(ANSWER).await.unwrap();
        stream.flush().await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let mut connection = peer.connection().await;
    connection.ended().await;
    assert!(!connection.usable());
}

#[tokio::test]
async fn an_end_without_a_farewell_is_an_end_and_cuts_an_answer_off() {
    let peer = Peer::start(async |mut stream| {
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(&ANSWER[..ANSWER.len() - 1]).await.unwrap();
        stream.flush().await.unwrap();
    })
    .await;
    let mut connection = peer.connection().await;
    connection.prepare(&OP);
    assert_eq!(connection.exchange().await.unwrap_err(), Broken::BadAnswer(BadAnswer::CutOff));
    assert!(!connection.usable());
}

#[test]
fn a_file_that_holds_no_certificate_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        assert!(Tls::check_file(&file).unwrap_err().to_string().contains("ca.pem"), "{text}");
    }
    assert!(Tls::check_file(&folder.path().join("missing.pem")).is_err());
}
