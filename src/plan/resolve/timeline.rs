//! The time line's part of a plan: every stop of every step, by name, in order.

use std::time::Duration;

use crate::plan::{LoadPlan, PausePoint, Replaced, Slot, StepKind, StepPlan, StopMode, StopPlan, TargetPlan};
use crate::scenario::{Entry, Period, Place, Scenario, Step, StepFields};

use super::defaults::{HOLD_WITHIN, WINDOW, WINDOW_ACKS};
use super::target::{grace, period};
use super::victims::Victims;
use super::words::{MODES, PAUSE_POINTS};
use super::{Remarks, Timeline};

/// The parts of a plan that a step refers to.
struct Around<'a> {
    target: &'a TargetPlan,
    load: &'a LoadPlan,
    /// Whether the load's rate and duration could be read.
    load_known: bool,
    victims: Victims<'a>,
}

pub fn resolve(scenario: &Scenario, target: &TargetPlan, load: &LoadPlan, remarks: &mut Remarks) -> Timeline {
    let before = remarks.problems.len();
    let around = Around {
        target,
        load,
        load_known: scenario.load.shape_is_readable(),
        victims: Victims::new(&scenario.target, target),
    };
    let all = scenario.timeline.iter().enumerate();
    let steps: Vec<StepPlan> = all.filter_map(|(i, written)| step(i + 1, written, &around, remarks)).collect();
    note_order(&steps, remarks);
    check_writes(scenario, load, &steps, remarks);
    let readable = scenario.timeline.iter().all(|s| *s != Step::Unreadable);
    Timeline { steps, whole: readable && remarks.problems.len() == before }
}

fn step(place: usize, written: &Step, around: &Around<'_>, remarks: &mut Remarks) -> Option<StepPlan> {
    let (kind, fields) = match written {
        Step::RollingUpdate(fields) => (StepKind::RollingUpdate, fields),
        Step::Kill(fields) => (StepKind::Kill, fields),
        Step::Unreadable => return None,
    };
    let id = format!("{place}:{}", kind.word());
    let at = at(fields, around, remarks);
    let stops = stops(&id, kind, fields, around, remarks);
    (!stops.is_empty()).then_some(StepPlan { id, kind, at, when: None, starts: Vec::new(), stops })
}

fn at(fields: &StepFields, around: &Around<'_>, remarks: &mut Remarks) -> Duration {
    let Some(at) = fields.at.given() else {
        if fields.at == Entry::Absent {
            remarks.problem(&fields.place, "nothing says when this step begins", "write `at: 10s`");
        }
        return Duration::ZERO;
    };
    let (begin, end) = (at.value.0, around.load.duration());
    if begin >= end && around.load_known {
        let message = format!("this step begins at {}, and the load ends at {}", Period(begin), Period(end));
        remarks.problem(&at.place, message, "write an earlier `at`, or a longer `duration` of the load");
    }
    begin
}

fn stops(id: &str, kind: StepKind, fields: &StepFields, around: &Around<'_>, remarks: &mut Remarks) -> Vec<StopPlan> {
    let mode = match kind {
        StepKind::RollingUpdate => MODES.meaning(&fields.mode, StopMode::Graceful, remarks),
        StepKind::Terminate => StopMode::Graceful,
        StepKind::Kill => StopMode::Hard,
        StepKind::Pause => StopMode::Pause,
        StepKind::Scale => StopMode::Graceful,
    };
    let lag = around.target.probe.endpoint_lag;
    let grace = grace(&fields.grace, around.target.grace, lag, remarks);
    let (window, window_acks_min) = window(fields, around, remarks);
    let victims = around.victims.of(id, kind, fields, remarks);
    let holds = holds(&victims, mode, fields, remarks);
    let stop = |(slot, hold): (Slot, PausePoint)| StopPlan {
        id: format!("{id}/{slot}"),
        slot,
        mode,
        replaced: if mode == StopMode::Graceful { Replaced::Before } else { Replaced::After },
        hold: Some(hold),
        hold_within: HOLD_WITHIN,
        grace,
        lasts: Duration::ZERO,
        window,
        window_acks_min,
    };
    victims.into_iter().zip(holds).map(stop).collect()
}

/// A window that could not hold the acks it needs would make the run inconclusive whatever happens.
fn window(fields: &StepFields, around: &Around<'_>, remarks: &mut Remarks) -> (Duration, u64) {
    let window = period(&fields.window, WINDOW);
    let acks = remarks.count("acks", &fields.window_acks, 1..=u64::from(u32::MAX), WINDOW_ACKS);
    let at = fields.at.given().map_or(Duration::ZERO, |at| at.value.0);
    let (due, rps) = due_around(at, window, around.load);
    let readable = fields.window.is_readable() && fields.window_acks.is_readable() && around.load_known;
    // A whole number of operations may come out of the sums a hair below itself.
    if due + 1e-6 < acks as f64 && readable {
        let message = format!(
            "a stop's window of ±{} holds {due:.0} operations at {rps} a second, and needs {acks} acks",
            Period(window)
        );
        let place = fields.window_acks.place().or(fields.window.place()).unwrap_or(&fields.place);
        remarks.problem(
            place,
            message,
            "raise the load's rate or `window`, or state a lower `window_acks` in the step",
        );
    }
    (window, acks)
}

/// Operations due in the whole window of a stop at this moment, and their mean rate. A window that reaches over an end
/// of the load is moved into it: when exactly the stop comes is not known yet.
fn due_around(at: Duration, window: Duration, load: &LoadPlan) -> (f64, f64) {
    let length = (window * 2).min(load.duration());
    let from = at.saturating_sub(window).min(load.duration() - length);
    let due = load.shape.operations_between(from, from + length);
    (due, (due / length.as_secs_f64() * 10.0).round() / 10.0)
}

/// Where a task is held, for each victim: by its role, or as the step says.
fn holds(victims: &[Slot], mode: StopMode, fields: &StepFields, remarks: &mut Remarks) -> Vec<PausePoint> {
    let default = |slot: &Slot| match (slot.role.writes_rows(), mode) {
        (true, _) => PausePoint::WorkerLeased,
        (false, StopMode::Graceful) => PausePoint::OfferRegistered,
        (false, _) => PausePoint::OfferStored,
    };
    let Some(said) = fields.hold.given() else { return victims.iter().map(default).collect() };
    let Some(first) = victims.first() else { return Vec::new() };
    let hold = PAUSE_POINTS.meaning(&fields.hold, default(first), remarks);
    if let Some(slot) = victims.iter().find(|slot| !passes(slot, hold)) {
        let message = format!("{slot} never passes {}: it is {}", hold.word(), with_article(slot.role.word()));
        remarks.problem(&said.place, message, "hold each role at a point of its own, in a step of its own");
    }
    vec![hold; victims.len()]
}

fn passes(slot: &Slot, point: PausePoint) -> bool {
    match point {
        PausePoint::OfferRegistered | PausePoint::OfferStored => slot.role.answers_requests(),
        PausePoint::WorkerLeased | PausePoint::WorkerCommitted => slot.role.writes_rows(),
    }
}

fn with_article(role: &str) -> String {
    if role.starts_with('a') { format!("an {role} instance") } else { format!("a {role}") }
}

/// Steps never overlap: the later of `at` and the end of the one before counts.
fn note_order(steps: &[StepPlan], remarks: &mut Remarks) {
    for pair in steps.windows(2).filter(|pair| pair[1].at < pair[0].at) {
        let (first, second) = (&pair[0], &pair[1]);
        remarks.note(format!("{} is written after {} and waits for its end", second.id, first.id));
    }
}

/// No write, no task: nothing would ever arrive at a pause point.
fn check_writes(scenario: &Scenario, load: &LoadPlan, steps: &[StepPlan], remarks: &mut Remarks) {
    let place = scenario.load.mix.place().cloned().unwrap_or_else(|| Place::Named("mix".to_owned()));
    if load.mix.read == 1000 && !steps.is_empty() {
        let help = "give `write-once` or `hot-key` a share, or leave the time line out";
        remarks.problem(&place, "this load writes nothing, so no stop could lose anything", help);
    }
}

impl StepKind {
    /// Its word in the scenario file.
    pub fn word(self) -> &'static str {
        match self {
            StepKind::RollingUpdate => "rolling-update",
            StepKind::Kill => "kill",
            StepKind::Terminate => "terminate",
            StepKind::Pause => "pause",
            StepKind::Scale => "scale",
        }
    }
}
