//! A pause, as a node that hangs: SIGSTOP in the middle of work, long enough that whatever the instance holds must be
//! taken over by others. What the database has is read before it goes on, because afterwards it writes late and hides
//! what was missing. Then it goes on, a zombie with leases that are no longer its own, or it is killed.
//!
//! ```text
//! hold a task ─ SIGSTOP ─ read what it holds ─ others take over ─ checkpoint ┬ SIGCONT ─ release ─ ready
//!                  └────────────── state T, and no answer ───────────────────┴ SIGKILL ─ replacement ready
//! ```
//!
//! # Why its state is read so often
//! A checkpoint proves something only if the instance stood still until it was read: its state is `T` when it is
//! struck, just before the checkpoint is read, and after it.

use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::incident::{Exposure, Proof, StopRecord};
use super::{FREEZE_PATIENCE, Fault, KILL_PATIENCE, Scene, exposure, proofs};
use crate::backends::ControlError;
use crate::clock::Offset;
use crate::plan::{StopMode, StopPlan};
use crate::readback;

/// Between two attempts to catch a victim with something in its hands: no multiple of a flush interval.
const NEXT_ATTEMPT: Duration = Duration::from_millis(17);

pub(super) struct Pause {
    plan: StopPlan,
    record: Option<StopRecord>,
    seen: Seen,
}

/// What was seen of the frozen process, and of the thawed one.
#[derive(Default)]
pub(super) struct Seen {
    /// Its state letter when it was struck, just before the checkpoint was read, and after it.
    pub states: Vec<(Offset, Option<char>)>,
    /// A readiness probe that began while it was frozen found it ready.
    pub answered: Option<bool>,
    /// Its readiness was good again.
    pub ready_again: Option<Offset>,
}

impl Pause {
    pub fn new(plan: &StopPlan) -> Self {
        Pause { plan: plan.clone(), record: None, seen: Seen::default() }
    }
}

/// Freezes the victim while it holds something.
async fn freeze(scene: &Scene<'_>, record: &mut StopRecord, plan: &StopPlan) -> Result<(), ControlError> {
    if plan.hold.is_none() {
        return catch(scene, record, plan).await;
    }
    record.held = exposure::hold(scene, &record.victim, plan).await?;
    stop(scene, record).await?;
    let read = exposure::read(scene, &record.victim, plan, record.held).await;
    record.exposure = exposure::confirm(scene, &record.victim, record.held, read).await;
    Ok(())
}

async fn stop(scene: &Scene<'_>, record: &mut StopRecord) -> Result<(), ControlError> {
    scene.processes.signal(record.victim.id, Signal::SIGSTOP)?;
    scene.processes.frozen(record.victim.id, FREEZE_PATIENCE).await?;
    record.frozen = Some(scene.clock.now());
    Ok(())
}

/// Without a pause point: freezes it, and lets it go on as long as it is found to hold nothing.
async fn catch(scene: &Scene<'_>, record: &mut StopRecord, plan: &StopPlan) -> Result<(), ControlError> {
    let deadline = scene.clock.now().plus(plan.hold_within);
    loop {
        stop(scene, record).await?;
        record.exposure = exposure::read(scene, &record.victim, plan, None).await;
        if record.exposure != (Exposure::Leases { tasks: 0 }) {
            return Ok(());
        }
        record.frozen = None;
        scene.processes.signal(record.victim.id, Signal::SIGCONT)?;
        if scene.clock.now() >= deadline || scene.stop.interrupt.is_cancelled() {
            let what = format!("freeze {} while it holds something", record.victim.name);
            return Err(ControlError::TimedOut { what, within: plan.hold_within });
        }
        tokio::time::sleep(NEXT_ATTEMPT).await;
    }
}

/// Lets others take over for as long as planned, and looks meanwhile whether it answers.
async fn last(scene: &Scene<'_>, record: &StopRecord, plan: &StopPlan, seen: &mut Seen) -> Result<(), ControlError> {
    let frozen = record.frozen.unwrap_or_else(|| scene.clock.now());
    let over = tokio::time::sleep_until(scene.clock.instant(frozen.plus(plan.lasts)));
    let probed = scene.processes.probed(record.victim.id, plan.lasts);
    let wait = async {
        seen.answered = probed.await.ok();
        over.await;
    };
    let uninterrupted = scene.stop.interrupt.run_until_cancelled(wait).await;
    uninterrupted.ok_or_else(|| ControlError::Interrupted { what: format!("keep {} frozen", record.victim.name) })
}

/// The read-back, between two looks at a process that must stand still.
async fn checkpoint(scene: &Scene<'_>, record: &mut StopRecord, seen: &mut Seen) {
    seen.look(scene, record);
    record.checkpoint = Some(readback::checkpoint(scene.deployment, scene.plan, &record.id, scene.clock).await);
    seen.look(scene, record);
}

/// It goes on with whatever it held.
async fn thaw(scene: &Scene<'_>, record: &mut StopRecord) -> Result<(), ControlError> {
    scene.processes.signal(record.victim.id, Signal::SIGCONT)?;
    record.resumed = record.resumed.or(Some(scene.clock.now()));
    if let Some(held) = &mut record.held {
        scene.processes.release(record.victim.id, held.point).await?;
        held.released = Some(scene.clock.now());
    }
    Ok(())
}

async fn kill(scene: &Scene<'_>, record: &mut StopRecord) -> Result<(), ControlError> {
    record.signalled = Some(scene.clock.now());
    scene.processes.signal(record.victim.id, Signal::SIGKILL)?;
    record.exit = scene.processes.exited(record.victim.id, KILL_PATIENCE).await?;
    Ok(())
}

/// Waits for a good readiness probe.
async fn ready(scene: &Scene<'_>, record: &StopRecord) -> Result<Offset, ControlError> {
    let (victim, within) = (&record.victim, scene.plan.target.ready_within);
    let good = async {
        while !scene.processes.probed(victim.id, within).await? {
            if victim.is_gone() {
                return Err(ControlError::Gone { name: victim.name.clone() });
            }
        }
        Ok(scene.clock.now())
    };
    let timed_out = |_| ControlError::TimedOut { what: format!("find {} ready again", victim.name), within };
    tokio::time::timeout(within, good).await.map_err(timed_out)?
}

impl Seen {
    fn look(&mut self, scene: &Scene<'_>, record: &StopRecord) {
        self.states.push((scene.clock.now(), record.victim.state()));
    }
}

#[async_trait]
impl Fault for Pause {
    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let slot = &self.plan.slot;
        let victim = scene.processes.in_slot(slot).ok_or_else(|| ControlError::EmptySlot(slot.to_string()))?;
        let record = self.record.insert(StopRecord::begin(&self.plan, &victim, self.plan.mode, scene.clock.now()));
        freeze(scene, record, &self.plan).await?;
        self.seen.look(scene, record);
        last(scene, record, &self.plan, &mut self.seen).await?;
        checkpoint(scene, record, &mut self.seen).await;
        match self.plan.mode {
            StopMode::PauseThenKill => kill(scene, record).await,
            StopMode::Pause | StopMode::Graceful | StopMode::Hard => thaw(scene, record).await,
        }
    }

    /// Whatever is not killed goes on; a killed one is replaced.
    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let Some(record) = &mut self.record else { return Ok(()) };
        if record.exit.is_none() && record.signalled.is_none() {
            if record.victim.is_frozen() || record.held.is_some_and(|held| held.released.is_none()) {
                thaw(scene, record).await?;
            }
            self.seen.ready_again = Some(ready(scene, record).await?);
        } else if scene.processes.in_slot(&self.plan.slot).is_none() {
            record.replacement = Some(scene.processes.start(&self.plan.slot).await?);
        }
        record.healed = Some(scene.clock.now());
        Ok(())
    }

    async fn proof(&mut self, scene: &Scene<'_>) -> Vec<Proof> {
        let Some(record) = &self.record else { return Vec::new() };
        let mut all = vec![proofs::stood_still(&self.seen.states), proofs::did_not_answer(record, self.seen.answered)];
        match self.plan.mode {
            StopMode::PauseThenKill => {
                all.push(proofs::ended_by_sigkill(record));
                all.push(proofs::replaced(scene, record));
                all.push(proofs::refuses_connections(&record.victim).await);
            }
            StopMode::Pause | StopMode::Graceful | StopMode::Hard => {
                all.push(proofs::goes_on(record));
                all.push(proofs::ready_again(record, self.seen.ready_again));
            }
        }
        all
    }

    fn record(self: Box<Self>) -> Option<StopRecord> {
        self.record
    }
}
