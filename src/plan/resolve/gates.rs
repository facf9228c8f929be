//! The claims and gates of a plan.

use std::collections::BTreeSet;

use crate::plan::{Claim, Gate, GateMetric, RunPhase, StepKind, StepPlan, Subject};
use crate::scenario::{Count, GateLine, Percent, Period, Scenario, Written, nearest};

use super::defaults::ERROR_RATE_STEADY;
use super::{Remarks, Timeline};

/// Names of claims that come with later versions.
const LATER: [&str; 3] = ["F3", "F3_literal", "F4"];

/// Whatever a time line does puts something to the test, whether or not the scenario says so; see [`claims`].
pub fn resolve(scenario: &Scenario, timeline: &Timeline, remarks: &mut Remarks) -> (Vec<Claim>, Vec<Gate>) {
    let mut gates = Vec::new();
    for line in &scenario.gates {
        let name = line.name.value.0.as_str();
        match name {
            "F1" => claim_f1(line, scenario, timeline, remarks),
            "F2" => claim_f2(line, scenario, timeline, remarks),
            "redis-failure" => claim_failure(Subject::Redis, line, timeline, remarks),
            "database-failure" => claim_failure(Subject::Database, line, timeline, remarks),
            _ if LATER.contains(&name) => {
                remarks.problem(&line.name.place, format!("the claim {name} does not exist yet"), "leave the line out");
            }
            _ => gates.extend(gate(line, timeline, remarks)),
        }
    }
    refuse_repeats(&scenario.gates, remarks);
    add_default(&mut gates);
    (claims(scenario, timeline), gates)
}

/// What is replaced or taken away claims F2; what is added or paused claims F1; what is done to Redis or to the
/// database claims that its failure loses nothing. Every written step claims one of them,
/// also where nothing of it is left: a run that was to put a claim to the test, and strikes nobody, must not pass as if
/// it were a load test.
fn claims(scenario: &Scenario, timeline: &Timeline) -> Vec<Claim> {
    let kinds = scenario.timeline.iter().filter_map(StepKind::of);
    let mut claims: BTreeSet<Claim> = kinds.filter_map(claim_of).collect();
    let scalings = timeline.steps.iter().filter(|step| step.kind == StepKind::Scale);
    claims.extend(scalings.map(|step| if step.starts.is_empty() { Claim::F2 } else { Claim::F1 }));
    if claims.is_empty() && !scenario.timeline.is_empty() {
        claims.insert(Claim::F1);
    }
    claims.into_iter().collect()
}

/// By its kind alone; of a scaling that is left, the direction decides.
fn claim_of(kind: StepKind) -> Option<Claim> {
    match kind {
        StepKind::RollingUpdate | StepKind::Kill | StepKind::Terminate => Some(Claim::F2),
        StepKind::Pause => Some(Claim::F1),
        StepKind::Disturb(disturbance) => Some(Claim::of_failures(disturbance.subject())),
        StepKind::Scale => None,
    }
}

/// `scale-out` needs both: instances that were not there at the start, and one that is frozen beside them.
fn claim_f1(line: &GateLine, scenario: &Scenario, timeline: &Timeline, remarks: &mut Remarks) {
    refuse_other_outcomes(line, remarks);
    if !timeline.whole {
        return;
    }
    let grows = timeline.steps.iter().any(|step| !step.starts.is_empty());
    let pauses = timeline.steps.iter().flat_map(|step| &step.stops).any(|stop| stop.mode.pauses());
    let all_left = timeline.steps.len() == scenario.timeline.len();
    let left = if all_left { "" } else { " that is left with this strategy and database" };
    let (lacks, help) = match (grows, pauses) {
        (true, true) => return,
        (false, _) => ("a step that adds instances", "write a step such as `- scale: { at: 5s, to: 3 }`"),
        (true, false) => ("a pause", "write a step such as `- pause: { at: 20s, of: [api, worker] }`"),
    };
    let message = format!("F1 needs {lacks} in the time line{left}");
    remarks.problem(&line.name.place, message, format!("{help}, or leave the gate out"));
}

fn claim_f2(line: &GateLine, scenario: &Scenario, timeline: &Timeline, remarks: &mut Remarks) {
    refuse_other_outcomes(line, remarks);
    let strikes = |step: &StepPlan| step.kind != StepKind::Pause && !step.stops.is_empty();
    if timeline.whole && !timeline.steps.iter().any(strikes) {
        let all_left = timeline.steps.len() == scenario.timeline.len();
        let why = if all_left { "" } else { ", and with strategy in-memory none is left" };
        remarks.problem(
            &line.name.place,
            format!("F2 needs a stop in the time line{why}"),
            "write a step such as `- rolling-update: { at: 10s, of: [api, worker] }`, or leave the gate out",
        );
    }
}

fn claim_failure(of: Subject, line: &GateLine, timeline: &Timeline, remarks: &mut Remarks) {
    refuse_other_outcomes(line, remarks);
    let fails = |step: &StepPlan| step.disturbance.as_ref().is_some_and(|one| one.disturbance.subject() == of);
    if timeline.whole && !timeline.steps.iter().any(fails) {
        let example = match of {
            Subject::Redis => "redis-kill",
            Subject::Database => "database-locked",
        };
        let claim = Claim::of_failures(of).word();
        let message = format!("{claim} needs a failure of {} in the time line", of.name());
        let help = format!("write a step such as `- {example}: {{ at: 10s }}`, or leave the gate out");
        remarks.problem(&line.name.place, message, help);
    }
}

fn refuse_other_outcomes(line: &GateLine, remarks: &mut Remarks) {
    let (claim, asked) = (&line.name.value.0, &line.limit.value.0);
    if asked != "pass" {
        let help = format!("write `{claim}: pass`");
        remarks.problem(&line.limit.place, format!("`{asked}` is no outcome to ask for"), help);
    }
}

fn gate(line: &GateLine, timeline: &Timeline, remarks: &mut Remarks) -> Option<Gate> {
    let text = line.name.value.0.as_str();
    let Some((metric, phase)) = metric(text) else {
        remarks.problem(&line.name.place, format!("`{text}` is no gate"), remedy(text));
        return None;
    };
    if metric == GateMetric::Recovery && phase.is_some() {
        remarks.problem(&line.name.place, "a recovery is not measured by phase", "write `recovery: 5m`");
    }
    if metric.counts_writes() && phase.is_some() {
        let word = metric.word();
        remarks.problem(&line.name.place, format!("{word} are not counted by phase"), format!("write `{word}: 0`"));
    }
    let of_stops = metric == GateMetric::Recovery || phase.is_some_and(|p| p != RunPhase::Steady);
    let calm = |step: &StepPlan| step.stops.is_empty() && step.disturbance.is_none();
    if of_stops && timeline.whole && timeline.steps.iter().all(calm) {
        let message = format!("`{text}` is measured around stops, and the time line has none");
        remarks.problem(&line.name.place, message, "leave the gate out, or write a step");
    }
    Some(Gate { metric, phase, limit: limit(metric, line, remarks)? })
}

/// `p99.9.steady` is `p99.9` in phase `steady`.
fn metric(text: &str) -> Option<(GateMetric, Option<RunPhase>)> {
    let named = |word: &str| METRICS.into_iter().find(|metric| metric.word() == word);
    if let Some(metric) = named(text) {
        return Some((metric, None));
    }
    let (metric, phase) = text.rsplit_once('.')?;
    Some((named(metric)?, Some(RunPhase::ALL.into_iter().find(|p| p.word() == phase)?)))
}

const METRICS: [GateMetric; 7] = [
    GateMetric::P50,
    GateMetric::P99,
    GateMetric::P999,
    GateMetric::ErrorRate,
    GateMetric::Recovery,
    GateMetric::Duplicates,
    GateMetric::Reordered,
];

/// Those that are measured by phase, too.
fn by_phase() -> impl Iterator<Item = GateMetric> {
    METRICS.into_iter().filter(|metric| *metric != GateMetric::Recovery && !metric.counts_writes())
}

/// Every name that a gate or a claim can have.
pub fn known_names() -> Vec<String> {
    let known = ["F1", "F2", "redis-failure", "database-failure", "recovery", "duplicates", "reordered"];
    let mut known = known.map(str::to_owned).to_vec();
    for metric in by_phase() {
        known.push(metric.word().to_owned());
        known.extend(RunPhase::ALL.map(|phase| format!("{}.{}", metric.word(), phase.word())));
    }
    known
}

fn remedy(text: &str) -> String {
    let known = known_names();
    match nearest(text, &known.iter().map(String::as_str).collect::<Vec<_>>()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            "these exist: F1, F2, redis-failure, database-failure, p50, p99, p99.9, error_rate (each also with .steady, \
             .fault, .recovery), recovery, duplicates, reordered"
                .into()
        }
    }
}

/// Seconds, or a share.
fn limit(metric: GateMetric, line: &GateLine, remarks: &mut Remarks) -> Option<f64> {
    let text = line.limit.value.0.as_str();
    let read = match metric {
        GateMetric::ErrorRate => Percent::read(text).map(Percent::share),
        GateMetric::Duplicates | GateMetric::Reordered => Count::read(text).map(|count| count.0 as f64),
        GateMetric::P50 | GateMetric::P99 | GateMetric::P999 | GateMetric::Recovery => {
            Period::read(text).map(|p| p.0.as_secs_f64())
        }
    };
    read.map_err(|wrong| {
        remarks.problem(&line.limit.place, format!("{}: {}", line.name.value.0, wrong.message), wrong.help);
    })
    .ok()
}

/// A file's repeats are found as it is read; these are those of `--fail-if`.
fn refuse_repeats(lines: &[GateLine], remarks: &mut Remarks) {
    for (i, line) in lines.iter().enumerate() {
        if lines[..i].iter().any(|earlier| earlier.name.value == line.name.value) {
            remarks.problem(&line.name.place, format!("there are two gates `{}`", line.name.value.0), "keep one");
        }
    }
}

fn add_default(gates: &mut Vec<Gate>) {
    let default = Gate { metric: GateMetric::ErrorRate, phase: Some(RunPhase::Steady), limit: ERROR_RATE_STEADY };
    if !gates.iter().any(|g| (g.metric, g.phase) == (default.metric, default.phase)) {
        gates.push(default);
    }
}
