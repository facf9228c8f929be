//! What a victim holds when it is struck: made sure of by a pause point, then read where it can be read.

use std::time::Duration;

use super::Scene;
use super::incident::{Exposure, Held};
use crate::backends::{ControlError, Instance, QueueSource};
use crate::plan::{Role, StopPlan};
use crate::readback;
use crate::readback::queue::Queue;

/// Arms the stop's pause point and waits for a task to be held there; `None` when none came in time.
pub(super) async fn hold(scene: &Scene<'_>, victim: &Instance, plan: &StopPlan) -> Result<Option<Held>, ControlError> {
    let Some(point) = plan.hold else { return Ok(None) };
    scene.processes.hold(victim.id, point).await?;
    let held = scene.processes.held(victim.id, point, plan.hold_within).await?;
    if held.is_none() {
        scene.processes.release(victim.id, point).await?;
    }
    Ok(held.map(|tasks| Held { point, tasks, at: scene.clock.now(), released: None }))
}

/// What was read counts only if the task is held still: one that gave up (its client is gone, or its time is over)
/// was no longer at stake when the victim was struck.
pub(super) async fn confirm(scene: &Scene<'_>, victim: &Instance, held: Option<Held>, read: Exposure) -> Exposure {
    let Some(Held { point, .. }) = held else { return read };
    match scene.processes.held(victim.id, point, Duration::ZERO).await {
        Ok(Some(_)) => read,
        _ => Exposure::NotRead { why: format!("the task held at {} gave up before the signal", point.word()) },
    }
}

/// Reads what the victim holds: leases from the broker, offers from the pause point, and for a private buffer what
/// the database does not have, which judging joins with the ledger.
pub(super) async fn read(scene: &Scene<'_>, victim: &Instance, plan: &StopPlan, held: Option<Held>) -> Exposure {
    match (&scene.deployment.sources().queue, victim.slot.role) {
        (QueueSource::Private, _) => {
            let checkpoint = readback::checkpoint(scene.deployment, scene.plan, &plan.id, scene.clock).await;
            Exposure::Unwritten(Box::new(checkpoint))
        }
        (QueueSource::Redis { .. }, Role::Api) => Exposure::OffersInFlight { operations: held.map_or(0, |_| 1) },
        (QueueSource::Redis { url, key }, Role::Worker | Role::All) => leases(url, key, victim).await,
    }
}

async fn leases(url: &str, key: &str, victim: &Instance) -> Exposure {
    let read = async { Queue::new(url, key)?.leases_of(&victim.name).await };
    match read.await {
        Ok(tasks) => Exposure::Leases { tasks },
        Err(e) => Exposure::NotRead { why: e.to_string() },
    }
}
