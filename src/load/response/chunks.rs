//! What stands between the chunks of a body, and after the last one.

use httparse::Status;

use super::head::{HEADERS_MAX, unread};
use super::{BadAnswer, HEAD_BYTES_MAX, within};

/// A size and its extensions, which nobody reads.
const LINE_BYTES_MAX: usize = 4096;

/// The size of the chunk whose line begins here, and how long that line is; `None` while it is not complete.
pub(super) fn size(bytes: &[u8]) -> Result<Option<(usize, u64)>, BadAnswer> {
    // Without a digit httparse reads 0: the end of a body that may not have ended.
    if bytes.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) {
        return Err(BadAnswer::BadChunk);
    }
    within(bytes, LINE_BYTES_MAX, |line| match httparse::parse_chunk_size(line) {
        Ok(Status::Complete(found)) => Ok(Some(found)),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(BadAnswer::BadChunk),
    })
}

/// The line end after a chunk.
pub(super) fn end(bytes: &[u8]) -> Result<Option<usize>, BadAnswer> {
    match bytes {
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [] | [b'\r'] => Ok(None),
        _ => Err(BadAnswer::BadChunk),
    }
}

/// How long the trailers are; nobody reads them.
pub(super) fn trailers(bytes: &[u8]) -> Result<Option<usize>, BadAnswer> {
    within(bytes, HEAD_BYTES_MAX, |lines| {
        let mut trailers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        match httparse::parse_headers(lines, &mut trailers) {
            Ok(Status::Complete((length, _))) => Ok(Some(length)),
            Ok(Status::Partial) => Ok(None),
            Err(error) => Err(unread(error, BadAnswer::BadChunk)),
        }
    })
}
