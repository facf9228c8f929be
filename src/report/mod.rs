//! The report: what a run found, as plain data, and what renders it to bytes. No I/O.
//!
//! In: the plan, the incidents and the judgement. Out: a [`RunReport`], which is `run.json`, and from it every other
//! form: one [`Renderer`] a form. The run's folder takes them ([`RunReport::files`], then
//! [`Archive::seal`](crate::archive::Archive::seal)).
//!
//! # What cannot be lost on the way
//! A claim, gate, start, stop or disturbance of the plan that nobody judged becomes an INCONCLUSIVE finding here, and an interrupted run
//! is never a PASS: no renderer has to know.

mod by_hand;
#[cfg(test)]
pub(crate) mod canned;
pub mod diff;
mod disturbances;
mod evidence;
pub mod export;
pub mod figures;
mod incidents;
mod json;
mod junit;
mod list;
mod markdown;
mod plan;
#[cfg(test)]
mod samples;
mod scaling;
mod schema;
mod selftest;
pub mod table;
mod terminal;
pub mod text;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::{Environment, Piece};
use crate::backends::SettleOutcome;
use crate::checks::{Finding, Judgement, Verdict};
use crate::harness::Harness;
use crate::load::Connections;
use crate::plan::Plan;
use crate::proven::Standing;
use crate::timeline::Incidents;

pub use by_hand::DatabaseServer;
pub use incidents::TimelineLine;
pub use json::Json;
pub use junit::JUnit;
pub use list::{ListLine, RunState, list};
pub use markdown::Markdown;
pub use plan::PlanSummary;
pub use schema::schema;
pub use selftest::{ZooLine, selftest, zoo};
pub use terminal::Terminal;

/// Rises when a field changes its meaning or goes; a new field does not raise it.
pub const SCHEMA: u32 = 1;

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    pub schema: u32,
    pub verdict: Verdict,
    /// The run was told to stop; its verdict is then never PASS.
    pub interrupted: bool,
    pub plan: PlanSummary,
    /// Every claim, gate, start, stop and disturbance of the plan, by the name under which it is judged.
    pub declared: Vec<String>,
    /// `None`: the run's folder does not have it.
    pub environment: Option<Environment>,
    /// From the start of mxctl to the judgement; `None`: the run did not live to see it.
    pub duration: Option<Duration>,
    /// What mxctl itself took; `None`: judged from the run's folder, later.
    #[serde(default)]
    pub harness: Option<Harness>,
    /// What became of the connections of load alone; `None`: another kind of run, or judged from the run's folder, later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
    /// What the newest selftest of the run's executable says of this scenario; `None`: there is none.
    #[serde(default)]
    pub standing: Option<Standing>,
    /// `None`: the run ended before it settled.
    pub settle: Option<SettleOutcome>,
    pub judgement: Judgement,
    pub timeline: Vec<TimelineLine>,
    pub paths: Paths,
    /// The database, where it is a server; a file is among the paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseServer>,
}

/// What the plan and the incidents do not say.
#[derive(Debug)]
pub struct Ran {
    pub environment: Option<Environment>,
    pub standing: Option<Standing>,
    pub duration: Option<Duration>,
    pub settle: Option<SettleOutcome>,
    pub interrupted: bool,
    /// Its file, or its data, relative to the run's folder.
    pub database: Option<PathBuf>,
    pub server: Option<DatabaseServer>,
}

/// Where the evidence lies, relative to the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Paths {
    pub plan: PathBuf,
    pub environment: PathBuf,
    pub incidents: PathBuf,
    pub state: PathBuf,
    pub rows: PathBuf,
    pub witness: PathBuf,
    pub ledger: PathBuf,
    pub target: PathBuf,
    pub junit: PathBuf,
    pub markdown: PathBuf,
    /// A file that a person can query, or the data folder of a private server.
    pub database: Option<PathBuf>,
}

impl RunReport {
    pub fn new(plan: &Plan, incidents: &Incidents, judgement: Judgement, ran: Ran) -> RunReport {
        let declared = plan::declared(plan);
        let unproven = plan.require_selftest.then(|| unproven(ran.standing.as_ref())).flatten();
        let judgement = with_open_questions(judgement, &declared, (ran.interrupted, unproven));
        RunReport {
            schema: SCHEMA,
            verdict: judgement.verdict,
            interrupted: ran.interrupted,
            plan: PlanSummary::of(plan),
            declared,
            environment: ran.environment,
            duration: ran.duration,
            harness: None,
            connections: None,
            standing: ran.standing,
            settle: ran.settle,
            judgement,
            timeline: incidents::lines(incidents),
            paths: Paths::with_database(ran.database),
            database: ran.server,
        }
    }

    /// Every file of the report, as [`Archive::seal`](crate::archive::Archive::seal) takes them.
    pub fn files(&self) -> Result<Vec<(Piece, Vec<u8>)>, RenderError> {
        FILES.iter().map(|(piece, renderer)| Ok((*piece, renderer.render(self)?))).collect()
    }
}

/// What nobody answered is INCONCLUSIVE.
fn with_open_questions(
    mut judgement: Judgement,
    declared: &[String],
    (interrupted, unproven): (bool, Option<Finding>),
) -> Judgement {
    let checks = judgement.findings.iter().map(|finding| &finding.check);
    let steps = judgement.stops.iter().map(|stop| &stop.id).chain(judgement.starts.iter().map(|start| &start.id));
    let disturbances = judgement.disturbances.iter().map(|disturbance| &disturbance.id);
    let judged: BTreeSet<&String> = checks.chain(steps).chain(disturbances).collect();
    let unjudged = declared.iter().filter(|name| !judged.contains(name));
    let mut open: Vec<Finding> = unjudged.map(|name| inconclusive(name, "declared, and nothing judged it")).collect();
    if interrupted && judgement.verdict == Verdict::Pass {
        open.push(inconclusive("interrupted", "the run was told to stop before its plan was over"));
    }
    open.extend(unproven);
    if !open.is_empty() {
        judgement.verdict = judgement.verdict.max(Verdict::Inconclusive);
        judgement.findings.append(&mut open);
    }
    judgement
}

/// A pass was to rest on a selftest, and there is none that says anything of this scenario.
fn unproven(standing: Option<&Standing>) -> Option<Finding> {
    match standing {
        None => Some(inconclusive("selftest", "required, and this executable has no selftest: run `mxctl selftest`")),
        Some(standing) if standing.covered.is_empty() => {
            let summary = "required, and no seeded bug was caught with what this scenario does on its strategy";
            Some(inconclusive("selftest", summary))
        }
        Some(Standing { by_acts: Some(0), .. }) => {
            let summary = "required, and no seeded bug was caught by what this scenario does to its target";
            Some(inconclusive("selftest", summary))
        }
        Some(_) => None,
    }
}

fn inconclusive(check: &str, summary: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        verdict: Verdict::Inconclusive,
        summary: summary.to_owned(),
        details: Vec::new(),
    }
}

impl Paths {
    fn with_database(database: Option<PathBuf>) -> Paths {
        Paths {
            plan: Piece::Plan.path().into(),
            environment: Piece::Environment.path().into(),
            incidents: Piece::Incidents.path().into(),
            state: Piece::State.path().into(),
            rows: Piece::Rows.path().into(),
            witness: Piece::Witness.path().into(),
            ledger: "ledger".into(),
            target: "target".into(),
            junit: Piece::JUnit.path().into(),
            markdown: Piece::Markdown.path().into(),
            database,
        }
    }
}

/// Plain data → bytes.
pub trait Renderer: Sync {
    fn render(&self, report: &RunReport) -> Result<Vec<u8>, RenderError>;
}

/// The files that a report consists of. Another one is a line here and a [`Piece`].
pub const FILES: [(Piece, &dyn Renderer); 3] =
    [(Piece::JUnit, &JUnit), (Piece::Markdown, &Markdown), (Piece::Run, &Json)];

#[derive(Debug, thiserror::Error)]
#[error("render the report as {form}: {why}")]
pub struct RenderError {
    pub form: &'static str,
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_gate_that_nobody_judged_is_inconclusive() {
        let (plan, mut judgement) = (canned::plan(), canned::passing());
        judgement.findings.retain(|f| f.check != "p99.steady");
        let report = RunReport::new(&plan, &Incidents::default(), judgement, canned::ran());
        assert_eq!((report.verdict, report.judgement.verdict), (Verdict::Inconclusive, Verdict::Inconclusive));
        let finding = report.judgement.findings.last().unwrap();
        assert_eq!((finding.check.as_str(), finding.verdict), ("p99.steady", Verdict::Inconclusive));
    }

    #[test]
    fn a_planned_stop_that_nobody_judged_is_inconclusive() {
        let (plan, mut judgement) = (canned::plan(), canned::passing());
        let stop = judgement.stops.pop().unwrap();
        let report = RunReport::new(&plan, &Incidents::default(), judgement, canned::ran());
        assert_eq!(report.verdict, Verdict::Inconclusive);
        assert_eq!(report.judgement.findings.last().unwrap().check, stop.id);
    }

    #[test]
    fn an_interrupted_run_never_passes_and_a_failure_stays_one() {
        let told_to_stop = || Ran { interrupted: true, ..canned::ran() };
        let report = RunReport::new(&canned::plan(), &Incidents::default(), canned::passing(), told_to_stop());
        assert_eq!(report.verdict, Verdict::Inconclusive);
        let report = RunReport::new(&canned::plan(), &Incidents::default(), canned::failing(), told_to_stop());
        assert_eq!(report.verdict, Verdict::Fail);
    }

    #[test]
    fn a_required_selftest_must_have_caught_something_by_what_is_done_to_the_target() {
        let plan = Plan { require_selftest: true, ..canned::plan() };
        let verdict = |standing| {
            let ran = Ran { standing, ..canned::ran() };
            RunReport::new(&plan, &Incidents::default(), canned::passing(), ran).verdict
        };
        let caught = |covered: &[&str], by_acts| {
            let (started_at, covered) =
                (jiff::Timestamp::UNIX_EPOCH, covered.iter().map(|bug| (*bug).into()).collect());
            Some(Standing { started_at, caught: 2, bugs: 2, false_alarms: 0, covered, by_acts })
        };
        assert_eq!(verdict(None), Verdict::Inconclusive);
        assert_eq!(verdict(caught(&[], None)), Verdict::Inconclusive);
        assert_eq!(verdict(caught(&["lifo"], Some(0))), Verdict::Inconclusive);
        assert_eq!(verdict(caught(&["lifo", "no-redrive"], Some(1))), Verdict::Pass);
        assert_eq!(verdict(caught(&["lifo"], None)), Verdict::Pass, "nothing is done to the target");
    }

    #[test]
    fn the_report_for_machines_is_the_last_file() {
        let files = canned::reports()[0].1.files().unwrap();
        assert_eq!(files.last().unwrap().0, Piece::Run);
    }
}
