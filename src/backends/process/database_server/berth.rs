//! Where a private database server lives, and all that it takes to start a process of it there: once, and again.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{ENDS_WITHIN, Life};
use crate::backends::process::child::Child;
use crate::backends::process::recipe::{Grounds, Recipe};
use crate::backends::process::run_room::RunRoom;
use crate::backends::process::unprivileged::{Unprivileged, give_away};
use crate::backends::process::{Site, wait_for_exit};
use crate::backends::{Exit, UpError};
use crate::journal::Entry;
use crate::plan::TargetPlan;
use crate::process::ProcessIdentity;
use crate::stop::Stop;

/// To make the data folder, which takes seconds on a slow disk.
const INITIALISED_WITHIN: Duration = Duration::from_secs(120);
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Of each instance of the service, as its own settings say.
const CONNECTIONS_OF_AN_INSTANCE: usize = 5;
/// Instances that the time line adds.
const SLOTS_BESIDE: usize = 32;
/// Of mxctl, and of a person who looks.
const CONNECTIONS_BESIDE: usize = 20;

pub(super) struct Berth {
    pub recipe: &'static Recipe,
    pub port: u16,
    pub site: Site,
    /// The small file system that the folder is in, where the plan fills that up.
    pub room: Option<RunRoom>,
    /// The server's own, as it will call it itself.
    folder: PathBuf,
    /// The target's.
    around: PathBuf,
    secret: String,
    user: Option<Unprivileged>,
    connections: usize,
    /// They end with their processes.
    reapers: Mutex<JoinSet<()>>,
}

/// A program that was started, and its end, when it comes.
type Started = (ProcessIdentity, watch::Receiver<Option<Exit>>);

impl Berth {
    /// Makes the folders.
    pub fn make(
        recipe: &'static Recipe,
        plan: &TargetPlan,
        site: &Site,
        room: Option<RunRoom>,
    ) -> Result<Berth, UpError> {
        let folder = room.as_ref().map_or(&*site.folder, RunRoom::at).join(recipe.word);
        let fault = |source| UpError::Files { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(fault)?;
        let around = std::fs::canonicalize(&site.folder).map_err(fault)?;
        let berth = Berth {
            recipe,
            port: 0,
            site: site.clone(),
            folder: std::fs::canonicalize(&folder).map_err(fault)?,
            around,
            room,
            secret: secret().map_err(|source| UpError::Files { path: "/dev/urandom".into(), source })?,
            user: Unprivileged::find(),
            connections: (plan.slots.len() + SLOTS_BESIDE) * CONNECTIONS_OF_AN_INSTANCE + CONNECTIONS_BESIDE,
            reapers: Mutex::default(),
        };
        if let Some(user) = &berth.user {
            give_away(&berth.folder, user).map_err(|why| berth.failed(1, why))?;
        }
        Ok(berth)
    }

    pub fn grounds(&self) -> Grounds<'_> {
        Grounds {
            folder: &self.folder,
            around: &self.around,
            secret: &self.secret,
            user: self.user.as_ref(),
            port: self.port,
            connections: self.connections,
            in_a_room: self.room.is_some(),
        }
    }

    pub async fn initialise(&self, stop: &Stop) -> Result<(), UpError> {
        let recipe = self.recipe;
        let command = (recipe.initialise)(&self.grounds()).map_err(|e| self.missing(&e))?;
        let name = format!("{}-initialise", recipe.word);
        let (identity, ended) = self.spawn(&name, &name, command)?;
        let waited = wait_for_exit(ended.clone(), INITIALISED_WITHIN);
        let why = match stop.interrupt.run_until_cancelled(waited).await {
            Some(Some(Exit { code: Some(0), .. })) => return Ok(()),
            Some(Some(_)) => format!("its data folder could not be made; see {name}.log beside"),
            Some(None) => format!("its data folder was not made within {INITIALISED_WITHIN:?}"),
            None => {
                end_now(identity, ended).await;
                return Err(UpError::Interrupted);
            }
        };
        end_now(identity, ended).await;
        Err(self.failed(1, why))
    }

    /// Starts a process of the server, and waits until it serves its data; otherwise nothing of it is left.
    pub async fn serving_life(&self, number: usize, stop: &Stop) -> Result<Life, UpError> {
        let command = (self.recipe.serve)(&self.grounds()).map_err(|e| self.missing(&e))?;
        let (identity, exit) = self.spawn(self.recipe.word, &self.log_name(number), command)?;
        let failed = match stop.interrupt.run_until_cancelled(self.ready(exit.clone())).await {
            Some(Ok(())) => return Ok(Life { number, identity, family: Vec::new(), exit }),
            Some(Err(why)) => self.failed(number, why),
            None => UpError::Interrupted,
        };
        // In order, as always; the reason is what counts here, and a server that would not end is in the journal.
        let _ = identity.signal(self.recipe.end);
        if wait_for_exit(exit.clone(), ENDS_WITHIN).await.is_none() {
            end_now(identity, exit).await;
        }
        Err(failed)
    }

    /// Asks until the server answers and is the one in our folder.
    async fn ready(&self, exit: watch::Receiver<Option<Exit>>) -> Result<(), String> {
        let mut last = String::new();
        let answer = async {
            while let Err(why) = (self.recipe.open)(&self.grounds()).await {
                last = why.to_string();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let outcome = tokio::select! {
            () = answer => Ok(()),
            _ = wait_for_exit(exit, READY_WITHIN * 2) => Err("it ended at once".to_owned()),
            () = tokio::time::sleep(READY_WITHIN) => Err(format!("no answer within {READY_WITHIN:?}")),
        };
        outcome.map_err(|why| if last.is_empty() { why } else { format!("{why} (last answer: {last})") })
    }

    /// Starts a program under this name: it is in the journal before it exists.
    fn spawn(&self, name: &str, log: &str, mut command: Command) -> Result<Started, UpError> {
        if let Some(user) = &self.user {
            user.run(&mut command);
        }
        let log = self.site.folder.join(format!("{log}.log"));
        let (journal, clock) = (self.site.journal.clone(), self.site.clock.clone());
        journal.write(&Entry::Starting { name: name.to_owned() })?;
        let child = Child::server(name, command, self.recipe.end, &log).map_err(|e| self.missing(&e))?;
        let process = child.identity;
        journal.write(&Entry::Started { name: name.to_owned(), process })?;
        let (tell, exit) = watch::channel(None);
        let name = name.to_owned();
        self.reapers().spawn(async move {
            let (code, signal) = child.ended().await;
            let at = clock.now();
            // A journal that cannot be written keeps the process as a leftover, which heal finds to be gone.
            let _ = journal.write(&Entry::Ended { name, process });
            let _ = tell.send(Some(Exit { at, code, signal }));
        });
        Ok((process, exit))
    }

    pub fn journal(&self, entry: &Entry) -> io::Result<()> {
        self.site.journal.write(entry)
    }

    pub async fn all_reaped(&self) {
        let mut reapers = std::mem::take(&mut *self.reapers());
        while reapers.join_next().await.is_some() {}
    }

    fn reapers(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.reapers.lock().expect("no code panics while it holds the reapers")
    }

    /// Each life has its own, so that the end of one can be read after the start of the next.
    fn log_name(&self, number: usize) -> String {
        let word = self.recipe.word;
        if number == 1 { word.to_owned() } else { format!("{word}-{number}") }
    }

    pub fn failed(&self, number: usize, why: String) -> UpError {
        let log = self.site.folder.join(format!("{}.log", self.log_name(number)));
        UpError::Start { name: self.recipe.word.to_owned(), why, log }
    }

    fn missing(&self, error: &io::Error) -> UpError {
        match error.kind() {
            io::ErrorKind::NotFound => UpError::Missing {
                what: self.recipe.database.name().to_owned(),
                why: error.to_string(),
                remedy: self.recipe.remedy.to_owned(),
            },
            _ => self.failed(1, error.to_string()),
        }
    }
}

async fn end_now(process: ProcessIdentity, exit: watch::Receiver<Option<Exit>>) {
    // A script's children are in its group. One that has ended already is what we want.
    if process.is_alive() {
        let _ = killpg(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    wait_for_exit(exit, Duration::from_secs(5)).await;
}

/// 128 bits, as hexadecimal digits.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
