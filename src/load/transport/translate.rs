//! A request of HTTP/1.1, as it was rendered, in the parts that HTTP/2 sends (RFC 9113 §8.2.2, §8.3.1): `Host` becomes
//! `:authority`, and what concerns one connection alone is left out.

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// More than a person writes by hand.
const HEADERS_MAX: usize = 100;

/// Why HTTP/2 cannot say the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untranslatable {
    #[error("it has more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    #[error("its {part} `{value}` cannot be sent")]
    Part { part: &'static str, value: String },
}

/// What concerns one connection alone: HTTP/2 has its own ways for it, and a request that has them is malformed.
pub fn is_of_connection(name: &str, value: &str) -> bool {
    let names = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
        || (name.eq_ignore_ascii_case("te") && !value.eq_ignore_ascii_case("trailers"))
}

/// The head and the body of a rendered request.
pub fn translate(rendered: &[u8], scheme: &Scheme) -> Result<(Request<()>, Bytes), Untranslatable> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(rendered) {
        Ok(httparse::Status::Complete(head)) => head,
        Err(httparse::Error::TooManyHeaders) => return Err(Untranslatable::TooManyHeaders),
        Ok(httparse::Status::Partial) | Err(_) => return Err(part("head", &rendered[..rendered.len().min(80)])),
    };
    let host = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
    let (method, path) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| part("method", method.as_bytes()))?;
    *request.uri_mut() = uri(scheme, host.map_or(&[][..], |host| host.value), path)?;
    *request.headers_mut() = fields(parsed.headers)?;
    Ok((request, Bytes::copy_from_slice(&rendered[head..])))
}

fn uri(scheme: &Scheme, authority: &[u8], path: &str) -> Result<Uri, Untranslatable> {
    let uri = Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query(path).build();
    uri.map_err(|_| part("address", &[authority, path.as_bytes()].concat()))
}

fn fields(headers: &[httparse::Header]) -> Result<HeaderMap, Untranslatable> {
    let mut fields = HeaderMap::with_capacity(headers.len());
    let value = |header: &httparse::Header| String::from_utf8_lossy(header.value).into_owned();
    for header in headers {
        if header.name.eq_ignore_ascii_case("host") || is_of_connection(header.name, &value(header)) {
            continue;
        }
        let refused = || part("header", header.name.as_bytes());
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| refused())?;
        fields.append(name, HeaderValue::from_bytes(header.value).map_err(|_| refused())?);
    }
    Ok(fields)
}

fn part(part: &'static str, value: &[u8]) -> Untranslatable {
    Untranslatable::Part { part, value: String::from_utf8_lossy(value).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> Result<(Request<()>, Bytes), Untranslatable> {
        translate(text.as_bytes(), &Scheme::HTTPS)
    }

    #[test]
    fn the_host_becomes_the_authority_and_the_rest_stays() {
        let text = "POST /a/1?b=c HTTP/1.1\r\nHost: api.test:8443\r\nX-Id: 7\r\nX-Id: 8\r\nContent-Length: 2\r\n\r\n{}";
        let (request, body) = translated(text).unwrap();
        assert_eq!((request.method(), &body[..]), (&Method::POST, &b"{}"[..]));
        assert_eq!(request.uri(), "https://api.test:8443/a/1?b=c");
        assert_eq!(request.headers().get_all("x-id").iter().collect::<Vec<_>>(), ["7", "8"]);
        assert_eq!(request.headers()["content-length"], "2");
        assert!(!request.headers().contains_key("host"));
    }

    #[test]
    fn what_concerns_one_connection_alone_is_left_out() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n\
                    Upgrade: h2c\r\nProxy-Connection: x\r\nTE: gzip\r\nAccept: */*\r\n\r\n";
        let (request, _) = translated(text).unwrap();
        assert_eq!(request.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
        let (request, _) = translated("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n").unwrap();
        assert_eq!(request.headers()["te"], "trailers");
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        let many = "X: y\r\n".repeat(HEADERS_MAX);
        assert_eq!(
            translated(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).unwrap_err(),
            Untranslatable::TooManyHeaders
        );
        for wrong in
            ["GET / HTTP/1.1\r\n\r\n", "GET /a`b HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"]
        {
            assert!(matches!(translated(wrong), Err(Untranslatable::Part { .. })), "{wrong}");
        }
    }
}
