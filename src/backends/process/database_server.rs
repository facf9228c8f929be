//! A private PostgreSQL or MariaDB: on a free port of 127.0.0.1, its data in the run's folder, ended with its parent.
//!
//! ```text
//! folder ─ initialise ─ start on a free port ─ answers, and is ours ─▶ url
//! ```
//!
//! What differs between the two stands in a [`Recipe`] of each.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::child::Child;
use super::recipe::{Grounds, Recipe};
use super::unprivileged::{Unprivileged, give_away};
use super::{Site, mariadb, postgres};
use crate::backends::{DatabaseSource, UpError};
use crate::journal::Entry;
use crate::plan::{Database, DatabaseUrl, TargetPlan};
use crate::process::ProcessIdentity;
use crate::stop::Stop;

/// To make the data folder, which takes seconds on a slow disk.
const INITIALISED_WITHIN: Duration = Duration::from_secs(120);
const READY_WITHIN: Duration = Duration::from_secs(30);
/// From the signal that ends it in order to SIGKILL: what is in memory is written first.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// A port that was free a moment ago may be taken: try again with another.
const TRIES: usize = 5;
/// Of each instance of the service, as its own settings say.
const CONNECTIONS_OF_AN_INSTANCE: usize = 5;
/// Instances that the time line adds.
const SLOTS_BESIDE: usize = 32;
/// Of mxctl, and of a person who looks.
const CONNECTIONS_BESIDE: usize = 20;

pub(super) struct DatabaseServer {
    recipe: &'static Recipe,
    port: u16,
    identity: ProcessIdentity,
    ended: watch::Receiver<bool>,
}

impl DatabaseServer {
    /// The one that the plan wants started; `None`: a file, or one that exists. Waits until it answers. Tasks that reap
    /// join `tasks`: they end with the server. On failure nothing of it is left running.
    pub async fn start_for(
        plan: &TargetPlan,
        site: &Site,
        tasks: &mut JoinSet<()>,
        stop: &Stop,
    ) -> Result<Option<DatabaseServer>, UpError> {
        let recipe = match (plan.database, &plan.existing) {
            (Database::Sqlite, _) | (_, Some(_)) => return Ok(None),
            (Database::Postgres, None) => &postgres::RECIPE,
            (Database::MariaDb, None) => &mariadb::RECIPE,
        };
        let unprivileged = Unprivileged::find();
        let mut birth = Birth { recipe, site, tasks, stop, unprivileged: unprivileged.as_ref() };
        let (around, folder) = birth.folders()?;
        let secret = secret().map_err(|source| UpError::Files { path: "/dev/urandom".into(), source })?;
        let connections = (plan.slots.len() + SLOTS_BESIDE) * CONNECTIONS_OF_AN_INSTANCE + CONNECTIONS_BESIDE;
        let user = unprivileged.as_ref();
        let grounds = Grounds { folder: &folder, around: &around, secret: &secret, user, port: 0, connections };
        birth.initialise(&grounds).await?;
        birth.serve(grounds).await.map(Some)
    }

    pub fn source(&self) -> DatabaseSource {
        let url = DatabaseUrl::of_own((self.recipe.url)(self.port));
        DatabaseSource::Server { database: self.recipe.database, url }
    }

    /// In order, then by SIGKILL. Says what would not go.
    pub async fn stop(&self) -> Result<(), String> {
        for (signal, within) in [(self.recipe.end, ENDS_WITHIN), (Signal::SIGKILL, Duration::from_secs(5))] {
            // One that has ended already is what we want.
            let _ = self.identity.signal(signal);
            let mut ended = self.ended.clone();
            if tokio::time::timeout(within, ended.wait_for(|ended| *ended)).await.is_ok() {
                return Ok(());
            }
        }
        Err(format!("{} (pid {}) outlives SIGKILL", self.recipe.word, self.identity.pid))
    }
}

struct Birth<'a> {
    recipe: &'static Recipe,
    site: &'a Site,
    tasks: &'a mut JoinSet<()>,
    stop: &'a Stop,
    unprivileged: Option<&'a Unprivileged>,
}

impl Birth<'_> {
    /// The target's and the server's own, as the server itself will call them.
    fn folders(&self) -> Result<(PathBuf, PathBuf), UpError> {
        let folder = self.site.folder.join(self.recipe.word);
        let fault = |source| UpError::Files { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(fault)?;
        let around = std::fs::canonicalize(&self.site.folder).map_err(fault)?;
        let folder = around.join(self.recipe.word);
        if let Some(user) = self.unprivileged {
            give_away(&folder, user).map_err(|why| self.failed(why))?;
        }
        Ok((around, folder))
    }

    async fn initialise(&mut self, grounds: &Grounds<'_>) -> Result<(), UpError> {
        let recipe = self.recipe;
        let command = (recipe.initialise)(grounds).map_err(|e| self.missing(&e))?;
        let (identity, mut ended) = self.spawn(&format!("{}-initialise", recipe.word), command)?;
        let done = async { ended.wait_for(|end| end.is_some()).await.ok().and_then(|end| *end) };
        let waited = tokio::time::timeout(INITIALISED_WITHIN, done);
        let why = match self.stop.interrupt.run_until_cancelled(waited).await {
            Some(Ok(Some(0))) => return Ok(()),
            Some(Ok(_)) => format!("its data folder could not be made; see {}-initialise.log beside", recipe.word),
            Some(Err(_)) => format!("its data folder was not made within {INITIALISED_WITHIN:?}"),
            None => {
                end_now(identity, ended).await;
                return Err(UpError::Interrupted);
            }
        };
        end_now(identity, ended).await;
        Err(self.failed(why))
    }

    async fn serve(&mut self, grounds: Grounds<'_>) -> Result<DatabaseServer, UpError> {
        let mut last = None;
        for _ in 0..TRIES {
            let port = free_port().map_err(|e| self.failed(e.to_string()))?;
            match self.try_serve(&Grounds { port, ..grounds }).await {
                Err(e @ UpError::Start { .. }) => last = Some(e),
                done => return done,
            }
        }
        Err(last.expect("there was at least one try"))
    }

    async fn try_serve(&mut self, grounds: &Grounds<'_>) -> Result<DatabaseServer, UpError> {
        let recipe = self.recipe;
        let command = (recipe.serve)(grounds).map_err(|e| self.missing(&e))?;
        let (identity, mut end) = self.spawn(recipe.word, command)?;
        let (tell, ended) = watch::channel(false);
        self.tasks.spawn(async move {
            // Its sender is gone only when it has ended.
            let _ = end.wait_for(Option::is_some).await;
            let _ = tell.send(true);
        });
        let server = DatabaseServer { recipe, port: grounds.port, identity, ended };
        let ready = self.stop.interrupt.run_until_cancelled(ready(recipe, grounds, server.ended.clone())).await;
        let failed = match ready {
            Some(Ok(())) => return Ok(server),
            Some(Err(why)) => self.failed(why),
            None => UpError::Interrupted,
        };
        // The reason is what counts here; a server that would not end is in the journal.
        let _ = server.stop().await;
        Err(failed)
    }

    /// Starts a program under this name: it is in the journal before it exists. Its exit code follows (−1: a signal).
    fn spawn(
        &mut self,
        name: &str,
        mut command: Command,
    ) -> Result<(ProcessIdentity, watch::Receiver<Option<i32>>), UpError> {
        if let Some(user) = self.unprivileged {
            user.run(&mut command);
        }
        let log = self.site.folder.join(format!("{name}.log"));
        let journal = self.site.journal.clone();
        journal.write(&Entry::Starting { name: name.to_owned() })?;
        let child = Child::server(name, command, self.recipe.end, &log).map_err(|e| self.missing(&e))?;
        let process = child.identity;
        journal.write(&Entry::Started { name: name.to_owned(), process })?;
        let (tell, ended) = watch::channel(None);
        let name = name.to_owned();
        self.tasks.spawn(async move {
            let (code, _) = child.ended().await;
            // A journal that cannot be written keeps the process as a leftover, which heal finds to be gone.
            let _ = journal.write(&Entry::Ended { name, process });
            let _ = tell.send(Some(code.unwrap_or(-1)));
        });
        Ok((process, ended))
    }

    fn failed(&self, why: String) -> UpError {
        let log = self.site.folder.join(format!("{}.log", self.recipe.word));
        UpError::Start { name: self.recipe.word.to_owned(), why, log }
    }

    fn missing(&self, error: &io::Error) -> UpError {
        match error.kind() {
            io::ErrorKind::NotFound => UpError::Missing {
                what: self.recipe.database.name().to_owned(),
                why: error.to_string(),
                remedy: self.recipe.remedy.to_owned(),
            },
            _ => self.failed(error.to_string()),
        }
    }
}

/// Asks until the server answers and is the one in our folder.
async fn ready(recipe: &Recipe, grounds: &Grounds<'_>, mut ended: watch::Receiver<bool>) -> Result<(), String> {
    let mut last = String::new();
    let answer = async {
        while let Err(why) = (recipe.open)(grounds).await {
            last = why.to_string();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::select! {
        () = answer => Ok(()),
        _ = ended.wait_for(|ended| *ended) => Err("it ended at once".to_owned()),
        () = tokio::time::sleep(READY_WITHIN) => Err(format!("no answer within {READY_WITHIN:?}")),
    };
    outcome.map_err(|why| if last.is_empty() { why } else { format!("{why} (last answer: {last})") })
}

async fn end_now(process: ProcessIdentity, mut ended: watch::Receiver<Option<i32>>) {
    // A script's children are in its group. One that has ended already is what we want.
    if process.is_alive() {
        let _ = killpg(Pid::from_raw(process.pid), Signal::SIGKILL);
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), ended.wait_for(Option::is_some)).await;
}

/// 128 bits, as hexadecimal digits.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
