//! Writes of the run's own: what a client of Redis meets at this moment.
//!
//! # Why a connection for each, and no driver
//! A driver waits, retries and hides. Here every write says which of the few things became of it, and how long that took.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{EVERY, ProofOf, Scene, proof};
use crate::timeline::Proof;

/// Where the writes go: beside every key of the buffer.
const KEY: &str = "mxctl:eye";
/// A write that has no answer by then has none.
const PATIENCE: Duration = Duration::from_millis(500);
/// A script, as every offer is one.
const SCRIPT: &str = "return redis.call('SET', KEYS[1], ARGV[1])";

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Stored,
    /// Nobody listens.
    ConnectionRefused,
    NoAnswer,
    /// The connection was reset, or ended, before an answer.
    Broken,
    /// The first word of an error that Redis answered: `READONLY`.
    Error(String),
}

impl Seen {
    pub fn is_error(&self, code: &str) -> bool {
        matches!(self, Seen::Error(told) if told == code)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Seen::Stored => "stored",
            Seen::ConnectionRefused => "refused a connection",
            Seen::NoAnswer => "left without an answer",
            Seen::Broken => "cut off",
            Seen::Error(code) => code,
        })
    }
}

/// Looks along one path.
pub(super) struct Eye {
    path: SocketAddr,
    /// Of the last write.
    number: u64,
}

impl Eye {
    pub fn new(path: SocketAddr) -> Eye {
        Eye::after(path, 0)
    }

    /// Its writes are numbered from the next number on.
    pub fn after(path: SocketAddr, number: u64) -> Eye {
        Eye { path, number }
    }

    /// One write, and how long it took.
    pub async fn write(&mut self) -> (Seen, Duration) {
        self.number += 1;
        let (asked, number) = (Instant::now(), self.number.to_string());
        let answer = timeout(PATIENCE, ask(self.path, &["EVAL", SCRIPT, "1", KEY, &number])).await;
        let seen = match answer {
            Err(_) => Seen::NoAnswer,
            Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Seen::ConnectionRefused,
            Ok(Err(_)) => Seen::Broken,
            Ok(Ok(answer)) => of_answer(&answer),
        };
        (seen, asked.elapsed())
    }

    /// Waits for a write that is stored: it is well, before the act or after it.
    pub async fn sees_a_stored_write(&mut self, scene: &Scene<'_>, of: ProofOf, within: Duration) -> Proof {
        let (began, mut tries) = (scene.clock.now(), 0);
        loop {
            let (seen, took) = self.write().await;
            tries += 1;
            if seen == Seen::Stored {
                let told = format!("in {took:.1?}, {:.1?} on", scene.clock.now().since(began));
                return proof(of, "an own write is stored", told, true);
            }
            if scene.clock.now().since(began) >= within {
                return proof(of, "an own write is stored", format!("none of {tries}: {seen}"), false);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// The last write that this server has applied.
    pub async fn applied(addr: SocketAddr) -> Option<u64> {
        let answer = timeout(PATIENCE, ask(addr, &["GET", KEY])).await.ok()?.ok()?;
        answer.lines().nth(1)?.parse().ok()
    }

    /// Takes its key away again.
    pub async fn close(&mut self, addr: SocketAddr) {
        // One that stays is no part of the buffer, and ends with the server.
        let _ = timeout(PATIENCE, ask(addr, &["DEL", KEY])).await;
    }
}

/// What a write on an open connection meets.
pub(super) async fn write_on(stream: &mut TcpStream) -> String {
    match timeout(PATIENCE, ask_on(stream, &["EVAL", SCRIPT, "1", KEY, "0"])).await {
        Err(_) => Seen::NoAnswer,
        Ok(Err(_)) => Seen::Broken,
        Ok(Ok(answer)) => of_answer(&answer),
    }
    .to_string()
}

fn of_answer(answer: &str) -> Seen {
    match answer.strip_prefix('-') {
        Some(error) => Seen::Error(error.split_whitespace().next().unwrap_or_default().to_owned()),
        None if answer.is_empty() => Seen::Broken,
        None => Seen::Stored,
    }
}

/// One command on a connection of its own: the first line of its answer, or for a bulk string also the second.
pub(super) async fn ask(addr: SocketAddr, words: &[&str]) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    ask_on(&mut stream, words).await
}

/// The same on an open connection.
pub(super) async fn ask_on(stream: &mut TcpStream, words: &[&str]) -> io::Result<String> {
    stream.write_all(command(words).as_bytes()).await?;
    let mut reader = BufReader::new(stream);
    let mut answer = String::new();
    reader.read_line(&mut answer).await?;
    if answer.starts_with('$') && answer.trim_end() != "$-1" {
        reader.read_line(&mut answer).await?;
    }
    Ok(answer.trim_end().to_owned())
}

/// In the protocol of Redis: an array of bulk strings.
fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_a_write_is_stored() {
        assert_eq!(of_answer("+OK"), Seen::Stored);
        assert_eq!(of_answer("-READONLY You can't write against a read only replica."), Seen::Error("READONLY".into()));
        assert_eq!(of_answer(""), Seen::Broken);
        assert!(of_answer("-OOM command not allowed").is_error("OOM"));
    }

    #[test]
    fn a_command_counts_its_words_and_their_bytes() {
        assert_eq!(command(&["GET", "é"]), "*2\r\n$3\r\nGET\r\n$2\r\né\r\n");
    }

    #[tokio::test]
    async fn where_nobody_listens_a_connection_is_refused_and_where_nobody_answers_there_is_no_answer() {
        let bound = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = bound.local_addr().unwrap();
        assert_eq!(Eye::new(addr).write().await.0, Seen::NoAnswer);
        drop(bound);
        assert_eq!(Eye::new(addr).write().await.0, Seen::ConnectionRefused);
    }
}
