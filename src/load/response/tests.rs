//! Answers that are whole, cut, malformed and endless, in as many pieces as they may come in.

use super::corpus::CORPUS;
use super::*;
use proptest::prelude::*;

type Read = Result<Option<(Answer, Vec<u8>)>, BadAnswer>;

/// What comes of bytes that arrive in these pieces: the first error or, at the end, the answer.
fn read_with<'a>(reader: &mut Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    reader.begin();
    let mut read = Ok(None);
    for piece in pieces {
        reader.room().extend_from_slice(piece);
        read = Ok(reader.advance()?);
    }
    read.map(|answer| answer.map(|answer| (answer, reader.body().to_vec())))
}

fn read_by(bodies: Bodies, bytes: impl AsRef<[u8]>) -> Read {
    read_with(&mut Reader::new(bodies), [bytes.as_ref()])
}

fn read(bytes: impl AsRef<[u8]>) -> Read {
    read_by(Bodies::Kept, bytes)
}

fn complete(status: u16, keep_alive: bool, body: &str) -> Read {
    Ok(Some((Answer { status, keep_alive }, body.into())))
}

fn chunked(chunks: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

#[test]
fn complete_answers_are_read_wherever_they_are_split_in_two_and_in_three() {
    let mut reader = Reader::new(Bodies::Kept);
    for sample in &CORPUS {
        let (bytes, expected) = (sample.bytes.as_bytes(), complete(sample.status, sample.keep_alive, sample.body));
        assert_eq!(read_with(&mut reader, [bytes]), expected, "{:?}", sample.bytes);
        for one in 1..bytes.len() {
            for other in one..bytes.len() {
                let pieces = [&bytes[..one], &bytes[one..other], &bytes[other..]];
                let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
                assert_eq!(read_with(&mut reader, pieces), expected, "{:?} at {one} and {other}", sample.bytes);
            }
        }
    }
}

#[test]
fn complete_answers_are_read_byte_by_byte() {
    for sample in &CORPUS {
        let dripping = read_with(&mut Reader::new(Bodies::Kept), sample.bytes.as_bytes().chunks(1));
        assert_eq!(dripping, complete(sample.status, sample.keep_alive, sample.body));
    }
}

#[test]
fn bodies_that_are_not_kept_are_read_to_their_end_all_the_same() {
    let mut reader = Reader::new(Bodies::Dropped);
    for sample in &CORPUS {
        let bytes = sample.bytes.as_bytes();
        for split in 1..bytes.len() {
            let (one, other) = bytes.split_at(split);
            assert_eq!(read_with(&mut reader, [one]), Ok(None), "{:?} at {split}", sample.bytes);
            let expected = complete(sample.status, sample.keep_alive, "");
            assert_eq!(read_with(&mut reader, [one, other]), expected, "{:?} at {split}", sample.bytes);
        }
    }
}

#[test]
fn no_beginning_of_an_answer_is_complete() {
    for sample in &CORPUS {
        for end in 0..sample.bytes.len() {
            assert_eq!(read(&sample.bytes[..end]), Ok(None), "{:?}", &sample.bytes[..end]);
        }
    }
}

#[test]
fn nothing_may_follow_an_answer() {
    for bodies in [Bodies::Kept, Bodies::Dropped] {
        for bytes in CORPUS.iter().map(|sample| sample.bytes) {
            assert_eq!(read_by(bodies, format!("{bytes}x")), Err(BadAnswer::Leftover), "{bytes:?}");
            assert_eq!(read_by(bodies, format!("{bytes}{bytes}")), Err(BadAnswer::Leftover), "{bytes:?}");
        }
    }
}

#[test]
fn an_answer_to_a_head_ends_with_its_head() {
    for headers in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: many\r\n"] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        assert_eq!(read_by(Bodies::None, &head), complete(200, true, ""), "{head:?}");
        assert_eq!(read_by(Bodies::None, head + "hello"), Err(BadAnswer::Leftover));
    }
}

#[test]
fn an_answer_whose_end_cannot_be_known_is_refused() {
    for headers in [
        "",
        "Connection: close\r\n",
        "Content-Length: 5x\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \r\nContent-Length: 5\r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\nhello");
        assert_eq!(read(&answer), Err(BadAnswer::NoLength), "{answer:?}");
    }
    // Chunks came with HTTP/1.1: one hop on the way did not know them.
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(read(old), Err(BadAnswer::NoLength));
}

#[test]
fn malformed_chunks_are_refused() {
    for chunks in [
        "zz\r\nhello\r\n",
        "5\r\nhelloworld\r\n",
        "5\nhello\r\n",
        "5 5\r\nhello\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nno colon\r\n\r\n",
        // The size is missing. Whoever reads that as 0 takes a body for complete that is cut off.
        "\r\n\r\n",
        ";x\r\n\r\n",
        " \r\n\r\n",
        "5\r\nhello\r\n\r\n\r\n",
    ] {
        assert_eq!(read(chunked(chunks)), Err(BadAnswer::BadChunk), "{chunks:?}");
    }
}

#[test]
fn what_is_no_http_is_refused() {
    for bytes in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        "\0\0\0",
        "HTTP/1.1 101 Switching\r\n\r\n",
    ] {
        assert_eq!(read(bytes), Err(BadAnswer::NoHttp), "{bytes:?}");
    }
}

#[test]
fn what_grows_without_an_end_is_refused() {
    let head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_BYTES_MAX / 20);
    let extension = chunked(&format!("1;{}\r\nx\r\n", "e".repeat(5000)));
    let trailers = chunked(&format!("0\r\nX: {}", "x".repeat(HEAD_BYTES_MAX)));
    for endless in [head, interim, extension, trailers] {
        for piece in [1000, endless.len()] {
            let pieces = endless.as_bytes().chunks(piece);
            assert_eq!(read_with(&mut Reader::new(Bodies::Dropped), pieces), Err(BadAnswer::TooLong));
        }
    }
}

#[test]
fn many_short_headers_are_read_and_too_many_are_too_long_wherever_they_are_split() {
    let head = |count| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nhi", "x: y\r\n".repeat(count - 1));
    let trailers = |count| chunked(&format!("2\r\nhi\r\n0\r\n{}\r\n", "x: y\r\n".repeat(count)));
    let mut reader = Reader::new(Bodies::Kept);
    for answer in [head, trailers] as [fn(usize) -> String; 2] {
        for (count, expected) in [(128, complete(200, true, "hi")), (129, Err(BadAnswer::TooLong))] {
            let bytes = answer(count);
            assert_eq!(read(&bytes), expected, "{count}");
            for split in 1..bytes.len() {
                let (one, other) = bytes.as_bytes().split_at(split);
                assert_eq!(read_with(&mut reader, [one, other]), expected, "{count} at {split}");
            }
        }
    }
}

#[test]
fn bodies_have_a_limit_that_depends_on_what_becomes_of_them() {
    let announced = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    for (bodies, bytes_max) in [(Bodies::Kept, KEPT_BYTES_MAX), (Bodies::Dropped, DROPPED_BYTES_MAX)] {
        assert_eq!(read_by(bodies, announced(bytes_max)), Ok(None));
        assert_eq!(read_by(bodies, announced(bytes_max + 1)), Err(BadAnswer::TooLong));
        assert_eq!(read_by(bodies, chunked(&format!("{bytes_max:x}\r\n"))), Ok(None));
        assert_eq!(read_by(bodies, chunked(&format!("1\r\nx\r\n{bytes_max:x}\r\n"))), Err(BadAnswer::TooLong));
        assert_eq!(read_by(bodies, chunked("1\r\nx\r\nffffffffffffffff\r\n")), Err(BadAnswer::TooLong));
    }
}

#[test]
fn a_long_body_is_read_to_its_end_in_a_buffer_that_stays_small() {
    let body: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let bytes = [head.as_bytes(), &body].concat();
    for (bodies, kept) in [(Bodies::Kept, &body[..]), (Bodies::Dropped, b"")] {
        let mut reader = Reader::new(bodies);
        let (mut left, mut answer) = (&bytes[..], None);
        while !left.is_empty() {
            // As a socket does: what fits.
            let room = reader.room();
            let (piece, rest) = left.split_at(left.len().min(room.capacity() - room.len()));
            room.extend_from_slice(piece);
            (left, answer) = (rest, reader.advance().unwrap());
        }
        assert_eq!((answer.map(|answer| answer.status), reader.body()), (Some(200), kept));
        assert!(reader.inbox.capacity() <= 3 * READ_BYTES_MAX, "{}", reader.inbox.capacity());
    }
}

#[test]
fn a_reader_is_untouched_until_its_first_byte() {
    let mut reader = Reader::new(Bodies::Kept);
    for interim in ["H", "HTTP/1.1 100 Continue\r\n\r\n", "\r"] {
        reader.begin();
        assert!(reader.is_untouched());
        reader.room().extend_from_slice(interim.as_bytes());
        assert_eq!(reader.advance(), Ok(None));
        assert!(!reader.is_untouched(), "{interim:?}");
        reader.room();
        assert!(!reader.is_untouched(), "{interim:?}");
    }
}

/// Pieces of a corpus, and what is none of it.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let cut =
        (0..CORPUS.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(n, from, to)| {
            let bytes = CORPUS[n].bytes.as_bytes();
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            bytes[from.min(to)..from.max(to)].to_vec()
        });
    let whole = (0..CORPUS.len()).prop_map(|n| CORPUS[n].bytes.as_bytes().to_vec());
    let any = prop::collection::vec(any::<u8>(), 0..8);
    prop::collection::vec(prop_oneof![whole, cut, any], 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_comes_of_bytes_does_not_depend_on_how_they_are_cut(
        bytes in some_bytes(), sizes in prop::collection::vec(1..40_usize, 1..40),
    ) {
        for bodies in [Bodies::Kept, Bodies::Dropped, Bodies::None] {
            let mut left = &bytes[..];
            let pieces: Vec<&[u8]> = sizes.iter().cycle().map_while(|size| {
                let (piece, rest) = left.split_at(left.len().min(*size));
                left = rest;
                (!piece.is_empty()).then_some(piece)
            }).collect();
            prop_assert_eq!(read_with(&mut Reader::new(bodies), pieces), read_by(bodies, &bytes));
        }
    }

    #[test]
    fn a_reader_forgets_the_answer_before(before in some_bytes(), n in 0..CORPUS.len()) {
        let mut reader = Reader::new(Bodies::Kept);
        let _ = read_with(&mut reader, [&before[..]]);
        let sample = &CORPUS[n];
        let expected = complete(sample.status, sample.keep_alive, sample.body);
        prop_assert_eq!(read_with(&mut reader, [sample.bytes.as_bytes()]), expected);
    }
}
