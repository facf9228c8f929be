//! The faults of a plan, played in order, each with proof that it took effect.
//!
//! In: the plan's steps and a deployment. Out: [`Incidents`]: what was done to whom, when, what the victim held at
//! that moment, and how we know. Nothing is left held or frozen when `play` returns.
//!
//! ```text
//! step: its time ─ its condition ─ start … start ─ stop … stop ─ disturbance
//! ```
//!
//! One fault a file. One that stops an instance is a file with `impl Fault`, and its line in `faults_of`; one that
//! disturbs Redis or the database is a file in `redis/` or `database/`, and its line in `fault_of` there.

mod condition;
mod database;
mod disturbing;
mod exposure;
mod graceful_stop;
mod hard_stop;
pub mod incident;
mod pause;
mod proofs;
mod redis;
mod scale;
mod words;

use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

pub use incident::{DisturbanceRecord, Exposure, Held, Incidents, Proof, StartRecord, StepRecord, StopRecord};

use crate::backends::{ControlError, DatabaseControl, Deployment, ProcessControl};
use crate::clock::{Offset, RunClock};
use crate::plan::{DisturbancePlan, Plan, StepPlan, StopMode, StopPlan, Subject};
use crate::readback::cpu::{self, CpuReading};
use crate::stop::Stop;
use crate::watch::{Event, Watch};
use disturbing::{Blow, Disturbing};
use graceful_stop::GracefulStop;
use hard_stop::HardStop;
use pause::Pause;

/// Where a fault acts.
pub struct Scene<'a> {
    pub plan: &'a Plan,
    pub deployment: &'a dyn Deployment,
    pub processes: &'a dyn ProcessControl,
    pub clock: &'a RunClock,
    pub watch: &'a dyn Watch,
    pub stop: &'a Stop,
}

/// SIGSTOP takes effect at the next return to user mode: at once, on any machine that is not lost.
const FREEZE_PATIENCE: Duration = Duration::from_secs(2);

/// A process that got SIGKILL is gone within this, or it is stuck in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Something bad that is done to the target, shown to have taken effect, and undone.
#[async_trait]
pub trait Fault: Send {
    type Record: Record;

    /// Acts. Whatever it returns, [`heal`](Fault::heal) follows.
    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError>;
    /// Undoes it, however far the injection came. Idempotent.
    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError>;
    /// How we know that it took effect, observed after the act.
    async fn proof(&mut self, scene: &Scene<'_>) -> Vec<Proof>;
    /// What was done.
    fn record(self: Box<Self>) -> Option<Self::Record>;
}

/// What a fault leaves behind for the judge.
pub trait Record {
    /// How we know what was done, and why it ended early, if it did.
    fn conclude(&mut self, proof: Vec<Proof>, error: Option<String>);
}

impl Record for StopRecord {
    fn conclude(&mut self, proof: Vec<Proof>, error: Option<String>) {
        (self.proof, self.error) = (proof, error);
    }
}

impl Record for DisturbanceRecord {
    fn conclude(&mut self, proof: Vec<Proof>, error: Option<String>) {
        (self.proof, self.error) = (proof, error);
    }
}

type Stopping = Box<dyn Fault<Record = StopRecord>>;

/// The registry: the stops that a step consists of, in order.
fn faults_of(step: &StepPlan) -> Vec<(&StopPlan, Stopping)> {
    let fault = |stop: &StopPlan| -> Stopping {
        match stop.mode {
            StopMode::Graceful => Box::new(GracefulStop::new(stop)),
            StopMode::Hard => Box::new(HardStop::new(stop)),
            StopMode::Pause | StopMode::PauseThenKill => Box::new(Pause::new(stop)),
        }
    };
    step.stops.iter().map(|stop| (stop, fault(stop))).collect()
}

/// How a disturbance is done: whoever knows what it strikes knows that.
fn blow_of(plan: &DisturbancePlan) -> Box<dyn Blow> {
    let blow = match plan.disturbance.subject() {
        Subject::Redis => redis::blow(plan),
        Subject::Database => database::blow(plan),
    };
    blow.expect("a test holds the registries to the list of disturbances")
}

/// Plays every step of the plan, or as far as the load lasts.
pub async fn play(
    plan: &Plan,
    deployment: &dyn Deployment,
    clock: &RunClock,
    watch: &dyn Watch,
    stop: &Stop,
) -> Incidents {
    let mut incidents = Incidents::default();
    let scene = deployment.processes().map(|processes| Scene { plan, deployment, processes, clock, watch, stop });
    for step in &plan.timeline {
        watch.event(Event::NextStep(Some((Offset::from_duration(step.at), step.id.clone()))));
        let due = clock.instant(Offset::from_duration(step.at));
        if stop.interrupt.run_until_cancelled(tokio::time::sleep_until(due)).await.is_none() {
            break;
        }
        let (record, cpu) = match &scene {
            Some(scene) => play_step(step, scene).await,
            None => (StepRecord::failed(step, clock.now(), "this backend cannot stop processes"), Vec::new()),
        };
        incidents.steps.push(record);
        incidents.add_cpu(cpu);
    }
    watch.event(Event::NextStep(None));
    incidents.interrupted = stop.interrupt.is_cancelled();
    incidents.roster = deployment.roster();
    incidents.ejections = deployment.endpoints().ejections();
    incidents
}

/// Plays a step once its condition holds; and what processor time everybody had used at its begin and its end, so
/// that the time between two steps can be told apart.
async fn play_step(step: &StepPlan, scene: &Scene<'_>) -> (StepRecord, Vec<CpuReading>) {
    let mut cpu = Vec::new();
    let condition = match step.when {
        None => None,
        Some(when) => match condition::met(scene, when).await {
            Ok(met) => Some(met),
            Err(why) => return (StepRecord::failed(step, scene.clock.now(), &why), cpu),
        },
    };
    cpu.extend(cpu::read(scene.deployment, scene.clock));
    let mut record = StepRecord { condition, ..StepRecord::begin(step, scene.clock.now()) };
    record.error = play_acts(step, scene, &mut record).await.err();
    record.ended = scene.clock.now();
    cpu.extend(cpu::read(scene.deployment, scene.clock));
    (record, cpu)
}

/// The starts of a step, then its stops, then its disturbance, in order, until one of them cannot be played.
async fn play_acts(step: &StepPlan, scene: &Scene<'_>, record: &mut StepRecord) -> Result<(), String> {
    for planned in &step.starts {
        let of = |why| format!("{}: {why}", planned.id);
        let done = in_time(scene, async { Ok(scale::start(scene, planned).await) }).await.map_err(of)?;
        let failed = done.error.clone();
        scene.watch.event(Event::Note(words::of_start(&done)));
        record.starts.push(done);
        failed.map_or(Ok(()), |why| Err(of(format!("failed to {why}"))))?;
    }
    for (planned, fault) in faults_of(step) {
        let of = |why| format!("{}: {why}", planned.id);
        let done = in_time(scene, play_fault(fault, scene)).await.map_err(of)?;
        scene.watch.event(Event::Note(words::of_stop(&done)));
        record.stops.push(done);
    }
    if let Some(planned) = &step.disturbance {
        let of = |why| format!("{}: {why}", planned.id);
        let fault = Box::new(Disturbing::by(blow_of(planned), planned));
        let done = in_time(scene, play_fault(fault, scene)).await.map_err(of)?;
        scene.watch.event(Event::Note(words::of_disturbance(&done)));
        record.disturbance = Some(done);
    }
    Ok(())
}

/// Plays an act if there is still load to play it under.
async fn in_time<T>(scene: &Scene<'_>, act: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    too_late(scene).map_or(Ok(()), Err)?;
    scene.clock.next_epoch();
    act.await
}

/// A part of an act, until the run is told to stop at once: then nobody waits, not even for healing, but nobody is left
/// frozen either, and what was done so far is on record.
async fn until_aborted<T>(
    scene: &Scene<'_>,
    part: impl Future<Output = Result<T, ControlError>>,
) -> Result<T, ControlError> {
    let ended = scene.stop.abort.run_until_cancelled(part).await;
    ended.unwrap_or_else(|| {
        thaw_everybody(scene);
        Err(ControlError::Aborted)
    })
}

fn thaw_everybody(scene: &Scene<'_>) {
    for instance in scene.deployment.alive().iter().filter(|instance| instance.is_frozen()) {
        // One that ended in this moment is not frozen any more.
        let _ = scene.processes.signal(instance.id, Signal::SIGCONT);
    }
    if let Some(redis) = scene.deployment.redis().filter(|redis| redis.process().is_frozen()) {
        let _ = redis.signal(Signal::SIGCONT);
    }
    let frozen = |database: &&dyn DatabaseControl| database.processes().iter().any(|process| process.is_frozen());
    if let Some(database) = scene.deployment.database().filter(frozen) {
        let _ = database.signal(Signal::SIGCONT);
    }
}

/// A fault proves something only under load.
fn too_late(scene: &Scene<'_>) -> Option<String> {
    if scene.stop.interrupt.is_cancelled() {
        return Some("the run was interrupted".into());
    }
    let load_end = Offset::from_duration(scene.plan.load_end());
    (scene.clock.now() >= load_end).then(|| format!("the load had ended at {load_end}"))
}

/// Inject, heal whatever happened, look for proof. An error means that there was nobody to strike.
async fn play_fault<R: Record>(mut fault: Box<dyn Fault<Record = R>>, scene: &Scene<'_>) -> Result<R, String> {
    let injected = until_aborted(scene, fault.inject(scene)).await;
    let healed = until_aborted(scene, fault.heal(scene)).await;
    let proof = until_aborted(scene, async { Ok(fault.proof(scene).await) }).await;
    let (proof, unseen) = proof.map_or_else(|e| (Vec::new(), Some(e)), |proof| (proof, None));
    let error = injected.and(healed).err().or(unseen).map(|e| e.to_string());
    let Some(mut record) = fault.record() else {
        return Err(format!("failed to {}", error.as_deref().unwrap_or("find a victim")));
    };
    record.conclude(proof, error);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Disturbance;

    #[test]
    fn every_disturbance_can_be_done() {
        for sheet in Disturbance::all() {
            let (lasts, delay) = (sheet.lasts.unwrap_or_default(), sheet.delay.unwrap_or_default());
            let (hold_within, window, window_acks_min) = (Duration::ZERO, Duration::ZERO, 0);
            let (id, disturbance) = (sheet.word.to_owned(), sheet.disturbance);
            let plan = DisturbancePlan { id, disturbance, lasts, delay, hold_within, window, window_acks_min };
            let lasting = blow_of(&plan).symptom().is_some();
            assert!(!lasting || sheet.lasts.is_some(), "{} is over as soon as it is done", sheet.word);
        }
    }
}
