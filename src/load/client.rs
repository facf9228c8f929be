//! One HTTP/1.1 connection: one request outstanding at a time, one buffer for what is sent and one reader for what comes.
//!
//! In: an address and operations. Out: complete answers, or [`Broken`]: the connection is of no more use.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::dialogue::{Dialogue, Requests};
use super::lanes::Operation;
use super::response::{Answer, BadAnswer, Reader};

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    requests: Box<dyn Requests>,
    reader: Reader,
}

/// Why a connection gave no answer after a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It ended in good order before the first byte of an answer.
    Eof,
    Reset,
    BadAnswer(BadAnswer),
    /// HTTP/2: the peer takes no more requests on it, and has not processed this one.
    GoingAway,
    /// HTTP/2: the peer has not processed this request; the connection goes on.
    RefusedStream,
    /// HTTP/2: the peer ended this request alone.
    StreamReset,
}

impl Connection {
    pub async fn open(addr: SocketAddr, dialogue: &dyn Dialogue) -> io::Result<Connection> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, requests: dialogue.requests(addr), reader: Reader::new(dialogue.bodies()) })
    }

    /// Whether a request may be written: the peer has neither closed the connection nor said anything unasked, as far as
    /// the runtime has heard. It hears of everything each time that it waits; to ask the kernel before each request costs
    /// a call, and would tell of microseconds more.
    pub fn usable(&self) -> bool {
        let peek = || recv(self.stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK).map_err(io::Error::from);
        self.stream.try_io(Interest::READABLE, peek).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until an idle connection is of no more use.
    pub async fn ended(&self) {
        // Bytes, the end and an error are all the same here: nothing may come unasked.
        let _ = self.stream.peek(&mut [0]).await;
    }

    /// Renders the next request.
    pub fn prepare(&mut self, op: &Operation) {
        self.requests.render(op);
        self.reader.begin();
    }

    /// Sends the prepared request and reads its answer; the body is good until the next exchange.
    pub async fn exchange(&mut self) -> Result<(Answer, &[u8]), Broken> {
        self.stream.write_all(self.requests.rendered()).await.map_err(|_| Broken::Reset)?;
        loop {
            let count = self.stream.read_buf(self.reader.room()).await.map_err(|_| Broken::Reset)?;
            if count == 0 {
                return Err(if self.reader.is_untouched() {
                    Broken::Eof
                } else {
                    Broken::BadAnswer(BadAnswer::CutOff)
                });
            }
            if let Some(answer) = self.reader.advance().map_err(Broken::BadAnswer)? {
                return Ok((answer, self.reader.body()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::dialogue::ServiceDialogue;
    use crate::load::fake_target::{FakeTarget, Reply, acknowledge};
    use crate::load::lanes::Lane;

    const OP: Operation = Operation { index: 0, lane: Lane::WriteOnce, key: 1 << 32, seq: 1 };

    async fn connect(target: &FakeTarget) -> Connection {
        let addr = target.endpoint.addr;
        Connection::open(addr, &ServiceDialogue { api_version: "v5".to_owned() }).await.unwrap()
    }

    async fn exchange_with(reply: Reply) -> Result<(u16, String), Broken> {
        let target = FakeTarget::start(1, move |_| reply.clone()).await;
        let mut connection = connect(&target).await;
        connection.prepare(&OP);
        let (answer, body) = connection.exchange().await?;
        Ok((answer.status, String::from_utf8_lossy(body).into_owned()))
    }

    const CHUNKED: &str =
        "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n3\r\na\":\r\n2\r\n1}\r\n0\r\n\r\n";

    #[tokio::test]
    async fn an_answer_in_two_reads_is_one_answer_wherever_it_is_split() {
        for split in 1..CHUNKED.len() {
            let (before, after) = CHUNKED.split_at(split);
            let reply = Reply::InTwo(before.into(), after.into());
            assert_eq!(exchange_with(reply).await, Ok((202, r#"{"a":1}"#.to_owned())), "split at {split}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_is_no_answer() {
        for end in 1..CHUNKED.len() {
            let reply = Reply::SendAndClose(CHUNKED[..end].into());
            assert_eq!(exchange_with(reply).await, Err(Broken::BadAnswer(BadAnswer::CutOff)), "cut at {end}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_without_an_answer_is_broken() {
        assert_eq!(exchange_with(Reply::Close).await, Err(Broken::Eof));
        assert_eq!(exchange_with(Reply::Reset).await, Err(Broken::Reset));
    }

    #[tokio::test]
    async fn a_body_longer_than_declared_is_no_answer() {
        let reply = Reply::Send("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}{}".into());
        assert_eq!(exchange_with(reply).await, Err(Broken::BadAnswer(BadAnswer::Leftover)));
    }

    #[tokio::test]
    async fn a_connection_carries_one_request_after_another() {
        let target = FakeTarget::start(1, acknowledge).await;
        let mut connection = connect(&target).await;
        for seq in 1..=3 {
            assert!(connection.usable());
            connection.prepare(&Operation { seq, ..OP });
            let (answer, body) = connection.exchange().await.unwrap();
            assert_eq!((answer.status, answer.keep_alive), (202, true));
            assert!(String::from_utf8_lossy(body).contains(&format!("\"seq\":{seq}")));
        }
        assert_eq!(target.connections(), 1);
    }

    #[tokio::test]
    async fn an_answer_before_its_request_makes_a_connection_unusable() {
        let target = FakeTarget::start(1, acknowledge).await.greeting(b"HTTP/1.1 202 Accepted\r\n\r\n");
        let connection = connect(&target).await;
        connection.ended().await;
        assert!(!connection.usable());
    }

    #[tokio::test]
    async fn a_connection_that_its_peer_closed_is_unusable() {
        let target =
            FakeTarget::start(1, |seen| Reply::Then(Box::new(acknowledge(seen)), Box::new(Reply::Close))).await;
        let mut connection = connect(&target).await;
        connection.prepare(&OP);
        connection.exchange().await.unwrap();
        connection.ended().await;
        assert!(!connection.usable());
    }
}
