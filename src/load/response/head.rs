//! The head of an answer: its status, whether the connection goes on, and how the end of its body is known.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Response, Status};

use super::{Answer, BadAnswer};

pub(super) const HEADERS_MAX: usize = 128;

#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    /// 1xx: another one follows.
    Interim,
    /// The framing counts only where there is a body.
    Final { answer: Answer, framing: Result<Framing, BadAnswer> },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    Empty,
    Length(u64),
    Chunked,
}

/// The head at the beginning of these bytes, and how long it is; `None` while it is not complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, BadAnswer> {
    // Left as it is: to clear the headers takes longer than to read the few that come.
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    let Status::Complete(length) = parsed.map_err(|e| unread(e, BadAnswer::NoHttp))? else { return Ok(None) };
    let head = match response.code {
        // After a 101 the connection would speak another protocol, and nobody asked for that.
        Some(101) | None => return Err(BadAnswer::NoHttp),
        Some(100..200) => Head::Interim,
        Some(status @ 200..) => {
            let answer = Answer { status, keep_alive: keep_alive(&response) };
            Head::Final { answer, framing: framing(&response, status) }
        }
        Some(..100) => return Err(BadAnswer::NoHttp),
    };
    Ok(Some((length, head)))
}

/// Too many headers are too long a head; all else is `otherwise`.
pub(super) fn unread(error: httparse::Error, otherwise: BadAnswer) -> BadAnswer {
    if error == httparse::Error::TooManyHeaders { BadAnswer::TooLong } else { otherwise }
}

fn keep_alive(response: &Response) -> bool {
    match response.version {
        Some(1) => !tokens(response, "connection").any(|token| token.eq_ignore_ascii_case(b"close")),
        _ => tokens(response, "connection").any(|token| token.eq_ignore_ascii_case(b"keep-alive")),
    }
}

/// RFC 9112 §6.3, without "until the connection ends".
fn framing(response: &Response, status: u16) -> Result<Framing, BadAnswer> {
    if matches!(status, 204 | 304) {
        return Ok(Framing::Empty);
    }
    match (content_length(response)?, is_chunked(response)?) {
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, true) => Ok(Framing::Chunked),
        // Both at once is how requests are smuggled.
        (Some(_), true) | (None, false) => Err(BadAnswer::NoLength),
    }
}

/// The one length that every `Content-Length` names.
fn content_length(response: &Response) -> Result<Option<u64>, BadAnswer> {
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

/// Other codings were not offered, and HTTP/1.0 has none.
fn is_chunked(response: &Response) -> Result<bool, BadAnswer> {
    let mut codings = tokens(response, "transfer-encoding");
    match (codings.next(), codings.next(), response.version) {
        (None, ..) => Ok(false),
        (Some(coding), None, Some(1)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(BadAnswer::NoLength),
    }
}

fn values<'a>(response: &'a Response, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    response.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

fn tokens<'a>(response: &'a Response, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    values(response, name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}
