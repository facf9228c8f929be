//! Reading HTTP/1.1 requests.
//!
//! In: all bytes that a connection has given since the request before. Out: a [`Head`] once it is complete, `None`
//! while it is not, or [`BadRequest`]: what follows cannot be told apart any more.
//!
//! Any method and any path will do. A body is as long as `Content-Length` says, and nobody reads it; other ways to
//! send one (`Transfer-Encoding`) are refused. HTTP/1.0 is answered, and its connection closed.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};

const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Of itself.
    pub bytes: usize,
    /// Of the body that follows.
    pub body_bytes: u64,
    /// It asks for an answer's head, and not for its body.
    pub is_head: bool,
    pub keep_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRequest;

pub fn parse(bytes: &[u8]) -> Result<Option<Head>, BadRequest> {
    // Left as they are: to empty 64 headers would take longer than to read four.
    let mut headers = [MaybeUninit::<Header>::uninit(); HEADERS_MAX];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers).map_err(|_| BadRequest)? {
        Status::Complete(length) => head(&request, length).map(Some),
        Status::Partial if bytes.len() > HEAD_BYTES_MAX => Err(BadRequest),
        Status::Partial => Ok(None),
    }
}

fn head(request: &Request, bytes: usize) -> Result<Head, BadRequest> {
    let mut head =
        Head { bytes, body_bytes: 0, is_head: request.method == Some("HEAD"), keep_alive: request.version == Some(1) };
    for header in request.headers.iter() {
        // By its length first: most headers are none of these.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => head.keep_alive &= !says_close(header.value),
            14 if header.name.eq_ignore_ascii_case("content-length") => head.body_bytes = length(header.value)?,
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => return Err(BadRequest),
            _ => {}
        }
    }
    Ok(head)
}

fn says_close(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn length(value: &[u8]) -> Result<u64, BadRequest> {
    let digits = value.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(value).ok()).flatten();
    digits.and_then(|digits| digits.parse().ok()).ok_or(BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().expect("it is complete")
    }

    #[test]
    fn any_method_and_path_will_do() {
        let text = "BREW /pot?strong=1 HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(complete(text), Head { bytes: text.len(), body_bytes: 0, is_head: false, keep_alive: true });
        assert!(complete("HEAD / HTTP/1.1\r\n\r\n").is_head);
    }

    #[test]
    fn a_body_is_as_long_as_it_says() {
        assert_eq!(complete("POST / HTTP/1.1\r\ncontent-LENGTH: 12\r\n\r\nand what follows").body_bytes, 12);
        for bad in ["-1", "+1", "1x", "", "99999999999999999999"] {
            let text = format!("POST / HTTP/1.1\r\nContent-Length: {bad}\r\n\r\n");
            assert_eq!(parse(text.as_bytes()), Err(BadRequest), "{bad}");
        }
        assert_eq!(parse(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(BadRequest));
    }

    #[test]
    fn a_connection_is_closed_where_it_is_asked_for() {
        assert!(complete("GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nConnection: Upgrade, CLOSE\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    }

    #[test]
    fn no_part_of_a_head_is_taken_for_all_of_it() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn garbage_and_endless_heads_are_refused() {
        assert_eq!(parse(b"\x16\x03\x01 a TLS client\r\n\r\n"), Err(BadRequest));
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(parse(endless.as_bytes()), Err(BadRequest));
    }
}
