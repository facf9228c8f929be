//! A CA of a test's own, and servers' certificates from it.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Says {
    pub name: &'static str,
    pub expired: bool,
    /// It is an authority's, as `openssl req -x509` makes them.
    pub authority: bool,
}

pub const GOOD: Says = Says { name: "127.0.0.1", expired: false, authority: false };

/// What a server wants of its clients.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    pub version: &'static SupportedProtocolVersion,
    pub certificate: Certificate,
}

#[derive(Debug, Clone, Copy)]
pub enum Certificate {
    NotAskedFor,
    /// If there is one.
    AskedFor,
    Demanded,
}

pub const TLS_1_2: Wants = Wants { version: &TLS12, certificate: Certificate::NotAskedFor };
pub const TLS_1_3: Wants = Wants { version: &TLS13, certificate: Certificate::NotAskedFor };

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate that says so, and chooses one of these protocols by ALPN.
    pub fn server(&self, says: Says, protocols: &[&str]) -> Arc<ServerConfig> {
        self.server_that_wants(TLS_1_3, says, protocols)
    }

    pub fn server_that_wants(&self, wants: Wants, says: Says, protocols: &[&str]) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([says.name.to_owned()]).expect("a name");
        if says.expired {
            (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        }
        if says.authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("as it was written");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[wants.version])
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_client_cert_verifier(self.verifier(wants.certificate))
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a key and its certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn verifier(&self, certificate: Certificate) -> Arc<dyn ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a CA's certificate");
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
        match certificate {
            Certificate::NotAskedFor => return WebPkiClientVerifier::no_client_auth(),
            Certificate::AskedFor => builder.allow_unauthenticated().build(),
            Certificate::Demanded => builder.build(),
        }
        .expect("a CA")
    }
}
