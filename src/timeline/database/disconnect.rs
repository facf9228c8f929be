//! Every connection to the database is ended by the database itself. What was under way on one has no answer, and a
//! commit may have been done or not.
//!
//! # Why sessions that stay
//! Those of the service are in its pools. Of ours, each lasts for one question, and one that is just going must count
//! neither as a session that was there nor as one of an instance that came again.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use tokio::time::{Instant, timeout};

use super::{DatabaseFault, EVERY, PATIENCE, Proof, ProofOf, Struck, Symptom, proof};
use crate::backends::database_control::Change;
use crate::backends::{ControlError, DatabaseSource};
use crate::plan::Database;

/// Between two looks: no session of a question lasts so long.
const APART: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct Disconnect {
    /// Whoever was connected before and stayed, by id.
    before: BTreeSet<String>,
    /// One of our own among them.
    own: Option<Own>,
}

/// An open connection of our own.
enum Own {
    Postgres(Box<PgConnection>),
    MariaDb(Box<MySqlConnection>),
}

impl Own {
    async fn open(source: &DatabaseSource) -> Result<Own, Error> {
        match source {
            DatabaseSource::File(_) => Err(Error::Protocol("a file has no connections".into())),
            DatabaseSource::Server { database: Database::MariaDb, url } => {
                Ok(Own::MariaDb(Box::new(MySqlConnection::connect(url.revealed()).await?)))
            }
            DatabaseSource::Server { url, .. } => {
                Ok(Own::Postgres(Box::new(PgConnection::connect(url.revealed()).await?)))
            }
        }
    }

    /// Whether it still answers.
    async fn answers(&mut self) -> bool {
        let answer = async {
            match self {
                Own::Postgres(connection) => connection.ping().await,
                Own::MariaDb(connection) => connection.ping().await,
            }
        };
        // One that gives no answer at all was not cut off.
        timeout(PATIENCE, answer).await.map_or(true, |answer| answer.is_ok())
    }
}

/// The instances that write rows: each has a connection as soon as it has a task.
fn writers(at: &Struck<'_>) -> usize {
    at.scene.deployment.alive().iter().filter(|one| one.slot.role.writes_rows()).count()
}

/// Who is connected at two looks.
async fn staying(at: &Struck<'_>) -> Result<BTreeSet<String>, ControlError> {
    let first = at.database.connections().await?;
    tokio::time::sleep(APART).await;
    Ok(&at.database.connections().await? & &first)
}

/// Waits until so many are connected: one that backs off after an earlier failure comes again. Who is, then.
async fn until_connected(at: &Struck<'_>, wanted: usize) -> Result<BTreeSet<String>, ControlError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connected = staying(at).await?;
        if connected.len() >= wanted || Instant::now() >= deadline {
            return Ok(connected);
        }
    }
}

#[async_trait]
impl DatabaseFault for Disconnect {
    fn symptom(&self) -> Option<Symptom> {
        None
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        // Without one there is no proof of symptom.
        self.own = Own::open(&at.database.source()).await.ok();
        self.before = until_connected(at, writers(at) + usize::from(self.own.is_some())).await?;
        at.database.change(&Change::Disconnect).await
    }

    /// They end when their own process or thread hears of it: at once, and not in the same moment.
    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let deadline = Instant::now() + PATIENCE;
        let left = loop {
            let now = at.database.connections().await.ok();
            let left = now.map(|now| now.intersection(&self.before).count());
            if left == Some(0) || Instant::now() >= deadline {
                break left;
            }
            tokio::time::sleep(EVERY).await;
        };
        let (before, own) = (self.before.len(), usize::from(self.own.is_some()));
        let told = left.map_or_else(|| "an unknown number".to_owned(), |left| left.to_string());
        let seen = format!("{told} of {before} connections ({own} of them our own) are left");
        let lives = match &mut self.own {
            Some(own) => Some(own.answers().await),
            None => None,
        };
        let (told, cut_off) = match lives {
            None => ("there was none", false),
            Some(true) => ("it lives", false),
            Some(false) => ("it ended", true),
        };
        vec![
            proof(ProofOf::Mechanism, "nobody who was connected is", seen, left == Some(0) && before > own),
            proof(ProofOf::Symptom, "an own connection was cut off", told, cut_off),
        ]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.change_back(&Change::Disconnect).await
    }

    /// Whoever writes rows connects again as soon as there is a task.
    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let deadline = Instant::now() + PATIENCE;
        let wanted = writers(at);
        loop {
            let now = staying(at).await.unwrap_or_default();
            let new = now.difference(&self.before).count();
            if new >= wanted || Instant::now() >= deadline {
                let seen = format!("{new} new connections that stay, {wanted} instances that write rows");
                return vec![proof(ProofOf::Heal, "the instances are connected again", seen, new >= wanted)];
            }
        }
    }
}
