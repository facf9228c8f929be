//! The claims and gates of a plan.

use crate::plan::{Claim, Gate, GateMetric, RunPhase};
use crate::scenario::{GateLine, Percent, Period, Scenario, Written, nearest};

use super::defaults::ERROR_RATE_STEADY;
use super::{Remarks, Timeline};

/// Names of claims that come with later versions.
const LATER: [&str; 4] = ["F1", "F3", "F3_literal", "F4"];

/// A time line claims F2, whether or not the scenario says so, and also where none of its steps is left: a run that
/// was to put a claim to the test, and strikes nobody, must not pass as if it were a load test.
pub fn resolve(scenario: &Scenario, timeline: &Timeline, remarks: &mut Remarks) -> (Vec<Claim>, Vec<Gate>) {
    let mut gates = Vec::new();
    for line in &scenario.gates {
        let name = line.name.value.0.as_str();
        match name {
            "F2" => claim(line, scenario, timeline, remarks),
            _ if LATER.contains(&name) => {
                remarks.problem(&line.name.place, format!("the claim {name} does not exist yet"), "leave the line out");
            }
            _ => gates.extend(gate(line, timeline, remarks)),
        }
    }
    refuse_repeats(&scenario.gates, remarks);
    add_default(&mut gates);
    (if scenario.timeline.is_empty() { Vec::new() } else { vec![Claim::F2] }, gates)
}

fn claim(line: &GateLine, scenario: &Scenario, timeline: &Timeline, remarks: &mut Remarks) {
    if line.limit.value.0 != "pass" {
        remarks.problem(
            &line.limit.place,
            format!("`{}` is no outcome to ask for", line.limit.value.0),
            "write `F2: pass`",
        );
    }
    if timeline.whole && timeline.steps.is_empty() {
        let why = if scenario.timeline.is_empty() { "" } else { ", and with strategy in-memory none is left" };
        remarks.problem(
            &line.name.place,
            format!("F2 needs a stop in the time line{why}"),
            "write a step such as `- rolling-update: { at: 10s, of: [api, worker] }`, or leave the gate out",
        );
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
    let of_stops = metric == GateMetric::Recovery || phase.is_some_and(|p| p != RunPhase::Steady);
    if of_stops && timeline.whole && timeline.steps.is_empty() {
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

const METRICS: [GateMetric; 5] =
    [GateMetric::P50, GateMetric::P99, GateMetric::P999, GateMetric::ErrorRate, GateMetric::Recovery];

/// Every name that a gate or a claim can have.
pub fn known_names() -> Vec<String> {
    let mut known = vec!["F2".to_owned(), "recovery".to_owned()];
    for metric in METRICS.into_iter().filter(|m| *m != GateMetric::Recovery) {
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
            "these exist: F2, p50, p99, p99.9, error_rate (each also with .steady, .fault, .recovery), recovery".into()
        }
    }
}

/// Seconds, or a share.
fn limit(metric: GateMetric, line: &GateLine, remarks: &mut Remarks) -> Option<f64> {
    let text = line.limit.value.0.as_str();
    let read = match metric {
        GateMetric::ErrorRate => Percent::read(text).map(Percent::share),
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
