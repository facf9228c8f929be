//! Complete answers of every kind that a server may give, for tests that cut them, and change them.

pub struct Sample {
    pub bytes: &'static str,
    pub status: u16,
    pub keep_alive: bool,
    pub body: &'static str,
}

const fn sample(bytes: &'static str, status: u16, keep_alive: bool, body: &'static str) -> Sample {
    Sample { bytes, status, keep_alive, body }
}

/// No beginning of one is complete.
pub const CORPUS: [Sample; 14] = [
    sample("HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello", 202, true, "hello"),
    sample("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y\r\n\r\n", 200, true, ""),
    sample("HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, true, "ok"),
    sample("HTTP/1.1 200 OK\r\nconnection: keep-alive, CLOSE\r\ncontent-length:3\r\n\r\n\r\n\n", 200, false, "\r\n\n"),
    sample("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok", 200, true, "ok"),
    sample("HTTP/1.0 404 Not Found\nContent-Length: 4\n\ngone", 404, false, "gone"),
    sample(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
        200,
        true,
        "hello",
    ),
    sample("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n", 200, true, ""),
    sample(
        "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n\
         00B \t; a=\"b\"\r\n0\r\n\r\n1\r\nabc\r\n0;x\r\nA: b\r\nC: d\r\n\r\n",
        202,
        true,
        "0\r\n\r\n1\r\nabc",
    ),
    sample(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
         HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\n!",
        500,
        true,
        "!",
    ),
    sample("HTTP/1.1 204 No Content\r\n\r\n", 204, true, ""),
    sample("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, true, ""),
    sample(
        "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        200,
        true,
        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    ),
    sample("\r\nHTTP/1.1 200 OK\r\nServer: a b c\r\nContent-Length: 010\r\n\r\n0123456789", 200, true, "0123456789"),
];
