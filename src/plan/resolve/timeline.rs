//! The time line's part of a plan: every start and every stop of every step, by name, in order.

use std::time::Duration;

use crate::plan::{Condition, Lab, LoadPlan, StepKind, StepPlan, StopPlan, TargetPlan};
use crate::scenario::{Entry, Located, Period, Place, Scenario, Step, StepFields};

use super::filled::Filled;
use super::words::CONDITION_METRICS;
use super::{Remarks, Timeline, disturbances, in_process, scale, stops};

/// The parts of a plan that a step refers to.
pub struct Around<'a> {
    pub lab: &'a Lab,
    pub target: &'a TargetPlan,
    pub load: &'a LoadPlan,
    /// Whether the load's rate and duration could be read.
    pub load_known: bool,
    /// Whether the times of the workers could be read.
    pub worker_known: bool,
}

/// A step as it was asked for.
pub struct Asked<'a> {
    pub id: String,
    pub kind: StepKind,
    pub fields: &'a StepFields,
}

pub fn resolve(
    scenario: &Scenario,
    (lab, target): (&Lab, &TargetPlan),
    load: &LoadPlan,
    remarks: &mut Remarks,
) -> Timeline {
    let before = remarks.problems.len();
    let written = &scenario.target;
    let around = Around {
        lab,
        target,
        load,
        load_known: scenario.load.shape_is_readable(),
        worker_known: [&written.lease, &written.redrive_scan, &written.flush_interval].iter().all(|e| e.is_readable()),
    };
    let mut filled = Filled::at_the_start(written, target);
    disturbances::refuse_what_cannot_be_struck(&scenario.timeline, &around, remarks);
    let all = scenario.timeline.iter().enumerate().filter_map(|(i, step)| asked(i + 1, step));
    let mut steps = Vec::new();
    for asked in all {
        steps.extend(step(&asked, &around, &mut filled, remarks));
        check_time(&asked, &steps, &around, remarks);
    }
    in_process::refuse_steps(scenario, target, remarks);
    note_order(&steps, remarks);
    check_writes(scenario, load, &steps, remarks);
    let readable = scenario.timeline.iter().all(|s| *s != Step::Unreadable);
    Timeline { steps, whole: readable && remarks.problems.len() == before }
}

fn asked(place: usize, written: &Step) -> Option<Asked<'_>> {
    let (kind, fields) = (StepKind::of(written)?, written.fields()?);
    Some(Asked { id: format!("{place}:{}", kind.word()), kind, fields })
}

/// `None`: nothing of it is left.
fn step(asked: &Asked<'_>, around: &Around<'_>, filled: &mut Filled<'_>, remarks: &mut Remarks) -> Option<StepPlan> {
    let (id, kind, fields) = (asked.id.clone(), asked.kind, asked.fields);
    if disturbances::is_left_out(asked, around, remarks) {
        return None;
    }
    let at = fields.at.given().map_or(Duration::ZERO, |at| at.value.0);
    let when = condition(fields, remarks);
    let mut disturbance = None;
    let (starts, stops) = match kind {
        StepKind::Scale => scale::resolve(asked, around, filled, remarks),
        StepKind::RollingUpdate | StepKind::Kill | StepKind::Terminate | StepKind::Pause => {
            let victims = filled.victims(&id, kind, fields, remarks);
            (Vec::new(), stops::resolve(asked, victims, around, remarks))
        }
        StepKind::Disturb(of) => {
            disturbance = disturbances::resolve(asked, of, around, remarks);
            Default::default()
        }
    };
    let empty = starts.is_empty() && stops.is_empty() && disturbance.is_none();
    (!empty).then_some(StepPlan { id, kind, at, when, starts, stops, disturbance })
}

fn condition(fields: &StepFields, remarks: &mut Remarks) -> Option<Condition> {
    let given = fields.when.given()?;
    let metric = Located { value: given.value.metric.clone(), place: given.place.clone() };
    Some(Condition { metric: CONDITION_METRICS.look_up(&metric, remarks)?, at_least: given.value.at_least })
}

/// A step must say when it begins; one that can only begin after the load has no load to be played under.
fn check_time(asked: &Asked<'_>, steps: &[StepPlan], around: &Around<'_>, remarks: &mut Remarks) {
    let fields = asked.fields;
    if (&fields.at, &fields.when) == (&Entry::Absent, &Entry::Absent) {
        let help = "write `at: 10s`, or `when: buffer_size >= 200`";
        remarks.problem(&fields.place, "nothing says when this step begins", help);
    }
    let (begin, end) = (fields.at.given().map_or(Duration::ZERO, |at| at.value.0), around.load.duration());
    let place = fields.at.place().unwrap_or(&fields.place);
    if begin >= end && around.load_known {
        let message = format!("this step begins at {}, and the load ends at {}", Period(begin), Period(end));
        remarks.problem(place, message, "write an earlier `at`, or a longer `duration` of the load");
        return;
    }
    let last = steps.last().filter(|step| step.id == asked.id).and_then(|_| last_act_begins(steps));
    if let Some(last) = last.filter(|last| *last >= end && around.load_known) {
        let (last, end) = (Period(last), Period(end));
        let message = format!("after what comes before it, its last act begins at {last}, and the load ends at {end}");
        remarks.problem(place, message, "write a longer `duration` of the load, or shorter pauses and disturbances");
    }
}

/// At the earliest: steps and stops never overlap, and pauses and disturbances last as long as they are planned to.
fn last_act_begins(steps: &[StepPlan]) -> Option<Duration> {
    let (mut ended, mut last) = (Duration::ZERO, None);
    for step in steps {
        let begins = ended.max(step.at);
        let lasts = |stops: &[StopPlan]| stops.iter().map(|stop| stop.lasts).sum::<Duration>();
        let disturbed = step.disturbance.as_ref().map(|disturbance| disturbance.lasts);
        last = step.stops.split_last().map(|(_, earlier)| begins + lasts(earlier)).or(disturbed.map(|_| begins));
        ended = begins + lasts(&step.stops) + disturbed.unwrap_or_default();
    }
    last
}

/// Steps never overlap: the later of `at` and the end of the one before counts.
fn note_order(steps: &[StepPlan], remarks: &mut Remarks) {
    let waits = |pair: &&[StepPlan]| pair[1].at < pair[0].at && pair[1].when.is_none();
    for pair in steps.windows(2).filter(waits) {
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
    pub(super) fn of(written: &Step) -> Option<StepKind> {
        match written {
            Step::RollingUpdate(_) => Some(StepKind::RollingUpdate),
            Step::Kill(_) => Some(StepKind::Kill),
            Step::Terminate(_) => Some(StepKind::Terminate),
            Step::Pause(_) => Some(StepKind::Pause),
            Step::Scale(_) => Some(StepKind::Scale),
            Step::Disturb(disturbance, _) => Some(StepKind::Disturb(*disturbance)),
            Step::Unreadable => None,
        }
    }

    /// Its word in the scenario file.
    pub fn word(self) -> &'static str {
        match self {
            StepKind::RollingUpdate => "rolling-update",
            StepKind::Kill => "kill",
            StepKind::Terminate => "terminate",
            StepKind::Pause => "pause",
            StepKind::Scale => "scale",
            StepKind::Disturb(disturbance) => disturbance.word(),
        }
    }
}

#[cfg(test)]
mod tests;
