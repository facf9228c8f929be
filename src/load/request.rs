//! Requests: rendered once a connection, patched for each operation.
//!
//! In: an API version and an address, then operations. Out: the bytes of an HTTP/1.1 request.
//!
//! # Why
//! Every field has a fixed width, so that a request never changes its length and nothing is allocated or measured
//! while the load runs: keys and money are padded with zeros, `seq` with spaces (JSON knows no leading zeros). The
//! sign of a poison write's negative amount is part of a template of its own.

use std::net::SocketAddr;

use super::dialogue::Requests;
use super::lanes::{Lane, Operation};
use crate::content::{COLUMNS, POISONED, PRESETS, costs};

/// 2^63 − 1 has 19 digits.
const KEY_DIGITS: usize = 19;
/// 2^32 − 1 has 10 digits.
const SEQ_DIGITS: usize = 10;
/// Below 10^16 hundredths.
const WHOLE_DIGITS: usize = 14;
const CENT_DIGITS: usize = 2;

/// The requests that a connection sends, each in its own buffer, and which of them was rendered last.
#[derive(Debug, Clone)]
pub struct ServiceRequests {
    post: Template,
    poison: Template,
    get: Template,
    last: Lane,
}

/// A request, and where its slots begin.
#[derive(Debug, Clone, Default)]
struct Template {
    bytes: Vec<u8>,
    key: usize,
    seq: usize,
    /// By preset, then column.
    money: Vec<[usize; COLUMNS.len()]>,
}

impl ServiceRequests {
    /// `api_version` is `v4` or `v5`.
    pub fn new(api_version: &str, host: SocketAddr) -> Self {
        ServiceRequests {
            post: Template::post(api_version, host, None),
            poison: Template::post(api_version, host, Some(POISONED)),
            get: Template::get(api_version, host),
            last: Lane::Read,
        }
    }
}

impl Requests for ServiceRequests {
    fn render(&mut self, op: &Operation) {
        self.last = op.lane;
        let template = match op.lane {
            Lane::WriteOnce | Lane::HotKey => &mut self.post,
            Lane::Poison => &mut self.poison,
            Lane::Read | Lane::Request => &mut self.get,
        };
        template.patch(op);
    }

    fn rendered(&self) -> &[u8] {
        match self.last {
            Lane::WriteOnce | Lane::HotKey => &self.post.bytes,
            Lane::Poison => &self.poison.bytes,
            Lane::Read | Lane::Request => &self.get.bytes,
        }
    }
}

impl Template {
    fn get(api_version: &str, host: SocketAddr) -> Template {
        let mut template = Template::default();
        template.head("GET", api_version, host);
        template.text("\r\n");
        template
    }

    /// `negative`: the column whose amounts are below zero.
    fn post(api_version: &str, host: SocketAddr, negative: Option<usize>) -> Template {
        let body = Template::body(negative);
        let length = body.bytes.len();
        let mut template = Template::default();
        template.head("POST", api_version, host);
        template.text(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"));
        let (key, head) = (template.key, template.bytes.len());
        let money = body.money.iter().map(|columns| columns.map(|at| head + at)).collect();
        Template { bytes: [template.bytes, body.bytes].concat(), key, seq: head + body.seq, money }
    }

    fn head(&mut self, method: &str, api_version: &str, host: SocketAddr) {
        self.text(&format!("{method} /api/{api_version}/characters/"));
        self.key = self.slot(KEY_DIGITS);
        self.text(&format!("/expectation HTTP/1.1\r\nHost: {host}\r\n"));
    }

    fn body(negative: Option<usize>) -> Template {
        let mut body = Template::default();
        body.text(r#"{"seq":"#);
        body.seq = body.slot(SEQ_DIGITS);
        body.text(r#","presets":["#);
        for preset in PRESETS {
            let comma = if preset == *PRESETS.start() { "" } else { "," };
            body.text(&format!(r#"{comma}{{"preset":{preset}"#));
            let slots = std::array::from_fn(|column| {
                let sign = if negative == Some(column) { "-" } else { "" };
                body.money_slot(COLUMNS[column], sign)
            });
            body.money.push(slots);
            body.text("}");
        }
        body.text("]}");
        body
    }

    fn money_slot(&mut self, column: &str, sign: &str) -> usize {
        self.text(&format!(r#","{column}":"{sign}"#));
        let at = self.slot(WHOLE_DIGITS);
        self.text(".");
        self.slot(CENT_DIGITS);
        self.text("\"");
        at
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn slot(&mut self, width: usize) -> usize {
        let at = self.bytes.len();
        self.bytes.resize(at + width, b'0');
        at
    }

    fn patch(&mut self, op: &Operation) {
        put(&mut self.bytes[self.key..][..KEY_DIGITS], op.key, b'0');
        if self.money.is_empty() {
            return;
        }
        put(&mut self.bytes[self.seq..][..SEQ_DIGITS], op.seq.into(), b' ');
        for (slots, preset) in self.money.iter().zip(PRESETS) {
            for (at, hundredths) in slots.iter().zip(costs(op.key, op.seq.into(), preset)) {
                put_money(&mut self.bytes[*at..], hundredths.unsigned_abs());
            }
        }
    }
}

fn put_money(slot: &mut [u8], hundredths: u64) {
    put(&mut slot[..WHOLE_DIGITS], hundredths / 100, b'0');
    put(&mut slot[WHOLE_DIGITS + 1..][..CENT_DIGITS], hundredths % 100, b'0');
}

/// Writes a number to the right end of its slot.
fn put(slot: &mut [u8], mut number: u64, pad: u8) {
    let mut first = true;
    for digit in slot.iter_mut().rev() {
        *digit = if number > 0 || first { b'0' + (number % 10) as u8 } else { pad };
        number /= 10;
        first = false;
    }
    debug_assert_eq!(number, 0, "a slot is wide enough for its numbers");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::poisoned;
    use proptest::prelude::*;
    use serde_json::Value;

    struct Parsed {
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    }

    fn parse(bytes: &[u8]) -> Parsed {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        let head = request.parse(bytes).unwrap().unwrap();
        let text = |header: &httparse::Header| {
            (header.name.to_ascii_lowercase(), String::from_utf8(header.value.to_vec()).unwrap())
        };
        Parsed {
            method: request.method.unwrap().to_owned(),
            path: request.path.unwrap().to_owned(),
            headers: request.headers.iter().map(text).collect(),
            body: bytes[head..].to_vec(),
        }
    }

    fn hundredths(money: &Value) -> i64 {
        let money = money.as_str().unwrap();
        let (sign, amount) = money.strip_prefix('-').map_or((1, money), |amount| (-1, amount));
        let (whole, cents) = amount.split_once('.').unwrap();
        assert_eq!(cents.len(), CENT_DIGITS);
        sign * (whole.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap())
    }

    fn requests() -> ServiceRequests {
        ServiceRequests::new("v5", "127.0.0.1:8080".parse().unwrap())
    }

    proptest! {
        #[test]
        fn a_write_reads_back_as_it_was_meant(index: u64, key in 0..=i64::MAX as u64, seq in 1..=u32::MAX, poison: bool) {
            let lane = if poison { Lane::Poison } else { Lane::WriteOnce };
            let mut requests = requests();
            // The slots still hold the operation before: nothing of it may stay.
            requests.render(&Operation { index, lane: Lane::HotKey, key: i64::MAX as u64, seq: u32::MAX });
            requests.render(&Operation { index, lane, key, seq });
            let sent = parse(requests.rendered());
            prop_assert_eq!(sent.method, "POST");
            prop_assert_eq!(sent.path, format!("/api/v5/characters/{key:019}/expectation"));
            let length = sent.headers.iter().find(|(name, _)| name == "content-length").unwrap();
            prop_assert_eq!(&length.1, &sent.body.len().to_string());
            let body: Value = serde_json::from_slice(&sent.body).unwrap();
            prop_assert_eq!(&body["seq"], &Value::from(seq));
            prop_assert_eq!(body["presets"].as_array().unwrap().len(), 3);
            for (preset, said) in PRESETS.zip(body["presets"].as_array().unwrap()) {
                prop_assert_eq!(&said["preset"], &Value::from(preset));
                let said = COLUMNS.map(|column| hundredths(&said[column]));
                let meant = if poison { poisoned(key, seq.into(), preset) } else { costs(key, seq.into(), preset) };
                prop_assert_eq!(said, meant);
            }
        }
    }

    #[test]
    fn a_read_asks_for_its_key() {
        let mut requests = requests();
        requests.render(&Operation { index: 0, lane: Lane::Read, key: 42, seq: 0 });
        let asked = parse(requests.rendered());
        assert_eq!((asked.method.as_str(), asked.body.len()), ("GET", 0));
        assert_eq!(asked.path, "/api/v5/characters/0000000000000000042/expectation");
        assert_eq!(asked.headers, [("host".to_owned(), "127.0.0.1:8080".to_owned())]);
    }
}
