//! What a claim asks: its part of the plan's steps, and what is missing of their evidence.
//!
//! In: the judged stops and starts, and the incidents. Out: those that belong to one claim, or to none that the plan
//! makes, and every reason why they do not show what they were planned for.
//!
//! # Which claim asks for which step
//! F1 (scaling out) asks for slots that are filled while the load goes on, and for pauses: they are what it is judged by.
//! F2 (a rolling update) asks for every stop after which an instance is gone: rolling updates, kills, terminations, and
//! scaling in. What no claim of the plan asks for is judged as `timeline`: a step that never fired is missing evidence
//! in any run.

use super::{Case, Class, StartJudgement, StopJudgement, Verdict};
use crate::plan::{Claim, Condition, StepKind, StepPlan, Subject};
use crate::timeline::{StepRecord, StopRecord};

pub(super) struct Asked<'a> {
    pub stops: Vec<&'a StopJudgement>,
    pub starts: Vec<&'a StartJudgement>,
    /// The steps that they belong to, and the record of each, where there is one.
    steps: Vec<(&'a StepPlan, Option<&'a StepRecord>)>,
    /// Stops and steps that nobody planned.
    strangers: Vec<String>,
}

/// Who asks for the stops of a step.
fn claim_of_stops(kind: StepKind) -> Claim {
    match kind {
        StepKind::Pause => Claim::F1,
        StepKind::RollingUpdate | StepKind::Kill | StepKind::Terminate | StepKind::Scale => Claim::F2,
        StepKind::Disturb(disturbance) => Claim::of_failures(disturbance.subject()),
    }
}

impl<'a> Asked<'a> {
    pub fn by(claim: Claim, case: &Case<'a>) -> Self {
        Self::gathered(case, |asking| asking == claim, true)
    }

    /// By no claim that the plan makes.
    pub fn by_nobody(case: &Case<'a>) -> Self {
        Self::gathered(case, |asking| !case.plan.claims.contains(&asking), case.plan.claims.is_empty())
    }

    fn gathered(case: &Case<'a>, asks: impl Fn(Claim) -> bool, strangers: bool) -> Self {
        let mut asked = Asked { stops: Vec::new(), starts: Vec::new(), steps: Vec::new(), strangers: Vec::new() };
        for step in &case.plan.timeline {
            let starts = step.starts.iter().filter(|_| asks(Claim::F1));
            let starts = starts.filter_map(|start| case.starts.iter().find(|judged| judged.id == start.id));
            let stops = step.stops.iter().filter(|_| asks(claim_of_stops(step.kind)));
            let stops = stops.filter_map(|stop| case.stops.iter().find(|judged| judged.id == stop.id));
            let before = asked.stops.len() + asked.starts.len();
            asked.starts.extend(starts);
            asked.stops.extend(stops);
            if asked.stops.len() + asked.starts.len() > before {
                asked.steps.push((step, case.evidence.incidents.steps.iter().find(|record| record.id == step.id)));
            }
        }
        if strangers {
            asked.strangers = self::strangers(case);
        }
        asked
    }

    pub fn is_empty(&self) -> bool {
        self.stops.is_empty() && self.starts.is_empty() && self.strangers.is_empty()
    }

    /// What keeps the planned steps from showing anything, stops that nobody planned, and a ledger that may lack the
    /// very acks that were broken.
    pub fn missing(&self, case: &Case) -> Vec<String> {
        let told = |id: &str, reasons: &[String]| format!("{id}: {}", reasons.join("; "));
        let starts = self.starts.iter().filter(|start| start.verdict == Verdict::Inconclusive);
        let stops = self.stops.iter().filter(|stop| stop.verdict == Verdict::Inconclusive);
        let mut missing: Vec<String> = starts.map(|start| told(&start.id, &start.reasons)).collect();
        missing.extend(stops.map(|stop| told(&stop.id, &stop.reasons)));
        let recorded = self.steps.iter().filter_map(|(step, record)| Some((*step, (*record)?)));
        missing.extend(recorded.clone().filter_map(|(step, record)| unmet(step, record)));
        missing.extend(
            recorded.filter_map(|(_, record)| Some(format!("{} ended early: {}", record.id, record.error.as_ref()?))),
        );
        missing.extend(case.figures.soundness.ledger.clone());
        missing.extend(self.strangers.iter().cloned());
        missing
    }
}

/// A step that waits for a condition, and began without having seen it.
fn unmet(step: &StepPlan, record: &StepRecord) -> Option<String> {
    let Condition { metric: _, at_least } = step.when?;
    let met = record.condition.is_some_and(|met| met.value >= at_least);
    (!met).then(|| format!("{} did not see its condition hold: buffer_size >= {at_least}", step.id))
}

/// Disturbances of this whose step began without its condition, or ended early.
pub(super) fn unmet_of_disturbances(case: &Case, of: Subject) -> Vec<String> {
    let strikes = |step: &&StepPlan| step.disturbance.as_ref().is_some_and(|one| one.disturbance.subject() == of);
    let steps = case.plan.timeline.iter().filter(strikes);
    let records = &case.evidence.incidents.steps;
    let recorded = steps.filter_map(|step| Some((step, records.iter().find(|record| record.id == step.id)?)));
    recorded.filter_map(|(step, record)| unmet(step, record)).collect()
}

fn strangers(case: &Case) -> Vec<String> {
    let steps = &case.evidence.incidents.steps;
    let planned = |record: &StopRecord| case.plan.stops().any(|planned| planned.id == record.id);
    let stops = steps.iter().flat_map(|step| &step.stops).filter(|record| !planned(record));
    stops.map(|record| format!("{}: {} was stopped, and it is not planned", record.id, record.victim.name)).collect()
}

/// How many operations are broken on sound evidence, and which classes are void.
pub(super) fn broken(case: &Case) -> (u64, Vec<String>) {
    let soundness = &case.figures.soundness;
    let sound = Class::BROKEN.into_iter().filter(|class| soundness.void(*class).is_none());
    let count = sound.map(|class| case.figures.classes.count(class)).sum();
    (count, soundness.voided(&Class::BROKEN, |class| class.word().to_owned()))
}

/// `0 stranded, 0 lost, 2 stale, 0 torn`.
pub(super) fn stake(case: &Case) -> String {
    let count = |class: &Class| match case.figures.soundness.void(*class) {
        None => format!("{} {}", case.figures.classes.count(*class), class.word()),
        Some(_) => format!("{} void", class.word()),
    };
    let counts: Vec<String> = Class::BROKEN.iter().map(count).collect();
    format!("{} of {} acknowledged writes", counts.join(", "), 3 * case.figures.classes.acked)
}
