//! The stops of a step: what is done to each victim, where it holds a task, and what must be seen around it.

use std::time::Duration;

use crate::plan::{Database, LoadPlan, PausePoint, Replaced, Slot, StepKind, StopMode, StopPlan};
use crate::scenario::{Period, StepFields};

use super::Remarks;
use super::defaults::{DRAIN, HOLD_WITHIN, WINDOW, WINDOW_ACKS};
use super::target::{grace, period};
use super::timeline::{Around, Asked};
use super::words::{MODES, PAUSE_POINTS, THEN};

pub fn resolve(asked: &Asked<'_>, victims: Vec<Slot>, around: &Around<'_>, remarks: &mut Remarks) -> Vec<StopPlan> {
    let fields = asked.fields;
    let mode = mode(asked, remarks);
    let grace = grace(&fields.grace, around.target.grace, around.target.probe.endpoint_lag, remarks);
    let lasts = if asked.kind == StepKind::Pause { lasts(fields, around, remarks) } else { Duration::ZERO };
    let (window, window_acks_min) = window(fields, around, remarks);
    let held = held(asked, victims, mode, around, remarks);
    let stop = |(slot, hold)| StopPlan {
        id: format!("{}/{slot}", asked.id),
        slot,
        mode,
        replaced: replaced(asked.kind, mode),
        hold,
        hold_within: HOLD_WITHIN,
        grace,
        lasts,
        window,
        window_acks_min,
    };
    held.into_iter().map(stop).collect()
}

fn mode(asked: &Asked<'_>, remarks: &mut Remarks) -> StopMode {
    match asked.kind {
        StepKind::RollingUpdate => MODES.meaning(&asked.fields.mode, StopMode::Graceful, remarks),
        StepKind::Terminate | StepKind::Scale => StopMode::Graceful,
        StepKind::Kill => StopMode::Hard,
        StepKind::Pause | StepKind::Disturb(_) => THEN.meaning(&asked.fields.then, StopMode::Pause, remarks),
    }
}

fn replaced(kind: StepKind, mode: StopMode) -> Replaced {
    match (kind, mode) {
        (StepKind::Scale, _) | (_, StopMode::Pause) => Replaced::Never,
        (StepKind::RollingUpdate, StopMode::Graceful) => Replaced::Before,
        (_, StopMode::Graceful | StopMode::Hard | StopMode::PauseThenKill) => Replaced::After,
    }
}

/// Until whatever the frozen instance holds was taken over by others and written, and time to drain. A shorter pause
/// would end before its checkpoint could mean anything.
fn lasts(fields: &StepFields, around: &Around<'_>, remarks: &mut Remarks) -> Duration {
    let worker = &around.target.worker;
    let takeover = worker.lease + worker.redrive_scan + worker.flush_interval;
    let lasts = period(&fields.lasts, takeover + DRAIN);
    if let Some(place) = fields.lasts.place().filter(|_| lasts < takeover && around.worker_known) {
        let message = format!(
            "a pause of {} is over before others can have taken over what the frozen instance holds",
            Period(lasts)
        );
        let help =
            format!("write at least {} (lease + redrive scan + flush interval), or leave `for` out", Period(takeover));
        remarks.problem(place, message, help);
    }
    lasts
}

/// A window that could not hold the acks it needs would make the run inconclusive whatever happens.
pub fn window(fields: &StepFields, around: &Around<'_>, remarks: &mut Remarks) -> (Duration, u64) {
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
fn held(
    asked: &Asked<'_>,
    victims: Vec<Slot>,
    mode: StopMode,
    around: &Around<'_>,
    remarks: &mut Remarks,
) -> Vec<(Slot, Option<PausePoint>)> {
    let default = |slot: &Slot| match (slot.role.writes_rows(), mode) {
        (true, _) => PausePoint::WorkerLeased,
        (false, StopMode::Graceful) => PausePoint::OfferRegistered,
        (false, _) => PausePoint::OfferStored,
    };
    let Some((said, first)) = asked.fields.hold.given().zip(victims.first()) else {
        return victims.into_iter().map(|slot| (slot.clone(), Some(default(&slot)))).collect();
    };
    if said.value.0 == "none" {
        return at_any_moment(asked, victims, around, remarks).into_iter().map(|slot| (slot, None)).collect();
    }
    let hold = PAUSE_POINTS.look_up(said, remarks).unwrap_or(default(first));
    if let Some(slot) = victims.iter().find(|slot| !passes(slot, hold)) {
        let message = format!("{slot} never passes {}: it is {}", hold.word(), with_article(slot.role.word()));
        remarks.problem(&said.place, message, "hold each role at a point of its own, in a step of its own");
    }
    victims.into_iter().map(|slot| (slot, Some(hold))).collect()
}

/// The victims that can be frozen at any moment at which they hold something.
fn at_any_moment(asked: &Asked<'_>, victims: Vec<Slot>, around: &Around<'_>, remarks: &mut Remarks) -> Vec<Slot> {
    let place = asked.fields.hold.place().unwrap_or(&asked.fields.place);
    if asked.kind != StepKind::Pause {
        let message = "only a pause can strike without a task at a pause point";
        remarks.problem(place, message, "leave `hold` out, or name a pause point");
        return victims;
    }
    if let Some(slot) = victims.iter().find(|slot| !slot.role.writes_rows()) {
        let message = format!("what {slot} holds cannot be read without a task at a pause point");
        remarks.problem(place, message, "write `hold: offer.stored`, or leave `hold` out");
    }
    if !matches!(around.target.database, Database::Sqlite) {
        return victims;
    }
    let (locking, left): (Vec<Slot>, Vec<Slot>) = victims.into_iter().partition(|slot| slot.role.writes_rows());
    for slot in locking {
        remarks.note(format!(
            "{} leaves {slot} out: frozen at any moment it could keep SQLite's one writer lock; another database has none",
            asked.id
        ));
    }
    left
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
