//! The disturbance of a step: how long it lasts, and what must be seen around it.

use std::time::Duration;

use crate::disturbance::Sheet;
use crate::plan::{Disturbance, DisturbancePlan, Lab, StepPlan};
use crate::scenario::{Place, Step};

use super::Remarks;
use super::defaults::HOLD_WITHIN;
use super::stops::window;
use super::target::period;
use super::timeline::{Around, Asked};

/// `None`: there is nothing that it could strike; [`refuse_what_cannot_be_struck`] has said so.
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
    (around.target.strategy.shared() && matches!(around.lab, Lab::Own)).then_some(plan)
}

/// One problem for all of them: there is no Redis, or it is not the run's own.
pub fn refuse_what_cannot_be_struck(steps: &[Step], around: &Around<'_>, remarks: &mut Remarks) {
    let disturbing = |step: &Step| match step {
        Step::Disturb(disturbance, fields) => Some((disturbance.word(), fields.place.clone())),
        _ => None,
    };
    let all: Vec<(&str, Place)> = steps.iter().filter_map(disturbing).collect();
    let Some(((word, place), others)) = all.split_first() else { return };
    let strikes = match others.len() {
        0 => format!("`{word}` strikes Redis"),
        n => format!("`{word}` and {n} more steps strike Redis"),
    };
    match (around.target.strategy, around.lab) {
        (strategy, _) if !strategy.shared() => {
            let message = format!("{strikes}, and with strategy {} there is none", strategy.word());
            remarks.problem(place, message, "choose `--strategy redis`, or leave them out");
        }
        (_, Lab::Kept { name, .. }) => {
            let message = format!("{strikes}, and that of the lab `{name}` is its keeper's");
            let help = "leave `--attach` out: a run that brings up its own lab may strike its Redis";
            remarks.problem(place, message, help);
        }
        (_, Lab::Own) => {}
    }
}

/// Whether some step needs of the target's Redis what its sheet says.
pub fn need(steps: &[StepPlan], what: fn(&Sheet) -> bool) -> bool {
    let mut disturbances = steps.iter().filter_map(|step| step.disturbance.as_ref());
    disturbances.any(|planned| what(planned.disturbance.sheet()))
}
