//! One slot filled that was empty: scaling out under load. Scaling in is a graceful stop without a replacement.

use super::incident::{Proof, StartRecord};
use super::{Scene, proofs, until_aborted};
use crate::backends::{ControlError, Instance};
use crate::plan::StartPlan;
use crate::readback::depth::DepthProbe;

/// Starts an instance and shows that it is there.
pub(super) async fn start(scene: &Scene<'_>, plan: &StartPlan) -> StartRecord {
    let mut record = StartRecord {
        id: plan.id.clone(),
        began: scene.clock.now(),
        backlog: backlog(scene).await,
        instance: None,
        ready: None,
        proof: Vec::new(),
        error: None,
    };
    match until_aborted(scene, fill(scene, plan)).await {
        Ok(instance) => {
            record.ready = Some(scene.clock.now());
            record.proof = proof(scene, &instance).await;
            record.instance = Some(instance);
        }
        Err(e) => record.error = Some(e.to_string()),
    }
    record
}

async fn fill(scene: &Scene<'_>, plan: &StartPlan) -> Result<Instance, ControlError> {
    if let Some(there) = scene.processes.in_slot(&plan.slot) {
        return Err(ControlError::Start(format!("{} fills {} already", there.name, plan.slot)));
    }
    scene.processes.start(&plan.slot).await
}

/// What the buffer holds, wherever it is; `None`: it could not be read.
async fn backlog(scene: &Scene<'_>) -> Option<u64> {
    let look = DepthProbe::new(&scene.deployment.sources()).look(scene.deployment).await.ok()?;
    Some(look.depth.ready + look.depth.leased + look.depth.delayed)
}

async fn proof(scene: &Scene<'_>, instance: &Instance) -> Vec<Proof> {
    let mut all = vec![proofs::process_of_its_own(scene, instance), proofs::accepts_connections(instance).await];
    if instance.slot.role.answers_requests() {
        all.push(proofs::in_rotation(scene, instance));
    }
    all.push(proofs::answers_probes(scene, instance).await);
    all
}
