//! How a private database server is struck.
//!
//! # Why every process
//! PostgreSQL serves each connection by a process of its own. With the first one frozen, the others would go on writing;
//! with the first one killed, they end when they notice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::{DatabaseServer, Life};
use crate::backends::database_control::{Change, DatabaseControl};
use crate::backends::process::run_room::RunRoom;
use crate::backends::process::wait_for_exit;
use crate::backends::proxy::{Passed, Proxy};
use crate::backends::{ControlError, DatabaseSource, Exit, UpError};
use crate::journal::Entry;
use crate::process::ProcessIdentity;
use crate::stop::Stop;

/// One question of our own.
const PATIENCE: Duration = Duration::from_secs(5);

impl DatabaseServer {
    fn name(&self) -> String {
        self.berth.recipe.word.to_owned()
    }

    fn signal_one(&self, process: ProcessIdentity, signal: Signal) -> Result<(), ControlError> {
        self.berth.site.signal(self.berth.recipe.word, process, signal)
    }

    /// Those that come and go meanwhile are no concern: one that is gone is what the signal was for.
    fn signal_family(&self, family: &[ProcessIdentity], signal: Signal) -> Result<(), ControlError> {
        for process in family {
            match self.signal_one(*process, signal) {
                Err(ControlError::Gone { .. }) => {}
                sent => sent?,
            }
        }
        Ok(())
    }

    /// From here on their end is awaited as well.
    fn remember_family(&self) -> Vec<ProcessIdentity> {
        let family = self.family();
        self.life.lock().expect("no code panics while it holds this").family.clone_from(&family);
        family
    }

    fn room(&self) -> Result<&RunRoom, ControlError> {
        self.berth.room.as_ref().ok_or(ControlError::NoRoom)
    }

    async fn fill_the_room(&self) -> Result<(), ControlError> {
        let room = self.room()?;
        let grounds = self.berth.grounds();
        self.asked("make room for its log", (self.berth.recipe.make_room_for_the_log)(&grounds)).await?;
        room.fill().await
    }

    async fn asked<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, ControlError> {
        let refused = |why: String| ControlError::TellDatabase { what: what.to_owned(), why };
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        let answered = answered.map_err(|_| refused(format!("no answer within {PATIENCE:?}")))?;
        answered.map_err(|e| refused(e.to_string()))
    }
}

#[async_trait]
impl DatabaseControl for DatabaseServer {
    fn source(&self) -> DatabaseSource {
        DatabaseServer::source(self)
    }

    fn proxied(&self) -> Option<DatabaseSource> {
        self.proxy.as_ref().map(|_| self.source_for_instances())
    }

    fn passed(&self) -> Passed {
        self.proxy.as_ref().map(Proxy::passed).unwrap_or_default()
    }

    fn room(&self) -> Option<PathBuf> {
        self.berth.room.as_ref().map(|room| room.at().to_owned())
    }

    fn processes(&self) -> Vec<ProcessIdentity> {
        std::iter::once(self.life().identity).chain(self.family()).collect()
    }

    /// The first one first: whoever is frozen or dead starts no others.
    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        let family = self.remember_family();
        self.signal_one(self.life().identity, signal)?;
        self.signal_family(&family, signal)
    }

    fn end_in_order(&self) -> Result<(), ControlError> {
        self.remember_family();
        self.signal_one(self.life().identity, self.berth.recipe.end)
    }

    /// One that came from the first one just before that was frozen is told now.
    async fn frozen(&self, within: Duration) -> Result<(), ControlError> {
        let deadline = Instant::now() + within;
        let mut told = self.life().family;
        loop {
            let moving: Vec<_> = self.processes().into_iter().filter(|process| !process.is_frozen()).collect();
            if moving.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(ControlError::TimedOut { what: format!("freeze {}", self.name()), within });
            }
            let first = self.life().identity;
            let late: Vec<_> = moving.into_iter().filter(|one| *one != first && !told.contains(one)).collect();
            self.signal_family(&late, Signal::SIGSTOP)?;
            told.extend(late);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError> {
        let Life { exit, family, .. } = self.life();
        let deadline = Instant::now() + within;
        let exit = wait_for_exit(exit, within).await;
        for process in family {
            if !process.ends(deadline.saturating_duration_since(Instant::now())).await {
                return Ok(None);
            }
        }
        Ok(exit)
    }

    async fn start(&self) -> Result<(), ControlError> {
        let number = self.life().number + 1;
        let started = |e: UpError| ControlError::Start(e.to_string());
        // Whether the run is interrupted or not: what was ended has to come back.
        let life = self.berth.serving_life(number, &Stop::new()).await.map_err(started)?;
        *self.life.lock().expect("no code panics while it holds this") = life;
        Ok(())
    }

    async fn connections(&self) -> Result<BTreeSet<String>, ControlError> {
        let url = (self.berth.recipe.url)(self.berth.port);
        self.asked("who is connected", (self.berth.recipe.connections)(&url)).await
    }

    async fn change(&self, change: &Change) -> Result<(), ControlError> {
        if let Change::Filler = change {
            return self.fill_the_room().await;
        }
        let (name, process) = (self.name(), self.life().identity);
        let entry = Entry::Changing { name, process, change: change.to_string(), revert: change.undone_by() };
        self.berth.journal(&entry)?;
        match change {
            Change::Disconnect => {
                let url = (self.berth.recipe.url)(self.berth.port);
                self.asked("end connections", (self.berth.recipe.disconnect)(&url)).await
            }
            Change::Toxic { name, direction, toxic } => {
                let proxy = self.proxy.as_ref().ok_or(ControlError::NoProxy)?;
                proxy.put(name, *direction, toxic.clone());
                Ok(())
            }
            Change::WriteLock | Change::Filler => Err(ControlError::NoFile),
        }
    }

    async fn change_back(&self, change: &Change) -> Result<(), ControlError> {
        if let Change::Filler = change {
            return self.room()?.empty();
        }
        if let Change::Toxic { name, .. } = change {
            self.proxy.iter().for_each(|proxy| proxy.take(name));
        }
        let (name, process) = (self.name(), self.life().identity);
        Ok(self.berth.journal(&Entry::ChangedBack { name, process, change: change.to_string() })?)
    }
}
