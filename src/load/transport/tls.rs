//! TLS: whom to trust, the handshake, and an HTTP/1.1 connection over it.
//!
//! # Why these roots
//! `rustls-native-certs` reads the bundle that curl and OpenSSL use on this machine (and `SSL_CERT_FILE`), so a company's
//! own CA counts as it does elsewhere; a machine without any gets Mozilla's list (`webpki-roots`). On Linux
//! `rustls-platform-verifier` does no more than that.
//!
//! # Why an idle connection is read from
//! A TLS 1.3 server sends session tickets whenever it likes, after the handshake or between answers. They are bytes
//! unasked on the socket, and mean nothing: so they are taken in, and what counts is whether the peer has said anything,
//! or its farewell, *within* TLS.
//!
//! # Why a greeting may wait
//! A TLS 1.3 server refuses a client without a certificate after that has taken the handshake for done. Whether it asked
//! for one is known by then: where it did, its next word says whether it goes on.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme,
};

use super::handshake::{HandshakeError, OVER_TLS, OpenError};
use crate::load::client::Broken;
use crate::load::dialogue::{Dialogue, Requests};
use crate::load::lanes::Operation;
use crate::load::response::{Answer, BadAnswer, Reader};
use crate::plan::Trust;

const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// How long a server that asked for a certificate is waited for to refuse a client that has none. One that does not, and
/// says nothing before it is asked, is taken to go on.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("read the certificates of {}: {why}; it is a file of certificates in PEM", path.display())]
    File { path: PathBuf, why: String },
    #[error(
        "ask {0} for its certificate: that is no name that one can be made out for; write a host name or an address"
    )]
    Name(String),
}

/// What a client of TLS knows before it asks.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    http2: bool,
    bare: Arc<Bare>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

impl Tls {
    pub fn new(host: &str, trust: &Trust, http2: bool) -> Result<Tls, TrustError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TrustError::Name(host.to_owned()))?;
        let (provider, bare) = (Arc::new(ring::default_provider()), Arc::<Bare>::default());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3");
        let builder = match trust {
            Trust::Machine => builder.with_root_certificates(of_machine()),
            Trust::File(path) => builder.with_root_certificates(of_file(path)?),
            Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        };
        let mut config = builder.with_client_cert_resolver(bare.clone());
        config.alpn_protocols = vec![if http2 { HTTP_2 } else { HTTP_1 }.to_vec()];
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name, http2, bare })
    }

    /// Whether a file holds certificates that others can be held against.
    pub fn check_file(path: &Path) -> Result<(), TrustError> {
        of_file(path).map(drop)
    }

    pub async fn connect(&self, addr: SocketAddr) -> Result<TlsStream<TcpStream>, OpenError> {
        let tcp = super::connect(addr).await?;
        Ok(self.shake_hands(tcp).await?)
    }

    /// Connects, and asks for nothing.
    pub async fn greet(&self, addr: SocketAddr) -> Result<(), OpenError> {
        let mut stream = self.connect(addr).await?;
        if !self.bare.was_asked() {
            return Ok(());
        }
        match timeout(REFUSAL_WAIT, stream.fill_buf()).await {
            Ok(Ok([])) => Err(self.explained(HandshakeError::Ended("TLS")).into()),
            Ok(Err(error)) => Err(self.failed(error).into()),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }

    pub async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<TlsStream<S>, HandshakeError> {
        let shaken = self.connector.connect(self.name.clone(), stream).await;
        let stream = shaken.map_err(|error| self.failed(error))?;
        match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) if self.http2 => Ok(stream),
            _ if self.http2 => Err(HandshakeError::NoHttp2(OVER_TLS)),
            _ => Ok(stream),
        }
    }

    fn failed(&self, error: io::Error) -> HandshakeError {
        self.explained(HandshakeError::of_tls(error, &self.name.to_str()))
    }

    /// Where a server asked for a certificate and got none, that says more than how it ended the connection.
    pub fn explained(&self, error: HandshakeError) -> HandshakeError {
        match error {
            HandshakeError::Alert(_) | HandshakeError::Ended(_) if self.bare.was_asked() => {
                HandshakeError::ClientCertificate
            }
            error => error,
        }
    }
}

/// Has no certificate to show, and remembers whether a server asked for one.
#[derive(Debug, Default)]
struct Bare(AtomicBool);

impl Bare {
    fn was_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Bare {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// `TLS 1.3 (TLS13_AES_256_GCM_SHA384)`.
pub fn version(session: &ClientConnection) -> String {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    cipher.map_or_else(|| version.to_owned(), |cipher| format!("{version} ({cipher})"))
}

/// Those of this machine, as far as they can be read, or Mozilla's.
fn of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Those in a file, and no others.
fn of_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let wrong = |why: String| TrustError::File { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("there is none in it".to_owned())) } else { Ok(roots) }
}

/// Accepts every certificate. Whoever presents it must still hold its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// One HTTP/1.1 connection over TLS: as the plain one, one request outstanding at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    requests: Box<dyn Requests>,
    reader: Reader,
}

impl Connection {
    pub async fn open(tls: &Tls, addr: SocketAddr, dialogue: &dyn Dialogue) -> Result<Connection, OpenError> {
        let stream = tls.connect(addr).await?;
        Ok(Connection { stream, requests: dialogue.requests(addr), reader: Reader::new(dialogue.bodies()) })
    }

    pub fn version(&self) -> String {
        version(self.stream.get_ref().1)
    }

    /// Takes in what the kernel has, past the runtime, which may not have heard of it yet.
    pub fn usable(&mut self) -> bool {
        let (tcp, session) = self.stream.get_mut();
        let mut kernel = Kernel(tcp.as_raw_fd());
        loop {
            match session.read_tls(&mut kernel) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Ok(1..) if session.process_new_packets().is_ok() => {}
                Ok(_) | Err(_) => return false,
            }
        }
        let heard = session.process_new_packets();
        heard.is_ok_and(|heard| heard.plaintext_bytes_to_read() == 0 && !heard.peer_has_closed())
    }

    pub async fn ended(&mut self) {
        while self.usable() {
            // Whatever it is, `usable` reads it.
            let _ = self.stream.get_ref().0.peek(&mut [0]).await;
        }
    }

    pub fn prepare(&mut self, op: &Operation) {
        self.requests.render(op);
        self.reader.begin();
    }

    pub async fn exchange(&mut self) -> Result<(Answer, &[u8]), Broken> {
        self.stream.write_all(self.requests.rendered()).await.map_err(|_| Broken::Reset)?;
        self.stream.flush().await.map_err(|_| Broken::Reset)?;
        loop {
            let count = match self.stream.read_buf(self.reader.room()).await {
                // An end without a farewell: where an answer ends is known from HTTP.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read.map_err(|_| Broken::Reset)?,
            };
            match count {
                0 if self.reader.is_untouched() => return Err(Broken::Eof),
                0 => return Err(Broken::BadAnswer(BadAnswer::CutOff)),
                _ => {}
            }
            if let Some(answer) = self.reader.advance().map_err(Broken::BadAnswer)? {
                return Ok((answer, self.reader.body()));
            }
        }
    }
}

/// What is there, and never a wait.
struct Kernel(RawFd);

impl Read for Kernel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0, buffer, MsgFlags::MSG_DONTWAIT)?)
    }
}

#[cfg(test)]
mod tests;
