//! Judging: pure functions over [`Evidence`]. One claim a file; a check that crashes is INCONCLUSIVE.
//!
//! In: the plan and the evidence. Out: a [`Judgement`]: every finding, and the figures that they rest on.
//!
//! `judge` first works out the figures that several checks share (`figures`), then runs the `CHECKS` in their
//! order. Adding a check is one file and its line in that list.

mod answers;
mod asked;
mod assessed;
mod attempts;
mod backlog;
mod broker;
pub mod census;
mod checkpoints;
mod class;
mod classes;
mod clocks;
mod conservation;
mod disturbances;
mod effects;
mod efficiency;
mod evidence;
mod exhibits;
mod f1;
mod f2;
mod failures;
mod figures;
mod finding;
mod gates;
mod generator;
mod instances;
mod integrity;
mod interrupted;
mod judgement;
mod latency;
mod load_alone;
mod measured;
mod metrics;
mod operations;
mod order;
mod own_lag;
mod phases;
mod reasons;
mod recovery;
mod rows;
mod sabotaged;
mod seeded;
mod seen;
mod series;
mod settled;
mod sizes;
mod soundness;
mod spans;
mod starts;
mod stops;
mod strangers;
mod windows;
mod witness;

#[cfg(test)]
pub(crate) mod canned;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use checkpoints::CheckpointJudgement;
pub use class::{Class, ClassCount, Exhibit};
pub use conservation::Conservation;
pub use disturbances::DisturbanceJudgement;
use disturbances::Disturbances;
pub use efficiency::Plateau;
pub use evidence::Evidence;
use figures::Figures;
pub use finding::{Finding, Verdict};
pub use generator::Punctuality;
pub use integrity::CountByHand;
pub use judgement::Judgement;
pub use load_alone::{Basis, LoadJudgement, judge_load};
pub use series::{LaneLatency, SeriesPoint};
pub use starts::StartJudgement;
pub use stops::StopJudgement;
use stops::Stops;
pub use strangers::Strangers;
pub use witness::OrderCounts;

use crate::load::Ledger;
use crate::load::latency::LaneHistograms;
pub use crate::load::latency::Percentiles;
use crate::plan::Plan;

/// What every check sees.
struct Case<'a> {
    plan: &'a Plan,
    evidence: &'a Evidence,
    figures: &'a Figures,
    starts: &'a [StartJudgement],
    stops: &'a [StopJudgement],
    disturbances: &'a [DisturbanceJudgement],
}

type Check = fn(&Case) -> Vec<Finding>;

/// Every check, in the order of the report: first whether the evidence carries a verdict, then what it says.
const CHECKS: [(&str, Check); 21] = [
    ("sabotage", sabotaged::check),
    ("seeded bug", seeded::check),
    ("interrupted", interrupted::check),
    ("settled", settled::check),
    ("instances", instances::check),
    ("evidence", soundness::check),
    ("conservation", conservation::check),
    ("clocks", clocks::check),
    ("generator", generator::check),
    ("answers", answers::check),
    ("integrity", integrity::check),
    ("broker", broker::check),
    ("attempts", attempts::check),
    ("order", order::check),
    ("F1", f1::check),
    ("F2", f2::check),
    ("redis-failure", failures::of_redis),
    ("database-failure", failures::of_database),
    ("gates", gates::check),
    ("backlog", backlog::check),
    ("metrics", metrics::check),
];

/// Judges a run.
pub fn judge(plan: &Plan, evidence: &Evidence) -> Judgement {
    let mut findings = Vec::new();
    let figures = Figures::of(plan, evidence, &mut findings);
    let stops = guarded("stops", &mut findings, Vec::new, || Stops { plan, evidence, figures: &figures }.judge());
    let starts = guarded("starts", &mut findings, Vec::new, || starts::judge(plan, evidence, &figures.classes));
    let judged = || Disturbances { plan, evidence, figures: &figures }.judge();
    let disturbances = guarded("disturbances", &mut findings, Vec::new, judged);
    let case = Case { plan, evidence, figures: &figures, starts: &starts, stops: &stops, disturbances: &disturbances };
    for (name, check) in CHECKS {
        let found = guarded(name, &mut findings, Vec::new, || check(&case));
        findings.extend(found);
    }
    let count_by_hand = guarded("count by hand", &mut findings, || None, || integrity::by_hand(&case));
    let not_assessed = guarded("not assessed", &mut findings, Vec::new, || assessed::not_assessed(&case));
    Judgement {
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive),
        findings,
        conservation: figures.conserved.counts,
        classes: figures.classes.counted(&figures.soundness),
        exhibits: figures.classes.exhibits.clone(),
        order: figures.order,
        latency: figures.timing.lanes(),
        punctuality: Some(figures.punctuality(evidence)),
        series: figures.timing.series.clone(),
        strangers: figures.strangers,
        count_by_hand,
        not_assessed,
        checkpoints: figures.checkpoints.iter().map(|looked| looked.judged(&evidence.incidents)).collect(),
        efficiency: figures.efficiency.clone(),
        starts,
        stops,
        disturbances,
    }
}

/// The histograms of a run's operations, of all lanes together: what its percentiles are of.
pub fn histograms(plan: &Plan, ledger: &Ledger) -> LaneHistograms {
    let (timeout, load_over) = (plan.load.request_timeout, ledger.issued_until().plus(plan.load.grace));
    let mut histograms = LaneHistograms::default();
    operations::operations(ledger)
        .for_each(|operation| histograms.record(&latency::aged(&operation, load_over), timeout));
    histograms
}

/// Runs a part of judging. One that crashes gives `otherwise`, and a finding that nobody can take for a pass.
fn guarded<T>(name: &str, findings: &mut Vec<Finding>, otherwise: fn() -> T, part: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let summary = format!("the check crashed: {}", said.unwrap_or("without a message"));
        findings.push(Finding::inconclusive(name, summary));
        otherwise()
    })
}
