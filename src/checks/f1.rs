//! F1: scaling out fragments no data.
//!
//! In: the judged starts and pauses, the checkpoints, the readings of `buffer_size`, the classes. Out: FAIL where, on sound
//! evidence, an acknowledged write was not in the database at a checkpoint, or is lost, stranded, stale or torn at the
//! end (a zombie that thaws writes late), or where `buffer_size` does not mean the same on every node; PASS only where
//! every planned start had a backlog, every planned pause froze an instance that held something, and each checkpoint
//! looked at writes; INCONCLUSIVE otherwise.
//!
//! # Why the checkpoint decides
//! A private buffer flushes as soon as its instance thaws: at the end nothing is missing, and the fragmentation that
//! every reader saw for as long as the freeze lasted has left no trace.

use super::asked::{self, Asked};
use super::checkpoints::Looked;
use super::sizes::Sizes;
use super::{Case, Class, Finding, Verdict};
use crate::backends::InstanceId;
use crate::plan::{Claim, StepKind, StepPlan};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    if !case.plan.claims.contains(&Claim::F1) {
        return Vec::new();
    }
    let asked = Asked::by(Claim::F1, case);
    let sizes = Sizes::of(case);
    let (_, void) = asked::broken(case);
    let violated = violated(case, &sizes);
    let missing = [not_put_to_the_test(case), asked.missing(case), sizes.missing()].concat();
    vec![if !violated.is_empty() {
        Finding::fail("F1", violated.join("; ")).because([void, missing].concat())
    } else if void.is_empty() && missing.is_empty() {
        Finding::pass("F1", figures(case, &asked, &sizes))
    } else {
        Finding::inconclusive("F1", figures(case, &asked, &sizes)).because([void, missing].concat())
    }]
}

/// What breaks the claim, on sound evidence.
fn violated(case: &Case, sizes: &Sizes) -> Vec<String> {
    let sound = sound_checkpoints(case);
    let mut violated: Vec<String> = sound.iter().flat_map(|looked| stranded(case, looked)).collect();
    let at_end = Class::BROKEN.into_iter().filter(|class| *class != Class::Stranded || violated.is_empty());
    let at_end: Vec<String> = at_end.filter_map(|class| broken(case, class)).collect();
    violated.extend(at_end);
    violated.extend(sizes.differ());
    violated
}

/// Those that may accuse, read beside a ledger that is the plan's.
fn sound_checkpoints<'a>(case: &Case<'a>) -> Vec<&'a Looked> {
    let readable = case.figures.soundness.records.is_none();
    case.figures.checkpoints.iter().filter(|looked| readable && looked.void.is_none()).collect()
}

/// One sentence for each instance that acknowledged what was not there.
fn stranded<'a>(case: &Case<'a>, looked: &'a Looked) -> impl Iterator<Item = String> {
    let incidents = &case.evidence.incidents;
    let after = looked.frozen_for().unwrap_or_default().as_secs_f64();
    looked.missing.iter().map(move |(acker, count)| {
        let frozen = if *acker == looked.victim.id { "it" } else { &looked.victim.name };
        let acker = incidents.instance(*acker).map_or("an unknown instance", |instance| &instance.name);
        format!(
            "{count} acknowledged write operations of {acker} were not in the database {after:.1} s after {frozen} was \
             frozen"
        )
    })
}

/// What the end shows of this class, and of whose writes.
fn broken(case: &Case, class: Class) -> Option<String> {
    let (classes, void) = (&case.figures.classes, case.figures.soundness.void(class));
    let count = Some(classes.count(class)).filter(|count| *count > 0 && void.is_none())?;
    let name = |id: InstanceId| case.evidence.incidents.instance(id).map(|instance| instance.name.as_str());
    let ackers = classes.by_acker.keys().filter(|(of, _)| *of == class);
    let ackers: Vec<&str> = ackers.filter_map(|(_, id)| name(*id)).collect();
    let of = if ackers.is_empty() { String::new() } else { format!(" of {}", ackers.join(", ")) };
    Some(format!("{count} write operations{of} are {} at the end", class.word()))
}

/// What a plan that claims F1 lacks, and checkpoints that had nothing to look at.
fn not_put_to_the_test(case: &Case) -> Vec<String> {
    let steps = &case.plan.timeline;
    let Some(scaled) = steps.iter().position(|step| !step.starts.is_empty()) else {
        return vec!["no scale-up is planned: nothing was put to the test".to_owned()];
    };
    let pauses = |step: &StepPlan| step.kind == StepKind::Pause && !step.stops.is_empty();
    match steps[scaled..].iter().any(pauses) {
        true => Vec::new(),
        false => vec!["no pause is planned after the scale-up: nothing was put to the test".to_owned()],
    }
}

/// What there is to show, whatever the verdict.
fn figures(case: &Case, asked: &Asked, sizes: &Sizes) -> String {
    let passed = asked.stops.iter().filter(|stop| stop.verdict == Verdict::Pass);
    let held = passed.clone().filter_map(|stop| Some(format!("{} {}", stop.exposure_unit, stop.exposure?)));
    let held: Vec<String> = held.collect();
    let held = if held.is_empty() { String::new() } else { format!(" ({})", held.join(", ")) };
    let started = asked.starts.iter().filter(|start| start.verdict == Verdict::Pass).count();
    format!(
        "{started} of {} scale-ups under a backlog; {} of {} frozen instances{held}; {}; buffer_size agreed in {} readings; {}",
        asked.starts.len(),
        passed.count(),
        asked.stops.len(),
        at_checkpoints(case),
        sizes.compared,
        asked::stake(case)
    )
}

/// What the sound checkpoints showed, none of them any write missing.
fn at_checkpoints(case: &Case) -> String {
    let sound = sound_checkpoints(case);
    let Some(deadline) = sound.iter().map(|looked| looked.deadline).max() else {
        return "no checkpoint says anything".to_owned();
    };
    let looked_at: u64 = sound.iter().map(|looked| looked.looked_at).sum();
    let (deadline, checkpoints) = (deadline.as_secs_f64(), sound.len());
    format!(
        "every write acknowledged {deadline:.1} s before was in the database at {checkpoints} checkpoints ({looked_at} \
         looked at)"
    )
}

#[cfg(test)]
mod tests;
