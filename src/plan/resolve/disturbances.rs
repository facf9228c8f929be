//! The disturbance of a step: how long it lasts, and what must be seen around it.

use std::time::Duration;

use crate::plan::{Disturbance, DisturbancePlan, Lab, StepPlan};

use super::Remarks;
use super::defaults::HOLD_WITHIN;
use super::stops::window;
use super::target::period;
use super::timeline::{Around, Asked};

/// `None`: there is nothing that it could strike, and that is a problem.
pub fn resolve(
    asked: &Asked<'_>,
    disturbance: Disturbance,
    around: &Around<'_>,
    remarks: &mut Remarks,
) -> Option<DisturbancePlan> {
    let (fields, sheet) = (asked.fields, disturbance.sheet());
    let (window, window_acks_min) = window(fields, around, remarks);
    let plan = DisturbancePlan {
        id: asked.id.clone(),
        disturbance,
        lasts: sheet.lasts.map_or(Duration::ZERO, |default| period(&fields.lasts, default)),
        delay: sheet.delay.map_or(Duration::ZERO, |default| period(&fields.delay, default)),
        hold_within: HOLD_WITHIN,
        window,
        window_acks_min,
    };
    can_be_struck(asked, disturbance, around, remarks).then_some(plan)
}

/// Whether there is a Redis, and whether it is the run's own.
fn can_be_struck(asked: &Asked<'_>, disturbance: Disturbance, around: &Around<'_>, remarks: &mut Remarks) -> bool {
    let (word, place) = (disturbance.word(), &asked.fields.place);
    if !around.target.strategy.shared() {
        let message =
            format!("`{word}` strikes Redis, and with strategy {} there is none", around.target.strategy.word());
        remarks.problem(place, message, "choose `strategy: redis`, or leave the step out");
        return false;
    }
    if let Lab::Kept { name, .. } = around.lab {
        let message = format!("`{word}` strikes Redis, and that of the lab `{name}` is its keeper's");
        let help = "leave `--attach` out: a run that brings up its own lab may strike its Redis";
        remarks.problem(place, message, help);
        return false;
    }
    true
}

/// Whether the instances must reach Redis through a proxy.
pub fn need_proxy(steps: &[StepPlan]) -> bool {
    let mut disturbances = steps.iter().filter_map(|step| step.disturbance.as_ref());
    disturbances.any(|planned| planned.disturbance.sheet().proxied)
}
