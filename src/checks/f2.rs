//! F2: a rolling update loses nothing.
//!
//! In: the judged stops and the classes. Out: FAIL where a write was lost, stranded, stale or torn on sound evidence,
//! PASS only where every planned stop proves something, INCONCLUSIVE otherwise. The bound that zero losses give
//! counts exposed stops: writes around one stop share its fate, so their number says little of the next one.
//!
//! Where the plan has stops and does not claim F2, the same judgement stands as `timeline`: a step that never fired
//! is missing evidence in any run.

use super::stops::BROKEN;
use super::{Case, Class, Finding, StopJudgement, Verdict};
use crate::plan::{Claim, StopMode};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let claimed = case.plan.claims.contains(&Claim::F2);
    let planned = case.plan.stops().next().is_some();
    let played = case.evidence.incidents.steps.iter().any(|step| !step.stops.is_empty());
    match (claimed, planned || played) {
        (false, false) => Vec::new(),
        (true, false) => {
            let summary = "no stop is planned: nothing was put to the test".to_owned();
            vec![Finding::inconclusive("F2", summary)]
        }
        (true, true) => vec![judged("F2", case)],
        (false, true) => vec![judged("timeline", case)],
    }
}

fn judged(check: &str, case: &Case) -> Finding {
    let (count, void) = broken(case);
    let missing = missing(case);
    let verdict = if count > 0 {
        Verdict::Fail
    } else if void.is_empty() && missing.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let details = [void, missing, notable(case)].concat();
    Finding { check: check.to_owned(), verdict, summary: figures(case, verdict), details }
}

/// How many operations are broken on sound evidence, and which classes are void.
fn broken(case: &Case) -> (u64, Vec<String>) {
    let soundness = &case.figures.soundness;
    let sound = BROKEN.into_iter().filter(|class| soundness.void(*class).is_none());
    let count = sound.map(|class| case.figures.classes.count(class)).sum();
    (count, soundness.voided(&BROKEN, |class| class.word().to_owned()))
}

/// What keeps planned stops from proving anything, stops that nobody planned, and a ledger that may lack the very acks
/// that were broken.
fn missing(case: &Case) -> Vec<String> {
    let inconclusive = case.stops.iter().filter(|stop| stop.verdict == Verdict::Inconclusive);
    let mut missing: Vec<String> =
        inconclusive.map(|stop| format!("{}: {}", stop.id, stop.reasons.join("; "))).collect();
    let steps = &case.evidence.incidents.steps;
    missing.extend(steps.iter().filter_map(|step| Some(format!("{} ended early: {}", step.id, step.error.as_ref()?))));
    missing.extend(case.figures.soundness.ledger.clone());
    let recorded = steps.iter().flat_map(|step| &step.stops);
    let unplanned = recorded.filter(|record| case.plan.stops().all(|planned| planned.id != record.id));
    missing.extend(
        unplanned.map(|record| format!("{}: {} was stopped, and it is not planned", record.id, record.victim.name)),
    );
    missing
}

fn figures(case: &Case, verdict: Verdict) -> String {
    let exposed = exposed(case.stops);
    let of = format!("{exposed} of {} planned stops proven and exposed", case.stops.len());
    let counts: Vec<String> = BROKEN.iter().map(|class| count(case, *class)).collect();
    let stake = format!("{} of {} acknowledged writes", counts.join(", "), 3 * case.figures.classes.acked);
    match verdict {
        Verdict::Pass => {
            let bound = bound(exposed) * 100.0;
            format!("{of}; {stake}; with 95 % confidence at most {bound:.0} % of such stops lose any")
        }
        Verdict::Inconclusive | Verdict::Fail => format!("{of}; {stake}"),
    }
}

fn count(case: &Case, class: Class) -> String {
    match case.figures.soundness.void(class) {
        None => format!("{} {}", case.figures.classes.count(class), class.word()),
        Some(_) => format!("{} void", class.word()),
    }
}

/// Stops that prove something, whatever they prove.
fn exposed(stops: &[StopJudgement]) -> usize {
    let proven = |stop: &StopJudgement| !stop.proof.is_empty() && stop.proof.iter().all(|(_, holds)| *holds);
    let counts =
        |stop: &&StopJudgement| stop.verdict != Verdict::Inconclusive && proven(stop) && stop.exposure > Some(0);
    stops.iter().filter(counts).count()
}

/// The largest true rate of losing stops that shows none in n with a probability of 5 %: (1 − rate)^n = 0.05.
fn bound(exposed: usize) -> f64 {
    1.0 - 0.05f64.powf(1.0 / exposed as f64)
}

/// Graceful stops that ended otherwise than by their own will, though they may have lost nothing.
fn notable(case: &Case) -> Vec<String> {
    let graceful = case.plan.stops().filter(|planned| planned.mode == StopMode::Graceful);
    let records = graceful.filter_map(|planned| Some((planned, case.evidence.incidents.stop(&planned.id)?)));
    let told = records.filter_map(|(planned, record)| {
        let name = &record.victim.name;
        let exit = record.exit?;
        match (record.killed_after_grace, exit.code) {
            (true, _) => Some(format!(
                "{}: {name} did not end within its grace of {:?} and was killed",
                planned.id, planned.grace
            )),
            (false, Some(0)) => None,
            (false, Some(code)) => Some(format!("{}: {name} ended with code {code}", planned.id)),
            (false, None) => Some(format!("{}: {name} ended by signal {:?}", planned.id, exit.signal)),
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests;
