//! A process that was started and has not shown yet that it serves.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::control::Control;
use crate::backends::{Exit, Instance, InstanceId, ProcessIdentity, UpError};
use crate::plan::Slot;

pub(super) struct Newborn {
    pub id: InstanceId,
    pub name: String,
    pub slot: Slot,
    pub process: ProcessIdentity,
    pub control: Arc<Control>,
    pub exit: watch::Receiver<Option<Exit>>,
    pub over: CancellationToken,
    pub log: PathBuf,
}

impl Newborn {
    /// The instance that it is, now that it listens.
    pub fn at(&self, addr: SocketAddr) -> Instance {
        let Newborn { id, name, slot, process, .. } = self;
        Instance { id: *id, name: name.clone(), slot: slot.clone(), process: Some(*process), addr }
    }

    /// Waits for a sign of life, or for the end of the process: its last words explain more than a time-out.
    pub async fn unless_it_ends<T>(&self, sign: impl Future<Output = io::Result<T>>) -> Result<T, UpError> {
        let why = tokio::select! {
            sign = sign => match sign {
                Ok(sign) => return Ok(sign),
                Err(e) => with_last_words(&e.to_string(), &self.log),
            },
            end = ended(self.exit.clone()) => with_last_words(&end, &self.log),
        };
        Err(UpError::Start { name: self.name.clone(), why, log: self.log.clone() })
    }
}

/// Resolves when the process has ended, with how.
async fn ended(mut exit: watch::Receiver<Option<Exit>>) -> String {
    let exit = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
    match exit {
        Some(Exit { signal: Some(signal), .. }) => format!("it was ended by signal {signal}"),
        Some(Exit { code: Some(code), .. }) => format!("it exited with code {code}"),
        _ => "it ended".to_owned(),
    }
}

/// The end of a log explains an early exit better than its code does.
fn with_last_words(why: &str, log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    match text.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(last) => format!("{why}: {}", last.trim()),
        None => why.to_owned(),
    }
}
