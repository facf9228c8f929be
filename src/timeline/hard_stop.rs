//! A hard stop, as a node dies: SIGKILL without notice, in the middle of work.
//!
//! ```text
//! hold a task ─ SIGSTOP ─ read what it holds ─ SIGKILL ─ gone ─ replacement ready
//! ```
//!
//! # Why it is frozen first
//! What a process held at its death can be read only while it stands still: afterwards it is gone, before it changes.

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::incident::{Proof, StopRecord};
use super::{FREEZE_PATIENCE, Fault, KILL_PATIENCE, Scene, exposure, proofs};
use crate::backends::ControlError;
use crate::plan::{StopMode, StopPlan};

pub(super) struct HardStop {
    plan: StopPlan,
    record: Option<StopRecord>,
}

impl HardStop {
    pub fn new(plan: &StopPlan) -> Self {
        HardStop { plan: plan.clone(), record: None }
    }
}

#[async_trait]
impl Fault for HardStop {
    type Record = StopRecord;

    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let slot = &self.plan.slot;
        let victim = scene.processes.in_slot(slot).ok_or_else(|| ControlError::EmptySlot(slot.to_string()))?;
        let record = self.record.insert(StopRecord::begin(&self.plan, &victim, StopMode::Hard, scene.clock.now()));
        record.held = exposure::hold(scene, &victim, &self.plan).await?;
        scene.processes.signal(victim.id, Signal::SIGSTOP)?;
        scene.processes.frozen(victim.id, FREEZE_PATIENCE).await?;
        record.frozen = Some(scene.clock.now());
        let read = exposure::read(scene, &victim, &self.plan, record.held).await;
        record.exposure = exposure::confirm(scene, &victim, record.held, read).await;
        record.signalled = Some(scene.clock.now());
        scene.processes.signal(victim.id, Signal::SIGKILL)?;
        record.exit = scene.processes.exited(victim.id, KILL_PATIENCE).await?;
        Ok(())
    }

    /// A frozen victim is killed, whatever went wrong: thawed, it would be another fault.
    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let Some(record) = &mut self.record else { return Ok(()) };
        if record.exit.is_none() && scene.processes.signal(record.victim.id, Signal::SIGKILL).is_ok() {
            record.exit = scene.processes.exited(record.victim.id, KILL_PATIENCE).await?;
        }
        if scene.processes.in_slot(&self.plan.slot).is_none() {
            record.replacement = Some(scene.processes.start(&self.plan.slot).await?);
        }
        record.healed = Some(scene.clock.now());
        Ok(())
    }

    async fn proof(&mut self, scene: &Scene<'_>) -> Vec<Proof> {
        let Some(record) = &self.record else { return Vec::new() };
        vec![
            proofs::was_frozen(record),
            proofs::ended_by_sigkill(record),
            proofs::replaced(scene, record),
            proofs::refuses_connections(&record.victim).await,
        ]
    }

    fn record(self: Box<Self>) -> Option<StopRecord> {
        self.record
    }
}
