//! The time line in words: who is struck when, by what, and how it is made sure that the victim holds work then.

use crate::plan::{PausePoint, Plan, StepPlan, StopMode, StopPlan};
use crate::scenario::Period;

use super::Page;

pub fn timeline(plan: &Plan, page: &mut Page) {
    page.heading("Time line");
    if plan.timeline.is_empty() {
        page.sentence("nothing is stopped");
    }
    for (i, step) in plan.timeline.iter().enumerate() {
        describe(step, i, page);
    }
}

fn describe(step: &StepPlan, index: usize, page: &mut Page) {
    let Some(first) = step.stops.first() else { return };
    let begin = match index {
        0 => format!("at {}", at(step)),
        _ => format!("at {}, or when the step before has ended", at(step)),
    };
    page.line(format_args!("  {}, {}, {begin}", step.id, first.mode.word()));
    page.line(format_args!("    each in turn: {}", act(first)));
    for stop in &step.stops {
        page.line(format_args!(
            "    {:<10} holds {}",
            stop.slot.to_string(),
            stop.hold.map_or_else(|| "whatever it holds at that moment".to_owned(), held)
        ));
    }
    page.line(format_args!(
        "    a task is awaited for {}; the {} before and after each stop need {} acks in all",
        Period(first.hold_within),
        Period(first.window),
        first.window_acks_min
    ));
}

fn at(step: &StepPlan) -> String {
    if step.at.is_zero() { "the start".to_owned() } else { Period(step.at).to_string() }
}

fn act(stop: &StopPlan) -> String {
    match stop.mode {
        StopMode::Graceful => format!(
            "start a new one, hold a task, read what the old one holds, SIGTERM, release, SIGKILL after {}",
            Period(stop.grace)
        ),
        StopMode::Hard => "hold a task, SIGSTOP, read what the instance holds, SIGKILL, start a new one".to_owned(),
        StopMode::Pause => format!("hold a task, SIGSTOP, a checkpoint after {}, SIGCONT", Period(stop.lasts)),
        StopMode::PauseThenKill => {
            format!("hold a task, SIGSTOP, a checkpoint after {}, SIGKILL, start a new one", Period(stop.lasts))
        }
    }
}

fn held(point: PausePoint) -> String {
    let what = match point {
        PausePoint::OfferRegistered => "an offer that the buffer has not been asked to take",
        PausePoint::OfferStored => "an offer that the buffer has taken and nobody has answered",
        PausePoint::WorkerLeased => "a leased batch that is not in the database",
        PausePoint::WorkerCommitted => "a committed batch whose lease is not acknowledged",
    };
    format!("{what} ({})", point.word())
}
