//! Reading HTTP/1.1 answers.
//!
//! In: all bytes that a connection has given since its request. Out: an [`Answer`] once it is complete, `None` while
//! it is not, or a [`BadAnswer`]: this connection cannot be trusted any more.
//!
//! # Why
//! An acknowledgement rests on a *complete* answer, so its end must be known: by `Content-Length`, by chunks, or
//! because there is no body (204, 304). An answer that ends where its connection ends may have been cut anywhere,
//! and is refused. Nothing may follow an answer: one request is outstanding at a time.

use httparse::Status;

const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Interim answers, head and body together, with the framing of chunks.
const ANSWER_BYTES_MAX: usize = HEAD_BYTES_MAX + 2 * BODY_BYTES_MAX;

/// A complete answer. Its body is in the buffer that was given to [`parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

/// Why bytes are not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAnswer {
    /// They are no HTTP/1.1.
    NoHttp,
    /// Its headers do not tell where it ends.
    NoLength,
    BadChunk,
    TooLong,
    /// More bytes follow it.
    Leftover,
    /// The connection ended within it.
    CutOff,
}

impl From<httparse::Error> for BadAnswer {
    fn from(_: httparse::Error) -> Self {
        BadAnswer::NoHttp
    }
}

/// Reads one answer from its first byte. `body` receives its body, without the framing of chunks; where the request was a
/// HEAD, `expects_body` is false, and there is none, whatever the answer's head says.
pub fn parse(bytes: &[u8], expects_body: bool, body: &mut Vec<u8>) -> Result<Option<Answer>, BadAnswer> {
    body.clear();
    let Some((head, rest)) = final_head(bytes)? else {
        return incomplete(bytes, HEAD_BYTES_MAX);
    };
    let left = match head.framing {
        _ if !expects_body => Some(rest),
        Framing::Empty => Some(rest),
        Framing::Length(length) => take(rest, length, body)?,
        Framing::Chunked => dechunk(rest, body)?,
    };
    match left {
        None => incomplete(bytes, ANSWER_BYTES_MAX),
        Some([]) => Ok(Some(head.answer)),
        Some(_) => Err(BadAnswer::Leftover),
    }
}

fn incomplete<T>(bytes: &[u8], limit: usize) -> Result<Option<T>, BadAnswer> {
    if bytes.len() > limit { Err(BadAnswer::TooLong) } else { Ok(None) }
}

#[derive(Debug, Clone, Copy)]
struct Head {
    answer: Answer,
    framing: Framing,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Empty,
    Length(u64),
    Chunked,
}

/// The head of the final answer, and what follows it. Interim answers (1xx) before it are skipped.
fn final_head(mut bytes: &[u8]) -> Result<Option<(Head, &[u8])>, BadAnswer> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
        bytes = &bytes[length..];
        match response.code {
            // The connection would speak another protocol from here on, and nobody asked for that.
            Some(101) | None => return Err(BadAnswer::NoHttp),
            Some(100..200) => {}
            Some(status) => return Ok(Some((head(&response, status)?, bytes))),
        }
    }
}

fn head(response: &httparse::Response, status: u16) -> Result<Head, BadAnswer> {
    let keep_alive = match response.version {
        Some(1) => !has_token(response, "connection", "close"),
        _ => has_token(response, "connection", "keep-alive"),
    };
    Ok(Head { answer: Answer { status, keep_alive }, framing: framing(response, status)? })
}

/// RFC 9112 §6.3, without "until the connection ends".
fn framing(response: &httparse::Response, status: u16) -> Result<Framing, BadAnswer> {
    let length = content_length(response)?;
    let chunked = has_token(response, "transfer-encoding", "chunked");
    let encoded = values(response, "transfer-encoding").next().is_some();
    match (status, length) {
        (204 | 304, _) => Ok(Framing::Empty),
        // Both at once is how requests are smuggled; other codings were not offered.
        (_, Some(_)) if encoded => Err(BadAnswer::NoLength),
        (_, Some(length)) => Ok(Framing::Length(length)),
        (_, None) if chunked => Ok(Framing::Chunked),
        (_, None) => Err(BadAnswer::NoLength),
    }
}

/// The one length that every `Content-Length` names.
fn content_length(response: &httparse::Response) -> Result<Option<u64>, BadAnswer> {
    let mut length = None;
    for value in values(response, "content-length") {
        let digits = value.trim_ascii();
        let number = (digits.iter().all(u8::is_ascii_digit)).then(|| std::str::from_utf8(digits).ok()?.parse().ok());
        let number = number.flatten().ok_or(BadAnswer::NoLength)?;
        if length.replace(number).is_some_and(|before| before != number) {
            return Err(BadAnswer::NoLength);
        }
    }
    Ok(length)
}

fn values<'a>(response: &'a httparse::Response, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    response.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

fn has_token(response: &httparse::Response, name: &str, token: &str) -> bool {
    let mut tokens = values(response, name).flat_map(|value| value.split(|byte| *byte == b','));
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Appends `length` bytes to `body` and gives what follows them; `None` while they are not all there.
fn take<'a>(bytes: &'a [u8], length: u64, body: &mut Vec<u8>) -> Result<Option<&'a [u8]>, BadAnswer> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > BODY_BYTES_MAX.saturating_sub(body.len()) {
        return Err(BadAnswer::TooLong);
    }
    let Some((data, rest)) = bytes.split_at_checked(length) else { return Ok(None) };
    body.extend_from_slice(data);
    Ok(Some(rest))
}

fn dechunk<'a>(mut bytes: &'a [u8], body: &mut Vec<u8>) -> Result<Option<&'a [u8]>, BadAnswer> {
    loop {
        let size = httparse::parse_chunk_size(bytes).map_err(|_| BadAnswer::BadChunk)?;
        let Status::Complete((line, size)) = size else { return Ok(None) };
        bytes = &bytes[line..];
        if size == 0 {
            return skip_trailers(bytes);
        }
        let Some(rest) = take(bytes, size, body)? else { return Ok(None) };
        match rest {
            [b'\r', b'\n', after @ ..] => bytes = after,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(BadAnswer::BadChunk),
        }
    }
}

fn skip_trailers(bytes: &[u8]) -> Result<Option<&[u8]>, BadAnswer> {
    let mut trailers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(bytes, &mut trailers).map_err(|_| BadAnswer::BadChunk)? {
        Status::Complete((length, _)) => Ok(Some(&bytes[length..])),
        Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: impl AsRef<[u8]>) -> Result<Option<(u16, bool, String)>, BadAnswer> {
        let mut body = b"left from the answer before".to_vec();
        let answer = parse(bytes.as_ref(), true, &mut body)?;
        Ok(answer.map(|a| (a.status, a.keep_alive, String::from_utf8_lossy(&body).into_owned())))
    }

    fn complete(status: u16, keep_alive: bool, body: &str) -> Result<Option<(u16, bool, String)>, BadAnswer> {
        Ok(Some((status, keep_alive, body.to_owned())))
    }

    const PLAIN: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                           3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
    const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
                           HTTP/1.1 200 OK\r\nconnection: Foo, CLOSE\r\ncontent-length: 0\r\n\r\n";
    const NO_BODY: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    const NOT_MODIFIED: &str = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    const OLD: &str = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const GOOD: [&str; 6] = [PLAIN, CHUNKED, INTERIM, NO_BODY, NOT_MODIFIED, OLD];

    #[test]
    fn complete_answers_are_read() {
        assert_eq!(read(PLAIN), complete(202, true, "hello"));
        assert_eq!(read(CHUNKED), complete(200, true, "hello"));
        assert_eq!(read(INTERIM), complete(200, false, ""));
        assert_eq!(read(NO_BODY), complete(204, true, ""));
        assert_eq!(read(NOT_MODIFIED), complete(304, true, ""));
        assert_eq!(read(OLD), complete(200, false, "ok"));
    }

    #[test]
    fn no_beginning_of_an_answer_is_complete() {
        for answer in GOOD {
            for end in 0..answer.len() {
                assert_eq!(read(&answer[..end]), Ok(None), "{:?}", &answer[..end]);
            }
        }
    }

    #[test]
    fn nothing_may_follow_an_answer() {
        for answer in GOOD {
            assert_eq!(read(format!("{answer}x")), Err(BadAnswer::Leftover), "{answer:?}");
            assert_eq!(read(format!("{answer}{answer}")), Err(BadAnswer::Leftover), "{answer:?}");
        }
    }

    #[test]
    fn an_answer_whose_end_cannot_be_known_is_refused() {
        for headers in [
            "",
            "Content-Length: 5x\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Content-Length: 99999999999999999999999\r\n",
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\nhello");
            assert_eq!(read(&answer), Err(BadAnswer::NoLength), "{answer:?}");
        }
    }

    #[test]
    fn a_length_said_twice_is_one_length() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(read(answer), complete(200, true, "ok"));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for chunks in
            ["zz\r\nhello\r\n", "5\r\nhelloworld\r\n", "-1\r\n", "fffffffffffffffff\r\n", "0\r\nno colon\r\n\r\n"]
        {
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(read(&answer), Err(BadAnswer::BadChunk), "{answer:?}");
        }
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for bytes in ["SSH-2.0-OpenSSH\r\n", "HTTP/2 200\r\n\r\n", "\0\0\0", "HTTP/1.1 101 Switching\r\n\r\n"] {
            assert_eq!(read(bytes), Err(BadAnswer::NoHttp), "{bytes:?}");
        }
    }

    #[test]
    fn heads_and_bodies_have_limits() {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(read(head), Err(BadAnswer::TooLong));
        let body = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        assert_eq!(read(body), Err(BadAnswer::TooLong));
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        let endless = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(9));
        assert_eq!(read(endless), Err(BadAnswer::TooLong));
        let extension = format!("1;{}\r\nx\r\n", "e".repeat(ANSWER_BYTES_MAX));
        let padded = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{extension}");
        assert_eq!(read(padded), Err(BadAnswer::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer_or_an_error_and_never_a_panic(bytes: Vec<u8>, good in 0..GOOD.len(), cut: prop::sample::Index) {
            let _ = read(&bytes);
            let good = GOOD[good].as_bytes();
            let _ = read([&good[..cut.index(good.len())], &bytes[..]].concat());
        }
    }
}
