//! Faults of the database: one a file.
//!
//! In: a planned disturbance. Out: a [`Blow`] against the run's own database.
//!
//! A new fault is a file with `impl DatabaseFault`, its line in `fault_of`, and its line in the list of
//! `src/disturbance.rs`.

mod disconnect;
mod eye;
mod full;
mod kill;
mod locked;
mod pause;
mod processes;
mod restart;
mod rows;
mod slow;

use std::time::Duration;

use async_trait::async_trait;

use self::eye::{Eye, Weight};
use super::disturbing::{Blow, EVERY, OwnWrites, Seen, Symptom, proof};
use super::incident::{Proof, ProofOf};
use super::{FREEZE_PATIENCE, Scene};
use crate::backends::{ControlError, DatabaseControl, ProcessIdentity};
use crate::plan::{Disturbance, DisturbancePlan};

/// What the database was told, it does within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Less than an own write waits for an answer.
const BUSY: Duration = Duration::from_secs(1);
/// To write what is in memory, and to recover.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// The registry: how a disturbance is done; `None`: it strikes something else.
fn fault_of(plan: &DisturbancePlan) -> Option<Box<dyn DatabaseFault>> {
    Some(match plan.disturbance {
        Disturbance::DatabasePause => Box::new(pause::Pause),
        Disturbance::DatabaseRestart => Box::new(restart::Restart::default()),
        Disturbance::DatabaseKill => Box::new(kill::Kill::default()),
        Disturbance::DatabaseDisconnect => Box::new(disconnect::Disconnect::default()),
        Disturbance::DatabaseSlow => Box::new(slow::Slow::of(plan.delay)),
        Disturbance::DatabaseLocked => Box::new(locked::Locked::default()),
        Disturbance::DatabaseFull => Box::new(full::Full::default()),
        _ => return None,
    })
}

/// Something bad that is done to the database, or to the way to it.
#[async_trait]
trait DatabaseFault: Send {
    /// What becomes of an own write while it lasts; `None`: nothing does, and `proof` shows the symptom.
    fn symptom(&self) -> Option<Symptom>;
    /// What an own write weighs.
    fn weight(&self) -> Weight {
        Weight::Light
    }
    /// How long an own write waits for the write lock of a file, which others hold for the time of a batch.
    fn busy(&self) -> Duration {
        BUSY
    }
    /// Acts, through the control: that puts it into the journal first. It is in effect when this returns.
    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError>;
    /// What the server and the kernel show of it, just after the act.
    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof>;
    /// Undoes it, however far the injection came. May be called again.
    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError>;
    /// What shows that it is undone, beside an own write that is stored again; and what was seen to its end.
    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof>;
}

/// The database that is struck, and where.
struct Struck<'a> {
    scene: &'a Scene<'a>,
    database: &'a dyn DatabaseControl,
    /// Its processes before the act, the first one first; none, where it is a file.
    before: &'a [ProcessIdentity],
}

impl Struck<'_> {
    /// The process that the others come from.
    fn first(&self) -> Result<ProcessIdentity, ControlError> {
        self.before.first().copied().ok_or(ControlError::NoServer)
    }
}

/// A fault, and the database that it strikes.
struct DatabaseBlow {
    fault: Box<dyn DatabaseFault>,
    before: Vec<ProcessIdentity>,
}

/// `None`: it strikes something else.
pub(super) fn blow(plan: &DisturbancePlan) -> Option<Box<dyn Blow>> {
    Some(Box::new(DatabaseBlow { fault: fault_of(plan)?, before: Vec::new() }))
}

fn database_of<'a>(scene: &'a Scene<'_>) -> Result<&'a dyn DatabaseControl, ControlError> {
    scene.deployment.database().ok_or(ControlError::NoDatabase)
}

fn struck<'a>(scene: &'a Scene<'a>, before: &'a [ProcessIdentity]) -> Result<Struck<'a>, ControlError> {
    Ok(Struck { scene, database: database_of(scene)?, before })
}

#[async_trait]
impl Blow for DatabaseBlow {
    fn symptom(&self) -> Option<Symptom> {
        self.fault.symptom()
    }

    fn own_writes(&self, scene: &Scene<'_>, through_proxy: bool) -> Result<Box<dyn OwnWrites>, ControlError> {
        let database = database_of(scene)?;
        let path = if through_proxy { database.proxied().ok_or(ControlError::NoProxy)? } else { database.source() };
        Ok(Box::new(Eye::new(path, scene.plan.run, self.fault.busy(), self.fault.weight())))
    }

    async fn look(&mut self, scene: &Scene<'_>) -> Result<Vec<String>, ControlError> {
        self.before = database_of(scene)?.processes();
        Ok(Vec::new())
    }

    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        self.fault.inject(&struck(scene, &self.before)?).await
    }

    async fn proof(&mut self, scene: &Scene<'_>) -> Result<Vec<Proof>, ControlError> {
        Ok(self.fault.proof(&struck(scene, &self.before)?).await)
    }

    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        self.fault.heal(&struck(scene, &self.before)?).await
    }

    async fn proof_of_heal(&mut self, scene: &Scene<'_>) -> Result<Vec<Proof>, ControlError> {
        Ok(self.fault.proof_of_heal(&struck(scene, &self.before)?).await)
    }
}
