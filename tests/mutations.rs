//! Answers that are changed at random: flipped, cut, spliced, doubled. The reader must not panic, must not depend on how
//! bytes are cut into reads, and must never find complete what a second, naive reader does not; the same goes for whole
//! loads over real connections, where what is not complete acknowledges nothing.
//!
//! ```sh
//! MXCTL_MUTATIONS_SECONDS=60 MXCTL_MUTATIONS_SEED=7 cargo test --workspace --test mutations -- --nocapture
//! ```
//!
//! # Why a second reader
//! Two readers that share code share mistakes. This one has all the bytes at once, and knows nothing of httparse: it
//! cuts lines at their ends, and takes more than it should where that is harmless (any name of a header will do).

mod lab;
#[path = "../src/load/response/corpus.rs"]
mod corpus;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use corpus::CORPUS;
use lab::load;
use mxctl::load::Outcome;
use mxctl::load::response::{Answer, BadAnswer, Bodies, Reader};
use mxctl::plan::LoadPlan;

// The second reader.

/// Each byte is a character here, and some bytes would be blanks of Unicode's.
const BLANKS: [char; 2] = [' ', '\t'];

/// The answer, its body, and whatever follows it; `None`: these bytes are no complete answer.
fn naive(bytes: &[u8], bodies: Bodies) -> Option<(Answer, Vec<u8>, &[u8])> {
    let (first, headers, rest) = head(bytes)?;
    let status = status(&first)?;
    let answer = Answer { status, keep_alive: keep_alive(&first, &headers) };
    match status {
        100 | 102..200 => naive(rest, bodies),
        ..200 => None,
        204 | 304 => Some((answer, Vec::new(), rest)),
        _ if bodies == Bodies::None => Some((answer, Vec::new(), rest)),
        _ => {
            let (body, rest) = body(&headers, rest)?;
            Some((answer, if bodies == Bodies::Kept { body } else { Vec::new() }, rest))
        }
    }
}

fn keep_alive(first: &str, headers: &Headers) -> bool {
    let said = |word: &str| {
        let values = headers.iter().filter(|(name, _)| name == "connection");
        values
            .flat_map(|(_, value)| value.split(','))
            .any(|token| token.trim_matches(BLANKS).eq_ignore_ascii_case(word))
    };
    if first.starts_with("HTTP/1.1") { !said("close") } else { said("keep-alive") }
}

/// Lower-case names, and their values.
type Headers = Vec<(String, String)>;

/// The first line, the headers, and what follows the empty line.
fn head(mut bytes: &[u8]) -> Option<(String, Headers, &[u8])> {
    let mut lines = Vec::new();
    loop {
        let (text, rest) = line(bytes)?;
        bytes = rest;
        match (text.is_empty(), lines.is_empty()) {
            (true, true) => {}
            (true, false) => break,
            (false, _) => lines.push(text),
        }
    }
    let headers = lines[1..].iter().map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim_matches(BLANKS).to_owned()))
    });
    Some((lines[0].clone(), headers.collect::<Option<_>>()?, bytes))
}

/// One line without its end, each byte a character; and the rest.
fn line(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    Some((text.iter().map(|byte| char::from(*byte)).collect(), &bytes[end + 1..]))
}

fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ").or(line.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.split(' ').next()?;
    (digits.len() == 3 && digits.chars().all(|c| c.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn body<'a>(headers: &Headers, bytes: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let values = |wanted: &'static str| headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value);
    let lengths: Vec<Option<usize>> = values("content-length").map(|value| value.parse().ok()).collect();
    let codings: Vec<String> = values("transfer-encoding").map(|value| value.to_ascii_lowercase()).collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([Some(length), others @ ..], []) if others.iter().all(|other| other == &Some(*length)) => {
            let (body, rest) = bytes.split_at_checked(*length)?;
            Some((body.to_vec(), rest))
        }
        ([], [coding]) if coding == "chunked" => chunks(bytes),
        _ => None,
    }
}

fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let line = String::from_utf8_lossy(&bytes[..end]);
        let size = usize::from_str_radix(line.split(';').next()?.trim_end_matches(BLANKS), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            break;
        }
        let (data, rest) = bytes.split_at_checked(size)?;
        body.extend_from_slice(data);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
    loop {
        let (trailer, rest) = line(bytes)?;
        bytes = rest;
        if trailer.is_empty() {
            return Some((body, bytes));
        }
    }
}

// Random changes.

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> Range<usize> {
        let (one, other) = (self.below(length + 1), self.below(length + 1));
        one.min(other)..one.max(other)
    }

    fn sample(&mut self) -> &'static [u8] {
        CORPUS[self.below(CORPUS.len())].bytes.as_bytes()
    }

    /// An answer that was complete before up to five changes.
    fn answer(&mut self) -> Vec<u8> {
        let mut bytes = self.sample().to_vec();
        for _ in 0..self.below(6) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        /// What a reader may stumble over.
        const WORDS: [&str; 12] = [
            "\r\n",
            "\n",
            "\r",
            "0",
            "f",
            ";",
            ":",
            " ",
            "0\r\n\r\n",
            "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n",
            "\r\n\r\n",
        ];
        let (at, part) = (self.below(bytes.len()), self.range(bytes.len()));
        match self.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(part.start..part.end.min(part.start + 8))),
            4 => drop(bytes.splice(at..at, bytes[part].to_vec())),
            5 => {
                let other = self.sample();
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                let word = WORDS[self.below(WORDS.len())];
                drop(bytes.splice(at..at, word.bytes()));
            }
            _ if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

/// A new one each time, and printed, unless one is given.
fn seed() -> u64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let seed = from_environment("MXCTL_MUTATIONS_SEED", clock.as_nanos() as u64);
    println!("MXCTL_MUTATIONS_SEED={seed}");
    seed
}

// What is asserted.

type Found = Result<Option<(Answer, Vec<u8>)>, BadAnswer>;

fn read<'a>(reader: &mut Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Found {
    reader.begin();
    let mut found = Ok(None);
    for piece in pieces {
        reader.room().extend_from_slice(piece);
        found = Ok(reader.advance()?);
    }
    found.map(|answer| answer.map(|answer| (answer, reader.body().to_vec())))
}

fn pieces<'a>(dice: &mut Dice, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + dice.below(30)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

#[test]
fn the_naive_reader_finds_the_corpus_complete_and_no_beginning_of_it() {
    for sample in &CORPUS {
        let bytes = sample.bytes.as_bytes();
        let found = naive(bytes, Bodies::Kept);
        let answer = Answer { status: sample.status, keep_alive: sample.keep_alive };
        assert_eq!(found, Some((answer, sample.body.into(), &b""[..])), "{:?}", sample.bytes);
        assert!((0..bytes.len()).all(|end| naive(&bytes[..end], Bodies::Kept).is_none()), "{:?}", sample.bytes);
    }
}

#[test]
fn a_reader_finds_complete_only_what_a_naive_one_does() {
    let (seed, seconds) = (seed(), from_environment("MXCTL_MUTATIONS_SECONDS", 30));
    let (mut dice, until) = (Dice(seed), Instant::now() + Duration::from_secs(seconds));
    let mut readers = [Bodies::Kept, Bodies::Dropped, Bodies::None].map(|bodies| (bodies, Reader::new(bodies)));
    let (mut mutations, mut complete) = (0_u64, 0_u64);
    while Instant::now() < until {
        let bytes = dice.answer();
        for (bodies, reader) in &mut readers {
            let found = read(reader, [&bytes[..]]);
            let in_pieces = read(reader, pieces(&mut dice, &bytes));
            let told =
                || format!("seed {seed}, mutation {mutations}, {bodies:?}: {:?}", bytes.escape_ascii().to_string());
            assert_eq!(in_pieces, found, "{}", told());
            if let Ok(Some((answer, body))) = found {
                assert_eq!(naive(&bytes, *bodies), Some((answer, body, &b""[..])), "{}", told());
                complete += 1;
            }
        }
        mutations += 1;
    }
    println!("{mutations} mutations, {complete} times complete");
    assert!(complete > 0 && complete < 3 * mutations, "the mutations are of one kind only");
}

/// Answers every request with a changed answer, and ends the connection. It remembers by the request's path.
struct Mutator {
    addr: SocketAddr,
    sent: Arc<Mutex<BTreeMap<u64, Vec<u8>>>>,
}

impl Mutator {
    fn start(seed: u64) -> Mutator {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (addr, sent) = (listener.local_addr().expect("its address"), Arc::default());
        let remembered = Arc::clone(&sent);
        // It ends with the test's process.
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, seed, &remembered)));
        Mutator { addr, sent }
    }
}

/// One request comes in one read. A client that is gone, or never asked, is no concern of a server.
fn answer(mut stream: TcpStream, seed: u64, sent: &Mutex<BTreeMap<u64, Vec<u8>>>) {
    let mut request = [0; 256];
    let Ok(count @ 1..) = stream.read(&mut request) else { return };
    let text = String::from_utf8_lossy(&request[..count]);
    let index: u64 = text["GET /".len()..][..10].parse().expect("the path is a number");
    let bytes = Dice(seed ^ index.wrapping_mul(0x2545_f491_4f6c_dd1d)).answer();
    let _ = stream.write_all(&bytes);
    assert!(sent.lock().unwrap().insert(index, bytes).is_none(), "request {index} came twice");
}

#[tokio::test]
async fn a_load_acknowledges_only_what_a_naive_reader_finds_complete() {
    let (seed, folder) = (seed(), tempfile::tempdir().unwrap());
    let mutator = Mutator::start(seed);
    let plan = LoadPlan { connections: 20, ..load::plan(500.0, Duration::from_secs(4)) };
    let driven = load::into_ledger(&plan, mutator.addr, folder.path()).await.unwrap();
    let sent = mutator.sent.lock().unwrap();
    let attempts: Vec<_> = driven.recorded.attempts().collect();
    assert_eq!(attempts.len(), 2000);
    let mut acked = 0;
    for attempt in attempts {
        let bytes = sent.get(&attempt.op);
        let complete = bytes.and_then(|bytes| naive(bytes, Bodies::Dropped)).filter(|(.., rest)| rest.is_empty());
        let is_success = complete.is_some_and(|(answer, ..)| (200..300).contains(&answer.status));
        let told = || format!("seed {seed}, {attempt:?}: {:?}", bytes.map(|bytes| bytes.escape_ascii().to_string()));
        match attempt.outcome {
            Outcome::Acked => assert!(is_success, "{}", told()),
            Outcome::Unknown => {}
            Outcome::Refused | Outcome::NotSent => panic!("{}", told()),
        }
        acked += u64::from(attempt.outcome == Outcome::Acked);
    }
    println!("{acked} of 2000 acknowledged");
    assert!((1..2000).contains(&acked));
}
