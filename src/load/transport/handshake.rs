//! Why a connection was not opened, in words that end with a remedy.

use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody could be reached.
    #[error(transparent)]
    Connect(#[from] io::Error),
    /// Somebody could, and they did not come to terms.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// What the two sides did not agree on, before anything was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error("{0}; accept any certificate with `--insecure`")]
    Certificate(String),
    #[error("it speaks no TLS on this port; write `http://` in place of `https://`, or the port that TLS is on")]
    NoTls,
    #[error("it speaks no HTTP/2 {0}; leave `--http2` out")]
    NoHttp2(&'static str),
    #[error(
        "the server wants a client certificate: it asked for one, and ended the connection without; mxctl has none to \
         show, so name a port where it asks for none"
    )]
    ClientCertificate,
    #[error("it refused the TLS handshake: {0}; look into its log for the reason")]
    Alert(String),
    #[error("the TLS handshake failed: {0}; look into its log for the reason")]
    Tls(String),
    #[error("it ended the connection before {0} was agreed on; look whether this is its port, and into its log")]
    Ended(&'static str),
}

impl HandshakeError {
    /// What came of a TLS handshake with `host`.
    pub fn of_tls(error: io::Error, host: &str) -> HandshakeError {
        match error.downcast::<rustls::Error>() {
            Ok(error) => HandshakeError::of_rustls(error, host),
            Err(_) => HandshakeError::Ended("TLS"),
        }
    }

    fn of_rustls(error: rustls::Error, host: &str) -> HandshakeError {
        match error {
            rustls::Error::InvalidCertificate(why) => HandshakeError::Certificate(certificate(&why, host)),
            rustls::Error::InvalidMessage(_) => HandshakeError::NoTls,
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::NoApplicationProtocol => HandshakeError::NoHttp2(OVER_TLS),
            rustls::Error::AlertReceived(alert) => HandshakeError::Alert(format!("{alert:?}")),
            other => HandshakeError::Tls(other.to_string()),
        }
    }

    /// What came of the first frames of HTTP/2. An end says nothing of what the peer speaks, and a GOAWAY of its own is
    /// HTTP/2; anything else is not.
    pub fn of_http2(error: Option<&h2::Error>, over: &'static str) -> HandshakeError {
        match error {
            Some(error) if error.is_io() => HandshakeError::Ended("HTTP/2"),
            Some(error) if error.is_remote() && error.is_go_away() => HandshakeError::Ended("HTTP/2"),
            Some(_) => HandshakeError::NoHttp2(over),
            None => HandshakeError::Ended("HTTP/2"),
        }
    }
}

/// How HTTP/2 is agreed on.
pub const OVER_TLS: &str = "over TLS (it does not choose `h2` by ALPN)";
pub const PRIOR_KNOWLEDGE: &str = "over http:// (it must know of it beforehand: h2c)";

fn certificate(why: &CertificateError, host: &str) -> String {
    match why {
        // A CA of the same name with another key is another CA.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!(
                "nobody whom this machine trusts vouches for the certificate of {host}; name its CA with `--cacert FILE`"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {host} has expired; renew it")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet; look at the clocks")
        }
        CertificateError::NotValidForName => {
            format!("the certificate is not one for {host}; ask by a name that is in it")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the certificate is not one for {host}, but for {}; ask by that name", names(presented))
        }
        // webpki's word, which rustls hands on unopened.
        CertificateError::Other(why) if why.to_string() == "CaUsedAsEndEntity" => format!(
            "the certificate of {host} is an authority's, not a server's (`openssl req -x509` makes such a one); give it \
             one with `basicConstraints=CA:FALSE`"
        ),
        other => format!("the certificate of {host} is refused: {other}"),
    }
}

/// `DnsName("a.example")` → `a.example`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let quoted = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        quoted.trim_matches('"').to_owned()
    };
    match presented {
        [] => "nobody by name".to_owned(),
        names => names.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: rustls::Error) -> String {
        HandshakeError::of_tls(io::Error::new(io::ErrorKind::InvalidData, error), "api.test").to_string()
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_with_its_remedy() {
        let unknown = said(CertificateError::UnknownIssuer.into());
        assert!(
            unknown.contains("api.test") && unknown.contains("--cacert") && unknown.contains("--insecure"),
            "{unknown}"
        );
        assert_eq!(said(CertificateError::BadSignature.into()), unknown);
        assert!(said(CertificateError::Expired.into()).contains("has expired"));
        assert!(said(CertificateError::NotValidYet.into()).contains("clocks"));
        assert!(said(CertificateError::NotValidForName.into()).contains("not one for api.test"));
    }

    #[test]
    fn the_names_of_a_certificate_are_bare() {
        assert_eq!(
            names(&[r#"DnsName("a.example")"#.to_owned(), "IpAddress(127.0.0.1)".to_owned()]),
            "a.example, 127.0.0.1"
        );
        assert_eq!(names(&[]), "nobody by name");
    }

    #[test]
    fn a_peer_that_ends_is_not_said_to_speak_something_else() {
        assert_eq!(HandshakeError::of_tls(io::ErrorKind::UnexpectedEof.into(), "x"), HandshakeError::Ended("TLS"));
        assert_eq!(HandshakeError::of_http2(None, OVER_TLS), HandshakeError::Ended("HTTP/2"));
        let refused = said(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol));
        assert!(refused.contains("no HTTP/2") && refused.contains("leave `--http2` out"), "{refused}");
        assert!(said(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)).contains("HandshakeFailure"));
    }
}
