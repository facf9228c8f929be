//! A private PostgreSQL or MariaDB: on a free port of 127.0.0.1, its data in the run's folder, ended with its parent. It
//! can be struck, and started again where it was; where a plan needs it, the instances reach it through a proxy, and its
//! data lies in a room: a small file system of its own.
//!
//! ```text
//! folder ─ initialise ─ start on a free port ─ answers, and is ours ─▶ url
//! ```
//!
//! What differs between the two stands in a [`Recipe`] of each; how a process of it is started, in `berth.rs`; how it
//! is struck, in `control.rs`.

mod berth;
mod control;

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use self::berth::Berth;
use super::port::{self, Tries};
use super::recipe::Recipe;
use super::run_room::RunRoom;
use super::{Site, mariadb, postgres, wait_for_exit};
use crate::backends::proxy::Proxy;
use crate::backends::{DatabaseSource, Exit, UpError};
use crate::plan::{Database, DatabaseUrl, TargetPlan};
use crate::process::ProcessIdentity;
use crate::stop::Stop;

/// From the signal that ends it in order to SIGKILL: what is in memory is written first.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct DatabaseServer {
    berth: Berth,
    proxy: Option<Proxy>,
    life: Mutex<Life>,
}

/// One life of the server.
#[derive(Clone)]
struct Life {
    /// How many there were, from 1.
    number: usize,
    /// The process that the others come from.
    identity: ProcessIdentity,
    /// Those that came from it, when it was struck last.
    family: Vec<ProcessIdentity>,
    exit: watch::Receiver<Option<Exit>>,
}

impl DatabaseServer {
    /// The one that the plan wants started; `None`: a file, or one that exists. Waits until it answers. On failure
    /// nothing of it is left running.
    pub async fn start_for(plan: &TargetPlan, site: &Site, stop: &Stop) -> Result<Option<DatabaseServer>, UpError> {
        let recipe = match (plan.database, &plan.existing) {
            (Database::Sqlite, _) | (_, Some(_)) => return Ok(None),
            (Database::Postgres, None) => &postgres::RECIPE,
            (Database::MariaDb, None) => &mariadb::RECIPE,
        };
        let room = RunRoom::make_for(plan, site)?;
        let berth = Berth::make(recipe, plan, site, room.clone());
        let started = async { DatabaseServer::start(berth?, plan, stop).await }.await;
        if let (Err(_), Some(room)) = (&started, room) {
            // The reason is what counts here; a room that would not go is in the journal.
            let _ = room.leave();
        }
        started.map(Some)
    }

    async fn start(mut berth: Berth, plan: &TargetPlan, stop: &Stop) -> Result<DatabaseServer, UpError> {
        berth.initialise(stop).await?;
        let life = first_life(&mut berth, stop).await?;
        let mut server = DatabaseServer { berth, proxy: None, life: Mutex::new(life) };
        if let Err(why) = server.complete(plan) {
            // The reason is what counts here; a server that would not end is in the journal.
            let _ = server.stop().await;
            return Err(server.berth.failed(1, why));
        }
        Ok(server)
    }

    /// With what the time line needs around it.
    fn complete(&mut self, plan: &TargetPlan) -> Result<(), String> {
        if let Some(room) = &self.berth.room {
            room.takes(plan.database_setup.load_bytes)?;
        }
        if plan.database_setup.proxied {
            let proxy = Proxy::start((Ipv4Addr::LOCALHOST, self.berth.port).into());
            self.proxy = Some(proxy.map_err(|e| format!("start a proxy in front of it: {e}"))?);
        }
        Ok(())
    }

    /// Where it is itself.
    pub fn source(&self) -> DatabaseSource {
        self.source_at(self.berth.port)
    }

    /// Where the instances find it.
    pub fn source_for_instances(&self) -> DatabaseSource {
        self.source_at(self.proxy.as_ref().map_or(self.berth.port, |proxy| proxy.addr().port()))
    }

    fn source_at(&self, port: u16) -> DatabaseSource {
        let Recipe { database, url, .. } = *self.berth.recipe;
        DatabaseSource::Server { database, url: DatabaseUrl::of_own(url(port)) }
    }

    fn life(&self) -> Life {
        self.life.lock().expect("no code panics while it holds this").clone()
    }

    /// In order (and SIGCONT: whoever is frozen would not notice), then by SIGKILL. Says what would not go.
    pub async fn stop(&self) -> Result<(), String> {
        let Life { identity, exit, .. } = self.life();
        for (signal, within) in [(self.berth.recipe.end, ENDS_WITHIN), (Signal::SIGKILL, Duration::from_secs(5))] {
            // One that has ended already is what we want.
            let _ = identity.signal(signal);
            for process in self.family().into_iter().chain([identity]) {
                let _ = process.signal(Signal::SIGCONT);
            }
            if wait_for_exit(exit.clone(), within).await.is_some() {
                self.proxy.iter().for_each(Proxy::end);
                self.berth.all_reaped().await;
                return self.berth.room.as_ref().map_or(Ok(()), RunRoom::leave);
            }
        }
        Err(format!("{} (pid {}) outlives SIGKILL", self.berth.recipe.word, identity.pid))
    }

    /// Those that come from its first process now.
    fn family(&self) -> Vec<ProcessIdentity> {
        self.life().identity.children()
    }
}

/// On a port that is free.
async fn first_life(berth: &mut Berth, stop: &Stop) -> Result<Life, UpError> {
    let mut tries = Tries::new();
    loop {
        berth.port = port::free().map_err(|e| berth.failed(1, e.to_string()))?;
        match berth.serving_life(1, stop).await {
            Err(e) if tries.another(&e) => {}
            done => return done,
        }
    }
}
