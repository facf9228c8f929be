//! What the in-process backend cannot do, said of every step and every lab that asks for it; and what its figures are not.
//!
//! # Why a refusal, and not a note
//! A step that falls away in silence would leave a run that passes without having struck anybody.

use crate::plan::{Backend, StepKind, TargetPlan};
use crate::scenario::{Entry, Scenario, Step, StepFields, Target, Word};

use super::Remarks;

/// Whatever else is measured there, these two are not what they are elsewhere.
pub fn note(backend: Backend, remarks: &mut Remarks) {
    if backend == Backend::InProcess {
        remarks.note(
            "backend in-process: generator and service share one process, so own lag and latencies are those of a trial, not \
             a measurement, and the memory of mxctl is the service's too",
        );
    }
}

/// Every step, and every pause point that one names.
pub fn refuse_steps(scenario: &Scenario, target: &TargetPlan, remarks: &mut Remarks) {
    if target.backend != Backend::InProcess {
        return;
    }
    let help = remedy(&scenario.target.backend);
    let steps = scenario.timeline.iter();
    for (kind, fields) in steps.filter_map(|step: &Step| Some((StepKind::of(step)?, step.fields()?))) {
        let message = format!("backend in-process cannot play `{}`: {}", kind.word(), why(kind));
        remarks.problem(&fields.place, message, help);
        refuse_hold(fields, help, remarks);
    }
}

fn refuse_hold(fields: &StepFields, help: &str, remarks: &mut Remarks) {
    let Some(hold) = fields.hold.given().filter(|hold| hold.value.0 != "none") else { return };
    let message = "backend in-process cannot hold a task at a pause point: only a process of its own can be told to";
    remarks.problem(&hold.place, message, help);
}

fn why(kind: StepKind) -> &'static str {
    match kind {
        StepKind::RollingUpdate => "it replaces processes, and no instance has one of its own",
        StepKind::Kill => "SIGKILL would end mxctl, in whose process every instance lives",
        StepKind::Terminate => "SIGTERM would reach mxctl, in whose process every instance lives",
        StepKind::Pause => "SIGSTOP would freeze mxctl, in whose process every instance lives",
        StepKind::Scale => "it starts and ends processes, and no instance has one of its own",
    }
}

/// A lab that stays outlives the command that brought it up, and these instances do not.
pub fn refuse_lab(written: &Target, target: &TargetPlan, remarks: &mut Remarks) {
    let (Backend::InProcess, Some(place)) = (target.backend, written.backend.place()) else { return };
    let message = "a lab of backend in-process cannot stay: its instances end with the command that brings them up";
    remarks.problem(place, message, remedy(&written.backend));
}

/// Processes get the password of one by their environment, and mxctl's own is not its own to change.
pub fn refuse_existing(written: &Target, target: &TargetPlan, remarks: &mut Remarks) {
    let (Backend::InProcess, Some(_), Some(place)) = (target.backend, &target.existing, written.database.place())
    else {
        return;
    };
    let message = "backend in-process takes no existing database: its password would have to stand in a file";
    remarks.problem(place, message, remedy(&written.backend));
}

/// In the words of whoever has to change it.
fn remedy(backend: &Entry<Word>) -> &'static str {
    match backend.place() {
        Some(place) if place.is_named() => "use `--backend process`",
        _ => "use `backend: process`",
    }
}
