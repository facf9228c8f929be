//! The shape of a load: one rate for one duration, or the parts of `shape`.

use std::time::Duration;

use crate::plan::{Shape, Stage};
use crate::scenario::{Entry, Load, Located, Place, ShapePart};

use super::Remarks;
use super::target::period;

/// Levels of one `steps`.
const STEPS_MAX: f64 = 1000.0;

/// The shape, or the default where there is a problem.
pub fn resolve(load: &Load, default: &Shape, remarks: &mut Remarks) -> Shape {
    let Some(written) = load.shape.given() else {
        let rps = load.rps.given().map_or(default.peak_rps(), |rps| rps.value.0);
        return Shape::constant(rps, period(&load.duration, default.duration()));
    };
    refuse_both(load, &written.place, remarks);
    if written.value.is_empty() {
        remarks.problem(
            &written.place,
            "this shape has no parts",
            "write `shape: [ { hold: { rps: 800, for: 60s } } ]`",
        );
    }
    let parts: Vec<Option<Vec<Stage>>> = written.value.iter().map(|part| stages(part, remarks)).collect();
    match parts.into_iter().collect::<Option<Vec<_>>>() {
        Some(parts) if !parts.is_empty() => Shape { stages: parts.concat() },
        _ => default.clone(),
    }
}

/// A shape says the rate and the length already. (One that a flag sets replaces the scenario's `rps` and `duration`
/// before this is looked at.)
fn refuse_both(load: &Load, shape: &Place, remarks: &mut Remarks) {
    let written = [("rps", load.rps.place()), ("duration", load.duration.place())];
    for (field, place) in written.into_iter().filter_map(|(field, place)| Some((field, place?))) {
        let message = format!("`{field}` and `shape` both say how the load runs");
        let help = match place.is_named() && !shape.is_named() {
            true => "replace the scenario's shape as a whole, such as `--shape 'hold 800 for 60s'`".to_owned(),
            false => format!("leave `{field}` out, or write `hold: {{ rps: 800, for: 60s }}` as a part of the shape"),
        };
        remarks.problem(place, message, help);
    }
}

/// The stages of one part; `None`: there is a problem.
fn stages(part: &ShapePart, remarks: &mut Remarks) -> Option<Vec<Stage>> {
    match part {
        ShapePart::Ramp { place, from, to, over } => {
            let from = needed(from, "where this ramp begins", "from: 100", place, remarks);
            let to = needed(to, "where this ramp ends", "to: 1500", place, remarks);
            let over = needed(over, "how long this ramp takes", "over: 30s", place, remarks);
            ramp(place, from?.0, to?.0, over?.0, remarks)
        }
        ShapePart::Hold { place, rps, lasts } => {
            let rps = needed(rps, "at which rate this holds", "rps: 1500", place, remarks);
            let lasts = needed(lasts, "for how long this holds", "for: 60s", place, remarks);
            Some(vec![Stage::level(rps?.0, lasts?.0)])
        }
        ShapePart::Steps { place, from, to, by, every } => {
            let from = needed(from, "where these steps begin", "from: 200", place, remarks);
            let to = needed(to, "where these steps end", "to: 1000", place, remarks);
            let every = needed(every, "how long each step lasts", "every: 10s", place, remarks);
            let by_place = by.place().unwrap_or(place);
            let by = needed(by, "how high a step is", "by: 200", place, remarks);
            steps([from?.0, to?.0, by?.0], every?.0, by_place, remarks)
        }
        ShapePart::Spike { place, from, to, at, lasts, over } => {
            let from = needed(from, "the rate before and after this spike", "from: 800", place, remarks);
            let to = needed(to, "the rate in this spike", "to: 4000", place, remarks);
            let at = needed(at, "when this spike begins", "at: 10s", place, remarks);
            let lasts = needed(lasts, "how long this spike lasts", "for: 2s", place, remarks);
            let over = needed(over, "how long the whole part lasts", "over: 30s", place, remarks);
            spike(place, [from?.0, to?.0], [at?.0, lasts?.0, over?.0], remarks)
        }
        ShapePart::Unreadable => None,
    }
}

fn ramp(place: &Place, from_rps: f64, to_rps: f64, lasts: Duration, remarks: &mut Remarks) -> Option<Vec<Stage>> {
    if from_rps + to_rps > 0.0 {
        return Some(vec![Stage { from_rps, to_rps, lasts }]);
    }
    remarks.problem(place, "this ramp goes from nothing to nothing", "give one end of it a rate above 0");
    None
}

fn spike(
    place: &Place,
    [from, to]: [f64; 2],
    [at, lasts, over]: [Duration; 3],
    remarks: &mut Remarks,
) -> Option<Vec<Stage>> {
    let Some(after) = over.checked_sub(at + lasts).filter(|after| !after.is_zero()) else {
        let message = format!("this spike ends {:?} after its part began, and the part lasts {over:?}", at + lasts);
        remarks.problem(place, message, "write an `over` that is longer than `at` and `for` together");
        return None;
    };
    Some(vec![Stage::level(from, at), Stage::level(to, lasts), Stage::level(from, after)])
}

/// One level for each step, the first and the last rate among them.
fn steps([from, to, by]: [f64; 3], every: Duration, place: &Place, remarks: &mut Remarks) -> Option<Vec<Stage>> {
    let count = (to - from).abs() / by;
    if count > STEPS_MAX {
        remarks.problem(place, format!("these are {count:.0} steps"), format!("write at most {STEPS_MAX} steps"));
        return None;
    }
    if (count - count.round()).abs() > 1e-6 {
        let reached = from + (to - from).signum() * by * count.floor();
        let message = format!("steps of {by} from {from} come to {reached}, and never to {to}");
        remarks.problem(place, message, format!("write `to: {reached}`, or steps that end at {to}"));
        return None;
    }
    let rate =
        |n: u32| if f64::from(n) == count.round() { to } else { from + (to - from).signum() * by * f64::from(n) };
    Some((0..=count.round() as u32).map(|n| Stage::level(rate(n), every)).collect())
}

/// A field without which a part has no meaning. One that was written and cannot be read is a problem already.
fn needed<T: Copy>(entry: &Entry<T>, what: &str, example: &str, place: &Place, remarks: &mut Remarks) -> Option<T> {
    match entry {
        Entry::Given(Located { value, .. }) => Some(*value),
        Entry::Unreadable => None,
        Entry::Absent => {
            remarks.problem(place, format!("nothing says {what}"), format!("write `{example}`"));
            None
        }
    }
}
