//! Every answer that the server can give, rendered once, before the first request.

use super::script::Script;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// The script's status and body.
    Asked,
    /// 503, by the script's share of errors.
    Error,
    /// 400: what came was no request.
    Bad,
}

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Next,
    /// It is closed, as the answer says.
    Close,
    /// It is closed, and the answer did not say so.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub text: Text,
    pub then: Then,
    /// The answer to a HEAD.
    pub head_only: bool,
}

/// Bytes on the wire, and how many of them are the head.
#[derive(Debug)]
struct Rendered {
    bytes: Vec<u8>,
    head: usize,
}

#[derive(Debug)]
pub struct Answers {
    status: u16,
    /// By [`Text`]; without and with `Connection: close`.
    rendered: [[Rendered; 2]; 3],
}

impl Answers {
    pub fn of(script: &Script) -> Answers {
        let both = |status, body| [render(status, body, false), render(status, body, true)];
        let rendered = [both(script.status, script.body_bytes), both(503, 0), both(400, 0)];
        Answers { status: script.status, rendered }
    }

    pub fn bytes(&self, answer: Answer) -> &[u8] {
        let says_close = usize::from(answer.then == Then::Close);
        let Rendered { bytes, head } = &self.rendered[answer.text as usize][says_close];
        if answer.head_only { &bytes[..*head] } else { bytes }
    }

    pub fn status(&self, text: Text) -> u16 {
        match text {
            Text::Asked => self.status,
            Text::Error => 503,
            Text::Bad => 400,
        }
    }
}

fn render(status: u16, body_bytes: usize, close: bool) -> Rendered {
    let close = if close { "Connection: close\r\n" } else { "" };
    // RFC 9110: these two have no body, and 204 no length of one.
    let (length, body_bytes) = match status {
        204 => (String::new(), 0),
        304 => (format!("Content-Length: {body_bytes}\r\n"), 0),
        _ => (format!("Content-Length: {body_bytes}\r\n"), body_bytes),
    };
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n{length}{close}\r\n", reason(status)).into_bytes();
    let head = bytes.len();
    bytes.resize(head + body_bytes, b'x');
    Rendered { bytes, head }
}

/// Nobody reads it.
fn reason(status: u16) -> &'static str {
    match status {
        200..300 => "OK",
        503 => "Service Unavailable",
        _ => "As Asked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: u16, answer: Answer) -> String {
        let answers = Answers::of(&Script { status, body_bytes: 3, ..Script::default() });
        String::from_utf8(answers.bytes(answer).to_vec()).unwrap()
    }

    const PLAIN: Answer = Answer { text: Text::Asked, then: Then::Next, head_only: false };

    #[test]
    fn an_answer_says_how_long_it_is_and_whether_it_is_the_last() {
        assert_eq!(text(200, PLAIN), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxxx");
        let last = Answer { then: Then::Close, ..PLAIN };
        assert_eq!(text(200, last), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nxxx");
        assert_eq!(text(200, Answer { then: Then::Cut, ..PLAIN }), text(200, PLAIN));
        let error = Answer { text: Text::Error, ..PLAIN };
        assert_eq!(text(200, error), "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn an_answer_without_a_body_has_none() {
        let head_only = Answer { head_only: true, ..PLAIN };
        assert_eq!(text(202, head_only), "HTTP/1.1 202 OK\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(text(204, PLAIN), "HTTP/1.1 204 OK\r\n\r\n");
        assert_eq!(text(304, PLAIN), "HTTP/1.1 304 As Asked\r\nContent-Length: 3\r\n\r\n");
    }
}
