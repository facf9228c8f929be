//! The faults of a plan, played in order, each with proof that it took effect.
//!
//! In: the plan's steps and a deployment. Out: [`Incidents`]: what was done to whom, when, what the victim held at
//! that moment, and how we know. Nothing is left held or frozen when `play` returns.
//!
//! One fault a file. A new one is a file with `impl Fault`, and its line in `faults_of`.

mod exposure;
mod graceful_stop;
mod hard_stop;
pub mod incident;
mod proofs;

use std::time::Duration;

use async_trait::async_trait;

pub use incident::{Exposure, Held, Incidents, Proof, StepRecord, StopRecord};

use crate::backends::{ControlError, Deployment, ProcessControl};
use crate::clock::{Offset, RunClock};
use crate::plan::{Plan, StepPlan, StopMode, StopPlan};
use crate::stop::Stop;
use crate::watch::{Event, Watch};
use graceful_stop::GracefulStop;
use hard_stop::HardStop;

/// Where a fault acts.
pub struct Scene<'a> {
    pub plan: &'a Plan,
    pub deployment: &'a dyn Deployment,
    pub processes: &'a dyn ProcessControl,
    pub clock: &'a RunClock,
    pub watch: &'a dyn Watch,
    pub stop: &'a Stop,
}

/// A process that got SIGKILL is gone within this, or it is stuck in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Something bad that is done to the target, shown to have taken effect, and undone.
#[async_trait]
pub trait Fault: Send {
    /// Acts. Whatever it returns, [`heal`](Fault::heal) follows.
    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError>;
    /// Undoes it, however far the injection came. Idempotent.
    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError>;
    /// How we know that it took effect, observed after the act.
    async fn proof(&mut self, scene: &Scene<'_>) -> Vec<Proof>;
    /// What was done.
    fn record(self: Box<Self>) -> Option<StopRecord>;
}

/// The registry: the faults that a step consists of, in order.
fn faults_of(step: &StepPlan) -> Vec<(&StopPlan, Box<dyn Fault>)> {
    let fault = |stop: &StopPlan| -> Box<dyn Fault> {
        match stop.mode {
            StopMode::Graceful => Box::new(GracefulStop::new(stop)),
            StopMode::Hard | StopMode::Pause | StopMode::PauseThenKill => Box::new(HardStop::new(stop)),
        }
    };
    step.stops.iter().map(|stop| (stop, fault(stop))).collect()
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
        let mut record = StepRecord::begin(step, clock.now());
        match &scene {
            Some(scene) => play_step(step, scene, &mut record).await,
            None => record.error = Some("this backend cannot stop processes".into()),
        }
        record.ended = clock.now();
        incidents.steps.push(record);
    }
    watch.event(Event::NextStep(None));
    incidents.interrupted = stop.interrupt.is_cancelled();
    incidents.roster = deployment.roster();
    incidents.ejections = deployment.endpoints().ejections();
    incidents
}

/// Plays the faults of a step in order, until one of them cannot be played.
async fn play_step(step: &StepPlan, scene: &Scene<'_>, record: &mut StepRecord) {
    for (planned, fault) in faults_of(step) {
        match play_in_time(fault, scene).await {
            Ok(done) => {
                scene.watch.event(Event::Note(in_words(&done)));
                record.stops.push(done);
            }
            Err(why) => {
                record.error = Some(format!("{}: {why}", planned.id));
                return;
            }
        }
    }
}

/// Plays a fault if there is still load to play it under, and until the run is told to stop at once.
async fn play_in_time(fault: Box<dyn Fault>, scene: &Scene<'_>) -> Result<StopRecord, String> {
    too_late(scene).map_or(Ok(()), Err)?;
    scene.clock.next_epoch();
    let played = scene.stop.abort.run_until_cancelled(play_fault(fault, scene)).await;
    played.unwrap_or_else(|| Err("the run was told to stop at once".into()))
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
async fn play_fault(mut fault: Box<dyn Fault>, scene: &Scene<'_>) -> Result<StopRecord, String> {
    let injected = fault.inject(scene).await;
    let healed = fault.heal(scene).await;
    let proof = fault.proof(scene).await;
    let error = injected.and(healed).err().map(|e| e.to_string());
    let Some(mut record) = fault.record() else {
        return Err(format!("failed to {}", error.as_deref().unwrap_or("find a victim")));
    };
    (record.proof, record.error) = (proof, error);
    Ok(record)
}

fn in_words(stop: &StopRecord) -> String {
    let exposure = match &stop.exposure {
        Exposure::Leases { tasks } => format!("it held {tasks} leased tasks"),
        Exposure::OffersInFlight { operations } => format!("it held {operations} offers in flight"),
        Exposure::Unwritten(_) => "what it held is counted when judging".to_owned(),
        Exposure::NotRead { why } => format!("what it held is not known: {why}"),
    };
    let end = match &stop.error {
        None => format!("{} stop of {} done", stop.mode.word(), stop.victim.name),
        Some(e) => format!("{} stop of {} failed to {e}", stop.mode.word(), stop.victim.name),
    };
    format!("{end}; {exposure}")
}
