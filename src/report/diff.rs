//! What differs between two runs: verdicts, findings, classes, latency, errors; and whether they can be compared.
//!
//! In: two reports, A and B. Out: a [`Diff`], which is the JSON form, and its table for people. A difference is B − A,
//! a ratio B ÷ A. Nothing here says which run is better: that takes a gate, or a comparison of its own.

mod terminal;

use serde::Serialize;

use super::RunReport;
use crate::checks::{Class, Conservation, Finding, LaneLatency, Percentiles, Verdict};
use crate::load::Lane;
use crate::plan::RunPhase;

/// Both sides of something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair<T> {
    pub a: T,
    pub b: T,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// The folders' names.
    pub runs: Pair<String>,
    pub verdict: Pair<Verdict>,
    /// Why figures of the two cannot be held against each other; empty where they can.
    pub incomparable: Vec<Unequal>,
    /// Findings whose verdict changed, and every claim and gate whose figures did.
    pub findings: Vec<FindingChange>,
    /// Classes that hold something in either run.
    pub classes: Vec<ClassChange>,
    pub figures: Vec<Figure>,
}

/// Something that should have been equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unequal {
    pub what: &'static str,
    pub a: String,
    pub b: String,
}

/// `None`: this run did not judge it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingChange {
    pub check: String,
    pub verdict: Pair<Option<Verdict>>,
    pub summary: Pair<Option<String>>,
}

/// `None`: void, or not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassChange {
    pub class: Class,
    /// Whether one member fails a run.
    pub fails: bool,
    pub a: Option<u64>,
    pub b: Option<u64>,
}

/// One measured figure; `None`: nothing was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub group: String,
    pub what: &'static str,
    pub unit: &'static str,
    pub a: Option<f64>,
    pub b: Option<f64>,
    pub difference: Option<f64>,
    pub ratio: Option<f64>,
}

impl Diff {
    pub fn of(runs: Pair<String>, a: &RunReport, b: &RunReport) -> Diff {
        Diff {
            runs,
            verdict: Pair { a: a.verdict, b: b.verdict },
            incomparable: incomparable(a, b),
            findings: findings(a, b),
            classes: classes(a, b),
            figures: figures(a, b),
        }
    }
}

fn incomparable(a: &RunReport, b: &RunReport) -> Vec<Unequal> {
    let aspects = ASPECTS.iter().map(|(what, of)| Unequal { what, a: of(a), b: of(b) });
    aspects.filter(|aspect| aspect.a != aspect.b).collect()
}

type Aspect = fn(&RunReport) -> String;

/// What must be equal in both, or a figure's difference says nothing about the service. The executable may differ:
/// that is what one compares.
const ASPECTS: [(&str, Aspect); 10] = [
    ("scenario", |r| r.plan.name.clone()),
    ("target", |r| r.plan.target.clone()),
    ("load", |r| r.plan.load.clone()),
    ("seed", |r| r.plan.seed.to_string()),
    ("claims, gates and stops", |r| r.declared.join(", ")),
    ("interrupted", |r| if r.interrupted { "yes" } else { "no" }.to_owned()),
    ("kernel", |r| known(r.environment.as_ref().and_then(|e| e.kernel.clone()))),
    ("processors", |r| known(r.environment.as_ref().and_then(|e| e.cpus))),
    ("memory", |r| known(r.environment.as_ref().and_then(|e| e.memory_bytes.map(super::figures::gibibytes)))),
    ("servers", |r| known(r.environment.as_ref().map(|e| servers(&e.servers)))),
];

fn servers(servers: &std::collections::BTreeMap<String, String>) -> String {
    servers.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "not recorded".to_owned(), |value| value.to_string())
}

/// In the order of B, which is the newer one as a rule; then what only A judged.
fn findings(a: &RunReport, b: &RunReport) -> Vec<FindingChange> {
    let of = |report: &RunReport, check: &str| -> Option<Finding> {
        report.judgement.findings.iter().find(|finding| finding.check == check).cloned()
    };
    let only_a = a.judgement.findings.iter().filter(|finding| of(b, &finding.check).is_none());
    let checks = b.judgement.findings.iter().chain(only_a).map(|finding| finding.check.clone());
    let changes = checks.map(|check| {
        let (in_a, in_b) = (of(a, &check), of(b, &check));
        let verdict = Pair { a: in_a.as_ref().map(|f| f.verdict), b: in_b.as_ref().map(|f| f.verdict) };
        let summary = Pair { a: in_a.map(|f| f.summary), b: in_b.map(|f| f.summary) };
        FindingChange { check, verdict, summary }
    });
    let declared = |change: &FindingChange| a.declared.contains(&change.check) || b.declared.contains(&change.check);
    changes.filter(|c| c.verdict.a != c.verdict.b || (declared(c) && c.summary.a != c.summary.b)).collect()
}

fn classes(a: &RunReport, b: &RunReport) -> Vec<ClassChange> {
    let count = |report: &RunReport, class: Class| {
        let found = report.judgement.classes.iter().find(|count| count.class == class);
        found.and_then(|count| count.void.is_none().then_some(count.count))
    };
    let change = |class: Class| ClassChange { class, fails: class.fails(), a: count(a, class), b: count(b, class) };
    let nothing = |change: &ClassChange| change.a == Some(0) && change.b == Some(0);
    Class::ALL.map(change).into_iter().filter(|change| !nothing(change)).collect()
}

fn figures(a: &RunReport, b: &RunReport) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (what, unit, of) in WHOLE_RUN {
        figures.push(Figure::of("run", what, unit, of(a), of(b)));
    }
    for (lane, phase) in lanes(a, b) {
        let group = match phase {
            None => lane.word().to_owned(),
            Some(phase) => format!("{}, {}", lane.word(), phase.word()),
        };
        let (in_a, in_b) = (response(a, lane, phase), response(b, lane, phase));
        for (what, of) in PERCENTILES {
            figures.push(Figure::of(&group, what, "ms", in_a.map(of), in_b.map(of)));
        }
    }
    figures.retain(|figure| figure.a.is_some() || figure.b.is_some());
    figures
}

type OfRun = fn(&RunReport) -> Option<f64>;

const WHOLE_RUN: [(&str, &str, OfRun); 6] = [
    ("operations due", "", |r| Some(r.judgement.conservation.due as f64)),
    ("acknowledged", "/s", |r| per_second(r, r.judgement.conservation.acked)),
    ("error rate", "%", |r| error_rate(&r.judgement.conservation)),
    ("drain after the load", "s", |r| r.settle.as_ref().map(|settle| settle.drain.as_secs_f64())),
    ("longest shutdown", "s", |r| longest(r.judgement.stops.iter().filter_map(|s| s.drain.map(|d| d.as_secs_f64())))),
    ("duplicate writes", "", |r| r.judgement.order.map(|order| order.duplicates as f64)),
];

fn per_second(report: &RunReport, count: u64) -> Option<f64> {
    let seconds = report.plan.load_duration.as_secs_f64();
    (seconds > 0.0).then(|| count as f64 / seconds)
}

fn error_rate(c: &Conservation) -> Option<f64> {
    (c.due > 0).then(|| c.errors() as f64 / c.due as f64 * 100.0)
}

fn longest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::max)
}

type Percentile = fn(&Percentiles) -> f64;

const PERCENTILES: [(&str, Percentile); 4] =
    [("p50", |p| p.p50), ("p99", |p| p.p99), ("p99.9", |p| p.p999), ("max", |p| p.max)];

/// Every lane and phase that either run measured, in order.
fn lanes(a: &RunReport, b: &RunReport) -> Vec<(Lane, Option<RunPhase>)> {
    let both = a.judgement.latency.iter().chain(&b.judgement.latency);
    let mut lanes: Vec<_> = both.map(|latency| (latency.lane, latency.phase)).collect();
    lanes.sort();
    lanes.dedup();
    lanes
}

/// Response times; `None` where there was no operation.
fn response(report: &RunReport, lane: Lane, phase: Option<RunPhase>) -> Option<&Percentiles> {
    let of_lane = |latency: &&LaneLatency| latency.lane == lane && latency.phase == phase;
    let found = report.judgement.latency.iter().find(of_lane)?;
    (found.response_ms.count > 0).then_some(&found.response_ms)
}

impl Figure {
    fn of(group: &str, what: &'static str, unit: &'static str, a: Option<f64>, b: Option<f64>) -> Figure {
        let both = a.zip(b);
        Figure {
            group: group.to_owned(),
            what,
            unit,
            a,
            b,
            difference: both.map(|(a, b)| b - a),
            ratio: both.and_then(|(a, b)| (a > 0.0).then(|| b / a)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    fn diff(a: usize, b: usize) -> Diff {
        let mut reports = canned::reports();
        let (b, a) = (reports[b].1.clone(), reports.remove(a).1);
        Diff::of(Pair { a: "20261124T001203Z-a-17".into(), b: "20261124T011203Z-b-18".into() }, &a, &b)
    }

    #[test]
    fn a_run_against_itself_differs_in_nothing() {
        let same = diff(0, 0);
        assert_eq!((same.incomparable.len(), same.findings.len()), (0, 0));
        assert!(same.figures.iter().all(|figure| figure.difference == Some(0.0)), "{:?}", same.figures);
        assert!(same.classes.iter().all(|class| class.a == class.b && class.a > Some(0)));
    }

    #[test]
    fn another_scenario_and_strategy_make_two_runs_incomparable() {
        let what: Vec<_> = diff(0, 1).incomparable.iter().map(|unequal| unequal.what).collect();
        assert_eq!(what, ["scenario", "target", "claims, gates and stops"]);
        let mut slower = canned::reports().remove(0).1;
        let report = slower.clone();
        slower.environment.as_mut().unwrap().cpus = Some(4);
        slower.plan.load = slower.plan.load.replace("800", "400");
        let runs = Pair { a: String::new(), b: String::new() };
        let what: Vec<_> = Diff::of(runs, &report, &slower).incomparable.iter().map(|unequal| unequal.what).collect();
        assert_eq!(what, ["load", "processors"]);
    }

    #[test]
    fn verdicts_that_changed_and_counts_that_are_void_show() {
        let changed = diff(0, 2);
        let finding = changed.findings.iter().find(|finding| finding.check == "integrity").unwrap();
        assert_eq!(finding.verdict, Pair { a: Some(Verdict::Pass), b: Some(Verdict::Inconclusive) });
        let lost = changed.classes.iter().find(|class| class.class == Class::Lost).unwrap();
        assert_eq!((lost.a, lost.b), (Some(0), None));
    }

    #[test]
    fn a_figure_has_a_difference_and_a_ratio_where_both_were_measured() {
        let figure = Figure::of("run", "p99", "ms", Some(4.0), Some(5.0));
        assert_eq!((figure.difference, figure.ratio), (Some(1.0), Some(1.25)));
        let none = Figure::of("run", "p99", "ms", None, Some(5.0));
        assert_eq!((none.difference, none.ratio), (None, None));
        assert_eq!(Figure::of("run", "p99", "ms", Some(0.0), Some(5.0)).ratio, None);
    }
}
