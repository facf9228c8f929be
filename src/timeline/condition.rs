//! What a step waits for in the target, looked at by a probe of its own until it holds or the load ends.

use std::time::Duration;

use super::Scene;
use super::incident::Met;
use crate::clock::Offset;
use crate::plan::{Condition, ConditionMetric};
use crate::readback::depth::DepthProbe;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(50);

/// Waits until the condition holds; the error says why it will not any more. A look that fails is none: the buffer may
/// be struck at this moment.
pub(super) async fn met(scene: &Scene<'_>, condition: Condition) -> Result<Met, String> {
    let load_end = Offset::from_duration(scene.plan.load_end());
    let mut probe = DepthProbe::new(&scene.deployment.sources());
    let mut highest = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if scene.stop.interrupt.run_until_cancelled(ticks.tick()).await.is_none() {
            return Err(format!("the run was interrupted before {condition} held"));
        }
        let at = scene.clock.now();
        if at >= load_end {
            return Err(format!("{condition} never held until the load ended at {load_end}: {}", seen(highest)));
        }
        let Some(value) = look(scene, &mut probe, condition.metric).await else { continue };
        highest = highest.max(Some(value));
        if value >= condition.at_least {
            return Ok(Met { at, value });
        }
    }
}

async fn look(scene: &Scene<'_>, probe: &mut DepthProbe, metric: ConditionMetric) -> Option<u64> {
    let look = probe.look(scene.deployment).await.ok()?;
    match metric {
        ConditionMetric::BufferSize => Some(look.depth.ready),
    }
}

fn seen(highest: Option<u64>) -> String {
    highest.map_or_else(|| "it could not be read".to_owned(), |most| format!("at most {most} was seen"))
}
