//! A disturbance, played: what is the same whatever is struck.
//!
//! ```text
//! own write stored ─ prepare ─ tasks in the buffer ─ inject ─ look ┬ own write ─ own write ─ … ┬ heal ─ own write stored ─ look
//!                                                                  └──────── `lasts` ──────────┘
//! ```
//!
//! In: a planned disturbance. Out: its record, with proof of mechanism (what the server and the kernel show), of
//! symptom (what becomes of writes that the run makes itself, over the path that is struck), and of heal.
//!
//! What is struck, and how, is a [`Blow`].

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::incident::{DisturbanceRecord, Proof, ProofOf};
use super::{Fault, Scene};
use crate::backends::ControlError;
use crate::clock::Offset;
use crate::plan::DisturbancePlan;
use crate::readback::depth::DepthProbe;

/// Between two own writes, and between two looks at the buffer: no multiple of a flush interval.
pub(super) const EVERY: Duration = Duration::from_millis(37);
/// A server that was put right takes a write within this.
const HEAL_PATIENCE: Duration = Duration::from_secs(20);
/// It is stored in this time where nothing is wrong.
const BASELINE_PATIENCE: Duration = Duration::from_secs(5);

/// Something bad that is done to what the service depends on, or to the way to it.
#[async_trait]
pub(super) trait Blow: Send {
    /// What becomes of an own write while it lasts; `None`: nothing does, and `proof` shows the symptom.
    fn symptom(&self) -> Option<Symptom>;
    /// Writes of the run's own, over the path of the instances or straight to the server.
    fn own_writes(&self, scene: &Scene<'_>, through_proxy: bool) -> Result<Box<dyn OwnWrites>, ControlError>;
    /// Looks at what is about to be struck. What else is worth knowing of it.
    async fn look(&mut self, scene: &Scene<'_>) -> Result<Vec<String>, ControlError>;
    /// Makes ready what takes time, and strikes nobody yet.
    async fn prepare(&mut self, _scene: &Scene<'_>) -> Result<(), ControlError> {
        Ok(())
    }
    /// Acts, through the control: that puts it into the journal first. It is in effect when this returns.
    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError>;
    /// What the server and the kernel show of it, just after the act.
    async fn proof(&mut self, scene: &Scene<'_>) -> Result<Vec<Proof>, ControlError>;
    /// Undoes it, however far the injection came. May be called again.
    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError>;
    /// What shows that it is undone, beside an own write that is stored again.
    async fn proof_of_heal(&mut self, scene: &Scene<'_>) -> Result<Vec<Proof>, ControlError>;
}

/// Writes of the run's own along one path: what a client meets at this moment.
#[async_trait]
pub(super) trait OwnWrites: Send {
    /// One write.
    async fn write(&mut self) -> Sight;
    /// Takes away what they left.
    async fn close(&mut self, scene: &Scene<'_>);
}

/// What became of a write, and how long that took.
pub(super) type Sight = (Seen, Duration);

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Stored,
    /// Nobody listens.
    ConnectionRefused,
    NoAnswer,
    /// The connection was reset, or ended, before an answer.
    Broken,
    /// The name of an error that was answered: `READONLY`.
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

/// What an own write meets.
pub(super) struct Symptom {
    /// `connections are refused`.
    pub what: String,
    pub holds: fn(&Seen) -> bool,
    /// The least time that it takes.
    pub takes: Duration,
    /// Over the path of the instances, or straight to the server.
    pub through_proxy: bool,
}

impl Symptom {
    pub fn of_server(what: &str, holds: fn(&Seen) -> bool) -> Option<Symptom> {
        Some(Symptom { what: what.to_owned(), holds, takes: Duration::ZERO, through_proxy: false })
    }

    pub fn of_network(what: &str, holds: fn(&Seen) -> bool) -> Option<Symptom> {
        Symptom::of_server(what, holds).map(|symptom| Symptom { through_proxy: true, ..symptom })
    }
}

pub(super) fn proof(of: ProofOf, what: &str, seen: impl Into<String>, holds: bool) -> Proof {
    Proof { of, what: what.to_owned(), seen: seen.into(), holds }
}

/// One disturbance, from the look before it to the look after it.
pub(super) struct Disturbing {
    plan: DisturbancePlan,
    blow: Box<dyn Blow>,
    record: Option<DisturbanceRecord>,
    writes: Option<Box<dyn OwnWrites>>,
    /// It was looked at: from here on there may be something to undo.
    looked: bool,
    /// What was seen so far.
    proof: Vec<Proof>,
}

impl Disturbing {
    pub fn by(blow: Box<dyn Blow>, plan: &DisturbancePlan) -> Disturbing {
        let (record, writes, proof) = (None, None, Vec::new());
        Disturbing { plan: plan.clone(), blow, record, writes, looked: false, proof }
    }

    async fn undo(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let (Some(record), Some(writes)) = (&mut self.record, &mut self.writes) else { return Ok(()) };
        record.undone = Some(scene.clock.now());
        self.blow.heal(scene).await?;
        let stored = a_stored_write(&mut **writes, scene, ProofOf::Heal, HEAL_PATIENCE).await;
        record.healed = stored.holds.then(|| scene.clock.now());
        self.proof.push(stored);
        self.proof.extend(self.blow.proof_of_heal(scene).await?);
        Ok(())
    }
}

#[async_trait]
impl Fault for Disturbing {
    type Record = DisturbanceRecord;

    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let record = self.record.insert(DisturbanceRecord::begin(&self.plan, scene.clock.now()));
        let symptom = self.blow.symptom();
        let through_proxy = symptom.as_ref().is_some_and(|symptom| symptom.through_proxy);
        let writes = self.writes.insert(self.blow.own_writes(scene, through_proxy)?);
        self.proof.push(a_stored_write(&mut **writes, scene, ProofOf::Before, BASELINE_PATIENCE).await);
        record.facts.extend(self.blow.look(scene).await?);
        self.looked = true;
        self.blow.prepare(scene).await?;
        // Just before the act: while that was made ready, the buffer went on.
        record.exposure = exposure(scene, self.plan.hold_within).await;
        record.began = scene.clock.now();
        self.blow.inject(scene).await?;
        record.done = Some(scene.clock.now());
        self.proof.extend(self.blow.proof(scene).await?);
        let over = scene.clock.now().plus(self.plan.lasts);
        let interrupted = || ControlError::Interrupted { what: format!("play {}", self.plan.id) };
        let Some(symptom) = symptom else {
            let lasting = tokio::time::sleep_until(scene.clock.instant(over));
            return scene.stop.interrupt.run_until_cancelled(lasting).await.ok_or_else(interrupted);
        };
        let mut sights = Vec::new();
        let watching = watch(scene, &mut **writes, over, &mut sights);
        let uninterrupted = scene.stop.interrupt.run_until_cancelled(watching).await;
        self.proof.push(shown(&symptom, &sights));
        uninterrupted.ok_or_else(interrupted)
    }

    /// Whatever became of it, the own writes are taken away.
    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let healed = if self.looked { self.undo(scene).await } else { Ok(()) };
        if let Some(writes) = &mut self.writes {
            writes.close(scene).await;
        }
        healed
    }

    async fn proof(&mut self, _scene: &Scene<'_>) -> Vec<Proof> {
        std::mem::take(&mut self.proof)
    }

    fn record(self: Box<Self>) -> Option<DisturbanceRecord> {
        self.record
    }
}

/// Waits until the buffer holds something that could be lost. How many tasks; `None`: it could not be read.
async fn exposure(scene: &Scene<'_>, within: Duration) -> Option<u64> {
    let deadline = scene.clock.now().plus(within);
    let mut probe = DepthProbe::new(&scene.deployment.sources());
    loop {
        let depth = probe.look(scene.deployment).await.ok().map(|look| look.depth);
        let tasks = depth.map(|depth| depth.ready + depth.leased + depth.delayed);
        if tasks > Some(0) || scene.clock.now() >= deadline || scene.stop.interrupt.is_cancelled() {
            return tasks;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Writes of our own for as long as it lasts.
async fn watch(scene: &Scene<'_>, writes: &mut dyn OwnWrites, over: Offset, sights: &mut Vec<Sight>) {
    while scene.clock.now() < over {
        sights.push(writes.write().await);
        let next = scene.clock.now().plus(EVERY).min(over);
        tokio::time::sleep_until(scene.clock.instant(next)).await;
    }
}

/// All of them must meet the symptom, the first and the last included.
fn shown(symptom: &Symptom, sights: &[Sight]) -> Proof {
    let shows = |(seen, took): &Sight| (symptom.holds)(seen) && *took >= symptom.takes;
    let (held, all) = (sights.iter().filter(|sight| shows(sight)).count(), sights.len());
    let other = sights.iter().find(|sight| !shows(sight)).map(|(seen, took)| format!("; one was {seen}, {took:.1?}"));
    let seen = format!("{held} of {all}{}", other.unwrap_or_default());
    proof(ProofOf::Symptom, &format!("own writes: {}", symptom.what), seen, all > 0 && held == all)
}

/// Waits for a write that is stored: it is well, before the act or after it.
async fn a_stored_write(writes: &mut dyn OwnWrites, scene: &Scene<'_>, of: ProofOf, within: Duration) -> Proof {
    let (began, mut tries) = (scene.clock.now(), 0);
    loop {
        let (seen, took) = writes.write().await;
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
