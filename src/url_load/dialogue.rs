//! One request of the user's own, over and over: rendered once a connection, with a counter where it says `{seq}`.

use std::net::SocketAddr;

use http::uri::Scheme;

use crate::load::dialogue::{Dialogue, Requests};
use crate::load::ledger::Reason;
use crate::load::response::{Answer, Bodies};
use crate::load::transport::{Transport, Untranslatable, translate};
use crate::load::{Lane, Operation, Outcome};
use crate::plan::{HttpRequest, UrlTarget};

/// Stands for the operation's index, in path, headers and body.
pub const COUNTER: &str = "{seq}";
/// As wide as the largest index: a request never changes its length.
const COUNTER_DIGITS: usize = 10;

#[derive(Debug)]
pub struct UrlDialogue {
    target: UrlTarget,
    transport: Transport,
}

/// The bytes, and where in them the counter stands.
#[derive(Debug, Clone)]
struct UrlRequests {
    bytes: Vec<u8>,
    counters: Vec<usize>,
}

impl UrlDialogue {
    pub fn new(target: &UrlTarget, transport: Transport) -> UrlDialogue {
        UrlDialogue { target: target.clone(), transport }
    }
}

impl Dialogue for UrlDialogue {
    fn requests(&self, _: SocketAddr) -> Box<dyn Requests> {
        Box::new(UrlRequests::new(&self.target.method, &self.target.request))
    }

    /// An answer with another status than the expected ones is an error. How long it took counts.
    fn judge(&self, _: &Operation, answer: &Answer, _: &[u8]) -> (Outcome, Reason) {
        match self.target.expect.has(answer.status) {
            true => (Outcome::Acked, Reason::Answer),
            false => (Outcome::Refused, Reason::Answer),
        }
    }

    fn bodies(&self) -> Bodies {
        if self.target.method == "HEAD" { Bodies::None } else { Bodies::Dropped }
    }

    fn transport(&self) -> &Transport {
        &self.transport
    }
}

/// Why HTTP/2 cannot say this request. What stands where the counter does makes no difference.
pub fn untranslatable(target: &UrlTarget) -> Option<Untranslatable> {
    let mut requests = UrlRequests::new(&target.method, &target.request);
    requests.render(&Operation { index: 0, lane: Lane::Request, key: 0, seq: 0 });
    translate(requests.rendered(), &Scheme::HTTPS).err()
}

impl UrlRequests {
    fn new(method: &str, request: &HttpRequest) -> UrlRequests {
        let digits = "0".repeat(COUNTER_DIGITS);
        let body = replaced(&request.body, digits.as_bytes());
        let given = |name: &str| request.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {} HTTP/1.1\r\n", request.path);
        let own = [
            ("Host", request.authority.clone()),
            ("User-Agent", concat!("mxctl/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Accept", "*/*".to_owned()),
        ];
        let length = (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH"))
            .then(|| ("Content-Length", body.len().to_string()));
        for (name, value) in own.into_iter().chain(length).filter(|(name, _)| !given(name)) {
            head += &format!("{name}: {value}\r\n");
        }
        for (name, value) in &request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let template = [head.as_bytes(), &request.body].concat();
        UrlRequests { counters: places(&template), bytes: replaced(&template, digits.as_bytes()) }
    }
}

impl Requests for UrlRequests {
    fn render(&mut self, op: &Operation) {
        for at in &self.counters {
            let mut number = op.index;
            for digit in self.bytes[*at..*at + COUNTER_DIGITS].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }

    fn rendered(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where each counter begins once all of them are as wide as their digits.
fn places(template: &[u8]) -> Vec<usize> {
    let grows = COUNTER_DIGITS - COUNTER.len();
    let found = template.windows(COUNTER.len()).enumerate().filter(|(_, bytes)| *bytes == COUNTER.as_bytes());
    found.enumerate().map(|(nth, (at, _))| at + nth * grows).collect()
}

fn replaced(template: &[u8], digits: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(template.len()), template);
    while let Some(at) = rest.windows(COUNTER.len()).position(|bytes| bytes == COUNTER.as_bytes()) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(digits);
        rest = &rest[at + COUNTER.len()..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &[(&str, &str)], body: &str) -> HttpRequest {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (host, authority, path) = ("127.0.0.1".to_owned(), "127.0.0.1:8080".to_owned(), path.to_owned());
        HttpRequest { host, port: 8080, authority, path, headers, body: body.into(), allowed: false }
    }

    fn rendered(method: &str, request: &HttpRequest, index: u64) -> String {
        let mut requests = UrlRequests::new(method, request);
        requests.render(&Operation { index: 1 << 31, lane: Lane::Request, key: 0, seq: 0 });
        requests.render(&Operation { index, lane: Lane::Request, key: 0, seq: 0 });
        String::from_utf8(requests.rendered().to_vec()).unwrap()
    }

    #[test]
    fn a_get_has_a_host_and_no_body() {
        let text = rendered("GET", &request("/a?b=c", &[], ""), 7);
        assert!(
            text.starts_with("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        assert!(!text.contains("Content-Length"));
    }

    #[test]
    fn counters_stand_wherever_they_were_written_and_the_length_fits() {
        let text =
            rendered("POST", &request("/{seq}/x", &[("X-Id", "{seq}")], r#"{"id":"{seq}","again":"{seq}"}"#), 42);
        assert_eq!(text.matches("0000000042").count(), 4);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }

    #[test]
    fn a_header_of_the_user_s_stands_in_for_ours() {
        let text = rendered("GET", &request("/", &[("host", "example.org"), ("Accept", "text/plain")], ""), 1);
        assert!(text.contains("host: example.org\r\n") && !text.contains("Host: 127"), "{text}");
        assert_eq!(text.matches("ccept:").count(), 1);
    }
}
