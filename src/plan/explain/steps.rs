//! The time line in words: who is added and who is struck when, by what, and how it is made sure that the victim holds
//! work then.

use crate::disturbance::Sheet;
use crate::plan::{DisturbancePlan, PausePoint, Plan, Replaced, StepKind, StepPlan, StopMode, StopPlan};
use crate::scenario::Period;

use super::Page;

pub fn timeline(plan: &Plan, page: &mut Page) {
    page.heading("Time line");
    if plan.timeline.is_empty() {
        page.sentence("nothing is stopped");
    }
    for (i, step) in plan.timeline.iter().enumerate() {
        page.line(format_args!("  {}{}, {}", step.id, mode(step), begin(step, i)));
        starts(step, page);
        stops(step, page);
        disturbance(step, page);
    }
}

/// How its victims are stopped, where its word does not say it.
fn mode(step: &StepPlan) -> String {
    let mode = step.stops.first().map(|stop| stop.mode);
    match (step.kind, mode) {
        (StepKind::Pause, Some(StopMode::PauseThenKill)) => ", then kill".to_owned(),
        (StepKind::Pause, _) => ", then resume".to_owned(),
        (StepKind::Scale, _) | (_, None) => String::new(),
        (_, Some(mode)) => format!(", {}", mode.word()),
    }
}

fn begin(step: &StepPlan, index: usize) -> String {
    let at = if step.at.is_zero() { "the start".to_owned() } else { Period(step.at).to_string() };
    let after = if index == 0 { "" } else { ", or when the step before has ended" };
    let when = step.when.map_or_else(String::new, |when| format!(", and then as soon as {when}"));
    format!("at {at}{after}{when}")
}

fn starts(step: &StepPlan, page: &mut Page) {
    if step.starts.is_empty() {
        return;
    }
    let added: Vec<String> = step.starts.iter().map(|start| start.slot.to_string()).collect();
    page.line(format_args!("    added, one after the other, each until it is ready: {}", added.join(", ")));
}

fn stops(step: &StepPlan, page: &mut Page) {
    let Some(first) = step.stops.first() else { return };
    page.line(format_args!("    each in turn: {}", act(first)));
    for stop in &step.stops {
        page.line(format_args!(
            "    {:<10} holds {}",
            stop.slot.to_string(),
            stop.hold.map_or_else(|| "something at the moment at which it is struck".to_owned(), held)
        ));
    }
    page.line(format_args!(
        "    a task is awaited for {}; the {} before and after each stop need {} acks in all",
        Period(first.hold_within),
        Period(first.window),
        first.window_acks_min
    ));
}

fn disturbance(step: &StepPlan, page: &mut Page) {
    let Some(planned) = &step.disturbance else { return };
    let DisturbancePlan { disturbance, lasts, delay, hold_within, window, window_acks_min, .. } = planned;
    let by = if delay.is_zero() { String::new() } else { format!(" by {}", Period(*delay)) };
    let Sheet { act, undo, .. } = disturbance.sheet();
    let lasting = if lasts.is_zero() { String::new() } else { format!(" for {}", Period(*lasts)) };
    let then = if undo.is_empty() { String::new() } else { format!("{lasting}, then {undo}") };
    page.line(format_args!("    {act}{by}{then}"));
    page.line(format_args!(
        "    a task in the buffer is awaited for {}; the {} before and after it need {window_acks_min} acks each",
        Period(*hold_within),
        Period(*window)
    ));
}

fn act(stop: &StopPlan) -> String {
    let hold =
        if stop.hold.is_some() { "hold a task, SIGSTOP" } else { "SIGSTOP at any moment at which it holds something" };
    let lasts = Period(stop.lasts);
    match stop.mode {
        StopMode::Graceful => graceful(stop),
        StopMode::Hard => format!("{hold}, read what the instance holds, SIGKILL, start a new one"),
        StopMode::Pause => {
            format!("{hold}, read what it holds, a checkpoint of the database after {lasts}, SIGCONT, ready again")
        }
        StopMode::PauseThenKill => {
            format!("{hold}, read what it holds, a checkpoint of the database after {lasts}, SIGKILL, start a new one")
        }
    }
}

fn graceful(stop: &StopPlan) -> String {
    let (before, after) = match stop.replaced {
        Replaced::Before => ("start a new one, ", ""),
        Replaced::After => ("", ", then start a new one"),
        Replaced::Never => ("", "; its slot stays empty"),
    };
    let old = if stop.replaced == Replaced::Before { "the old one" } else { "it" };
    let grace = Period(stop.grace);
    format!("{before}hold a task, read what {old} holds, SIGTERM, release, SIGKILL after {grace}{after}")
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
