//! F2: a rolling update loses nothing.
//!
//! In: the judged stops and the classes. Out: FAIL where a write was lost, stranded, stale or torn on sound evidence,
//! PASS only where every planned stop proves something, INCONCLUSIVE otherwise. The bound that zero losses give
//! counts exposed stops: writes around one stop share its fate, so their number says little of the next one.
//!
//! Where the plan has stops and does not claim F2, the same judgement stands as `timeline`: a step that never fired
//! is missing evidence in any run.

use super::asked::{self, Asked};
use super::{Case, Finding, StopJudgement, Verdict};
use crate::plan::{Claim, StopMode};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let others = Asked::by_nobody(case);
    let others = (!others.is_empty()).then(|| judged("timeline", &others, case));
    claimed(case).into_iter().chain(others).collect()
}

fn claimed(case: &Case) -> Option<Finding> {
    case.plan.claims.contains(&Claim::F2).then(|| match Asked::by(Claim::F2, case) {
        asked if asked.is_empty() => {
            Finding::inconclusive("F2", "no stop is planned: nothing was put to the test".to_owned())
        }
        asked => judged("F2", &asked, case),
    })
}

fn judged(check: &str, asked: &Asked, case: &Case) -> Finding {
    let (count, void) = asked::broken(case);
    let missing = asked.missing(case);
    let verdict = if count > 0 {
        Verdict::Fail
    } else if void.is_empty() && missing.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    let details = [void, missing, notable(asked, case)].concat();
    Finding { check: check.to_owned(), verdict, summary: figures(asked, case, verdict), details }
}

fn figures(asked: &Asked, case: &Case, verdict: Verdict) -> String {
    let (exposed, stake) = (exposed(&asked.stops), asked::stake(case));
    let of = [stops_shown(asked, exposed), starts_shown(asked)].into_iter().flatten().collect::<Vec<_>>().join("; ");
    match verdict {
        Verdict::Pass if exposed > 0 => {
            let bound = bound(exposed) * 100.0;
            format!("{of}; {stake}; with 95 % confidence at most {bound:.0} % of such stops lose any")
        }
        _ => format!("{of}; {stake}"),
    }
}

fn stops_shown(asked: &Asked, exposed: usize) -> Option<String> {
    let only_starts = asked.stops.is_empty() && !asked.starts.is_empty();
    (!only_starts).then(|| format!("{exposed} of {} planned stops proven and exposed", asked.stops.len()))
}

fn starts_shown(asked: &Asked) -> Option<String> {
    let proven = asked.starts.iter().filter(|start| start.verdict == Verdict::Pass).count();
    (!asked.starts.is_empty()).then(|| format!("{proven} of {} planned starts proven", asked.starts.len()))
}

/// Stops that prove something, whatever they prove.
fn exposed(stops: &[&StopJudgement]) -> usize {
    let proven = |stop: &StopJudgement| !stop.proof.is_empty() && stop.proof.iter().all(|(_, holds)| *holds);
    let counts =
        |stop: &&&StopJudgement| stop.verdict != Verdict::Inconclusive && proven(stop) && stop.exposure > Some(0);
    stops.iter().filter(counts).count()
}

/// The largest true rate of losing stops that shows none in n with a probability of 5 %: (1 − rate)^n = 0.05.
fn bound(exposed: usize) -> f64 {
    1.0 - 0.05f64.powf(1.0 / exposed as f64)
}

/// Graceful stops that ended otherwise than by their own will, though they may have lost nothing.
fn notable(asked: &Asked, case: &Case) -> Vec<String> {
    let asked_for = |id: &str| asked.stops.iter().any(|stop| stop.id == id);
    let graceful = case.plan.stops().filter(|planned| planned.mode == StopMode::Graceful && asked_for(&planned.id));
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
