//! What a keeper and those who talk to it say to each other: one JSON line a message, over a Unix socket.
//!
//! A connection begins with one [`Request`]. All but one are answered by one [`Reply`], and that was it. The
//! connection of an [`Request::Attach`] stays: it is the session, [`News`] come over it, and its end is the end of the
//! session. What the session does goes over connections of its own, so that a long wait holds up nothing else.

use std::io::{self, BufRead, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::backends::{Instance, InstanceId, Sources};
use crate::plan::{PausePoint, Slot};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Who is there?
    Look,
    /// Begin a session.
    Attach(Visitor),
    /// Do something, for a session.
    Act { session: u64, act: Act },
    /// Take the lab down; under an attached run only if forced.
    Down { force: bool },
    /// In a session: end it.
    Detach,
}

/// [`ProcessControl`](crate::backends::ProcessControl), as far as only the parent of the processes can do it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    Start { slot: Slot },
    Signal { id: InstanceId, number: i32 },
    Hold { id: InstanceId, point: PausePoint },
    Held { id: InstanceId, point: PausePoint, within: Duration },
    Release { id: InstanceId, point: PausePoint },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Seen(Sight),
    /// The session's number, who is alive, and what was done to make the lab whole.
    Attached {
        session: u64,
        instances: Vec<Instance>,
        #[serde(with = "revealed")]
        sources: Sources,
        restored: Vec<String>,
    },
    Started(Instance),
    Done,
    Held(Option<u64>),
    Gone(Gone),
    /// Not now; nothing was done.
    Refused {
        why: String,
        remedy: String,
    },
    /// It was tried. Reads after "failed to".
    Failed {
        why: String,
    },
}

/// What a session is told without asking.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    Born(Instance),
    Ended {
        id: InstanceId,
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// The session is over, and the lab is whole again: what that took.
    Detached {
        restored: Vec<String>,
    },
}

/// Who is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    pub pid: i32,
    /// The folder of its run.
    pub run: String,
}

/// A lab as its keeper sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sight {
    /// Who is alive.
    pub instances: Vec<Instance>,
    #[serde(with = "revealed")]
    pub sources: Sources,
    pub attached: Option<Visitor>,
}

/// Sources with the password of their database: who may talk over the socket may read what the keeper may.
mod revealed {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::backends::{DatabaseSource, Sources};

    #[derive(Serialize, Deserialize)]
    struct Revealed {
        sources: Sources,
        url: Option<String>,
    }

    pub fn serialize<S: Serializer>(sources: &Sources, serializer: S) -> Result<S::Ok, S::Error> {
        let url = match &sources.database {
            DatabaseSource::File(_) => None,
            DatabaseSource::Server { url, .. } => Some(url.revealed().to_owned()),
        };
        Revealed { sources: sources.clone(), url }.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sources, D::Error> {
        let Revealed { mut sources, url } = Revealed::deserialize(deserializer)?;
        if let (DatabaseSource::Server { url: masked, .. }, Some(text)) = (&mut sources.database, url) {
            *masked = crate::plan::DatabaseUrl::of_own(text);
        }
        Ok(sources)
    }
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    pub name: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// How a lab ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub ended: Vec<Ending>,
    /// What would not go.
    pub left: Vec<String>,
}

/// One end of a connection.
pub struct Line {
    pub read: Reading,
    pub write: OwnedWriteHalf,
}

pub struct Reading(Lines<BufReader<OwnedReadHalf>>);

impl Line {
    pub fn new(stream: UnixStream) -> Line {
        let (read, write) = stream.into_split();
        Line { read: Reading(BufReader::new(read).lines()), write }
    }

    /// A connection that was made in the ordinary way.
    pub fn of_std(stream: StdUnixStream) -> io::Result<Line> {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream).map(Line::new)
    }

    /// Says one thing, and hears the answer.
    pub async fn ask<T: DeserializeOwned>(mut self, request: &Request) -> io::Result<T> {
        say(&mut self.write, request).await?;
        self.read.hear().await
    }
}

impl Reading {
    /// The next message. May be dropped while it waits: nothing is lost.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let line = self.0.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

pub async fn say<T: Serialize>(write: &mut OwnedWriteHalf, message: &T) -> io::Result<()> {
    write.write_all(&line_of(message)).await
}

/// Says one thing and hears the answer, on a thread that waits: for what is answered at once.
pub fn ask_now(mut stream: StdUnixStream, request: &Request, within: Duration) -> io::Result<Reply> {
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    stream.write_all(&line_of(request))?;
    let mut line = String::new();
    std::io::BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_str(&line).map_err(io::Error::other)
}

fn line_of<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("a message is plain data");
    line.push(b'\n');
    line
}
