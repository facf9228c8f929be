//! A graceful stop, as an orchestrator replaces an instance: a new one is started and ready, then the old one gets
//! SIGTERM, its own shutdown, and SIGKILL only after the grace. The replacement may also come after its end
//! (`terminate`), or never (scaling in).
//!
//! ```text
//! replacement ready ─ hold a task ─ read exposure ─ probe ─ SIGTERM ─ readiness off ─ release ─ exit
//!  (or after exit, or never)
//! ```
//!
//! # Why a task is held
//! A victim that holds nothing proves nothing by losing nothing. The held task is released only after SIGTERM was
//! noticed, and, where the victim answers requests, after it has stopped taking offers: released before, an offer would
//! end as on any other day, and the shutdown would never have to wait for one. SIGTERM follows a readiness probe at once:
//! requests go on coming until the next one.

use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::incident::{Held, Proof, StopRecord};
use super::{Fault, KILL_PATIENCE, Scene, exposure, proofs};
use crate::backends::{ControlError, Instance};
use crate::clock::Offset;
use crate::plan::{Replaced, StopMode, StopPlan};

pub(super) struct GracefulStop {
    plan: StopPlan,
    record: Option<StopRecord>,
    readiness_off: Option<Offset>,
}

impl GracefulStop {
    pub fn new(plan: &StopPlan) -> Self {
        GracefulStop { plan: plan.clone(), record: None, readiness_off: None }
    }
}

/// After the endpoint lag, a victim refuses connections within this, or it has no shutdown of this kind.
const REFUSES_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks.
const EVERY: Duration = Duration::from_millis(10);
/// A shutdown that does not wait for what is held has gone on without it by then.
const GOES_ON: Duration = Duration::from_millis(100);

/// SIGTERM just after a probe; the held task goes on once the victim's shutdown has come to it. Says when the victim had
/// noticed.
async fn terminate(scene: &Scene<'_>, record: &mut StopRecord) -> Result<Option<Offset>, ControlError> {
    let (victim, probe) = (&record.victim, &scene.plan.target.probe);
    let patience = (probe.interval + probe.timeout) * 5;
    scene.processes.probed(victim.id, patience).await?;
    let signalled = scene.clock.now();
    record.signalled = Some(signalled);
    scene.processes.signal(victim.id, Signal::SIGTERM)?;
    let readiness_off = readiness_off(scene, victim, patience).await;
    if record.held.is_some() && victim.slot.role.answers_requests() {
        tokio::time::sleep_until(scene.clock.instant(signalled.plus(probe.endpoint_lag))).await;
        until_it_refuses(victim).await;
    }
    record.exposure = exposure::confirm(scene, victim, record.held, record.exposure.clone()).await;
    if let Some(held) = &mut record.held {
        scene.processes.release(victim.id, held.point).await?;
        held.released = Some(scene.clock.now());
    }
    Ok(readiness_off)
}

/// Waits until the victim takes no connection any more, and a moment longer.
async fn until_it_refuses(victim: &Instance) {
    let refuses = async {
        while !proofs::refuses(victim).await {
            tokio::time::sleep(EVERY).await;
        }
        tokio::time::sleep(GOES_ON).await;
    };
    // One that goes on taking them is released all the same: what becomes of the held task then is its own doing.
    let _ = tokio::time::timeout(REFUSES_WITHIN, refuses).await;
}

async fn await_exit(scene: &Scene<'_>, record: &mut StopRecord, grace: Duration) -> Result<(), ControlError> {
    record.exit = scene.processes.exited(record.victim.id, grace).await?;
    if record.exit.is_none() {
        record.killed_after_grace = true;
        scene.processes.signal(record.victim.id, Signal::SIGKILL)?;
        record.exit = scene.processes.exited(record.victim.id, KILL_PATIENCE).await?;
    }
    Ok(())
}

/// Waits for a probe that finds the victim not ready.
async fn readiness_off(scene: &Scene<'_>, victim: &Instance, patience: Duration) -> Option<Offset> {
    let seen = async {
        while scene.processes.probed(victim.id, patience).await.ok()? {}
        Some(scene.clock.now())
    };
    tokio::time::timeout(patience, seen).await.ok().flatten()
}

#[async_trait]
impl Fault for GracefulStop {
    type Record = StopRecord;

    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let slot = &self.plan.slot;
        let victim = scene.processes.in_slot(slot).ok_or_else(|| ControlError::EmptySlot(slot.to_string()))?;
        let record = self.record.insert(StopRecord::begin(&self.plan, &victim, StopMode::Graceful, scene.clock.now()));
        if self.plan.replaced == Replaced::Before {
            record.replacement = Some(scene.processes.start(slot).await?);
        }
        record.held = exposure::hold(scene, &victim, &self.plan).await?;
        record.exposure = exposure::read(scene, &victim, &self.plan, record.held).await;
        self.readiness_off = terminate(scene, record).await?;
        await_exit(scene, record, self.plan.grace).await
    }

    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let Some(record) = &mut self.record else { return Ok(()) };
        if let Some(Held { point, released: None, .. }) = record.held
            && record.exit.is_none()
        {
            scene.processes.release(record.victim.id, point).await?;
        }
        let wanted = self.plan.replaced != Replaced::Never && record.replacement.is_none();
        if wanted && scene.processes.in_slot(&self.plan.slot).is_none() {
            record.replacement = Some(scene.processes.start(&self.plan.slot).await?);
        }
        record.healed = Some(scene.clock.now());
        Ok(())
    }

    async fn proof(&mut self, scene: &Scene<'_>) -> Vec<Proof> {
        let Some(record) = &self.record else { return Vec::new() };
        let mut all = match self.plan.replaced {
            Replaced::Before | Replaced::After => {
                vec![proofs::ended_by_itself(record), proofs::replaced(scene, record)]
            }
            Replaced::Never => vec![proofs::drained(record), proofs::slot_is_empty(scene, record)],
        };
        all.push(proofs::readiness_went_off(self.readiness_off, record));
        all.push(proofs::refuses_connections(&record.victim).await);
        all
    }

    fn record(self: Box<Self>) -> Option<StopRecord> {
        self.record
    }
}
