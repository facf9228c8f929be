//! How a lab that stays comes up: `mxctl testbed up` starts the keeper and waits until it is ready.
//!
//! ```text
//! up      door ─ furnish ─ spawn ──────────────────────────────────── keep ─▶ exit 0
//! keeper              setsid ─ locked ─ target up … ─ listening ─ ready ─┘
//! ```
//!
//! # Why over a socket that is the keeper's standard input
//! Its end tells each of them that the other is gone. A keeper that has not heard `keep` when it reads the end takes
//! everything down again, also where `up` was killed by a signal that nobody can catch.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::{Child, Command};

use super::wire::{Line, Reading, say};
use super::{Kept, LabError, LabFolder, Standing};
use crate::backends::process::DATABASE_URL;
use crate::plan::Backend;
use crate::stop::Stop;

/// From the end of its birth to the end of a keeper that was not wanted: its instances get no grace.
const ABORT_WITHIN: Duration = Duration::from_secs(20);

/// What the keeper says while it comes up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sign {
    /// The folder is its own.
    Locked,
    Ready,
    Failed {
        why: String,
    },
}

/// What `up` says when it has heard that all is ready.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Keep,
}

/// Brings a lab up, ready and kept, or leaves nothing running.
pub async fn up(folder: &LabFolder, kept: &Kept, executable: &Path, stop: &Stop) -> Result<(), LabError> {
    refuse_in_process(kept)?;
    let door = folder.door()?;
    refuse_unless_down(folder)?;
    folder.furnish(kept)?;
    let (mut keeper, mut line) = spawn(folder, kept, executable)
        .map_err(|e| LabError::Up { name: folder.name().to_owned(), why: format!("start its keeper: {e}") })?;
    let born = stop.interrupt.run_until_cancelled(await_ready(folder, &mut line, door)).await;
    match born.unwrap_or(Err(LabError::Interrupted)) {
        Ok(()) => Ok(()),
        Err(e) => {
            // It reads the end of its input, takes down what it has started, and ends.
            drop(line);
            abort(&mut keeper).await;
            Err(e)
        }
    }
}

/// The keeper runs the process backend, and nothing else.
fn refuse_in_process(kept: &Kept) -> Result<(), LabError> {
    match kept.target.backend {
        Backend::Process => Ok(()),
        Backend::InProcess => {
            let why = "its backend is in-process, whose instances end with the command that brings them up";
            Err(LabError::Up { name: kept.name.clone(), why: why.to_owned() })
        }
    }
}

fn refuse_unless_down(folder: &LabFolder) -> Result<(), LabError> {
    let name = folder.name();
    let why = match folder.standing()? {
        Standing::Down => return Ok(()),
        Standing::Up => format!("it is up already; attach to it, or `mxctl testbed down {name}`"),
        Standing::Between => "another command is just bringing it up or taking it down; try again".to_owned(),
        Standing::Dead => format!("its keeper was killed before it could clean up; `mxctl testbed down {name}` does"),
    };
    Err(LabError::Up { name: name.to_owned(), why })
}

/// Starts the keeper in a session of its own: no terminal's Ctrl-C or end reaches it.
fn spawn(folder: &LabFolder, kept: &Kept, executable: &Path) -> io::Result<(Child, Line)> {
    let (ours, theirs) = UnixStream::pair()?;
    let log = std::fs::File::create(folder.log())?;
    let mut command = Command::new(executable);
    command.args(["testbed", "keep", folder.name()]).arg(folder.root()).current_dir(folder.root());
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::from(log.try_clone()?)).stderr(log);
    if let Some(url) = &kept.target.existing {
        // The lab's description has it without its password.
        command.env(DATABASE_URL, url.revealed());
    }
    // SAFETY: between fork and exec only an async-signal-safe call.
    unsafe {
        command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?));
    }
    Ok((command.spawn()?, Line::of_std(ours)?))
}

/// The keeper has deadlines for each of its steps, and says when one is missed.
async fn await_ready(folder: &LabFolder, line: &mut Line, door: std::fs::File) -> Result<(), LabError> {
    let failed = |why: String| LabError::Up { name: folder.name().to_owned(), why };
    let mut door = Some(door);
    loop {
        match line.read.hear().await {
            Ok(Sign::Locked) => drop(door.take()),
            Ok(Sign::Ready) => return say(&mut line.write, &Word::Keep).await.map_err(|e| failed(e.to_string())),
            Ok(Sign::Failed { why }) => return Err(failed(why)),
            Err(_) => return Err(failed(format!("its keeper ended: {}", last_words(folder)))),
        }
    }
}

fn last_words(folder: &LabFolder) -> String {
    let text = std::fs::read_to_string(folder.log()).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    format!("{} (log: {})", last.unwrap_or("it said nothing").trim(), folder.log().display())
}

/// Waits for the end of a keeper that is not wanted; its children die with it, also when it has to be killed.
async fn abort(keeper: &mut Child) {
    if tokio::time::timeout(ABORT_WITHIN, keeper.wait()).await.is_err() {
        // One that ended in this moment is what we want.
        let _ = keeper.kill().await;
    }
}

/// The keeper's end.
pub(super) struct Birth {
    write: OwnedWriteHalf,
}

impl Birth {
    /// Our end, and the other one's words.
    pub fn inherited() -> io::Result<(Birth, Parent)> {
        let input = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // Not a socket: a person typed the command.
        input.peer_addr()?;
        let Line { read, write } = Line::of_std(input)?;
        Ok((Birth { write }, Parent { read }))
    }

    pub async fn locked(&mut self) {
        self.say(&Sign::Locked).await;
    }

    pub async fn ready(&mut self) {
        self.say(&Sign::Ready).await;
    }

    pub async fn failed(&mut self, why: String) {
        self.say(&Sign::Failed { why }).await;
    }

    async fn say(&mut self, sign: &Sign) {
        // Nobody there to hear it: `Parent::wants_it` says so.
        let _ = say(&mut self.write, sign).await;
    }
}

pub(super) struct Parent {
    read: Reading,
}

impl Parent {
    /// Whether it said `keep` before it went.
    pub async fn wants_it(mut self) -> bool {
        matches!(self.read.hear().await, Ok(Word::Keep))
    }
}
