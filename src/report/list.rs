//! The runs of a reports folder, one line each, newest first.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::figures::{dash, span, thousands};
use super::table::{Table, left, right};
use super::{PlanSummary, RunReport};
use crate::checks::{Class, Conservation, Verdict};

/// What a list shows of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListLine {
    /// Its folder's name.
    pub run: String,
    #[serde(flatten)]
    pub state: RunState,
    /// `None`: the folder does not have it.
    pub plan: Option<PlanSummary>,
    pub started_at: Option<Timestamp>,
    pub duration: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RunState {
    Reported {
        verdict: Verdict,
        interrupted: bool,
        operations: Conservation,
        /// Classes that must be empty and are not.
        failing: Vec<FailingClass>,
        /// Whether some such class could not be counted.
        void: bool,
        /// Something that the run started may still be there.
        unhealed: bool,
    },
    Running,
    /// It was killed, and what it had started may still be there.
    Unhealed,
    /// It ended before its report was written.
    Unreported,
    Unreadable {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailingClass {
    pub class: Class,
    pub count: u64,
}

impl ListLine {
    pub fn of_report(run: String, report: &RunReport, unhealed: bool) -> ListLine {
        let must_be_empty = report.judgement.classes.iter().filter(|class| class.fails);
        let (void, counted): (Vec<_>, Vec<_>) = must_be_empty.partition(|class| class.void.is_some());
        let found = counted.into_iter().filter(|class| class.count > 0);
        let state = RunState::Reported {
            verdict: report.verdict,
            interrupted: report.interrupted,
            operations: report.judgement.conservation,
            failing: found.map(|class| FailingClass { class: class.class, count: class.count }).collect(),
            void: !void.is_empty(),
            unhealed,
        };
        ListLine {
            plan: Some(report.plan.clone()),
            started_at: report.environment.as_ref().map(|environment| environment.started_at),
            duration: report.duration,
            ..ListLine::without_report(run, state)
        }
    }

    pub fn without_report(run: String, state: RunState) -> ListLine {
        ListLine { run, state, plan: None, started_at: None, duration: None }
    }

    /// `V5 redis, sqlite` of `V5 redis (appendfsync always), 3 api + 2 worker, sqlite, witness on`.
    fn target(&self) -> String {
        let Some(plan) = &self.plan else { return dash() };
        let mut parts = plan.target.split(", ");
        let strategy = parts.next().and_then(|strategy| strategy.split(" (").next()).unwrap_or_default();
        [Some(strategy), parts.nth(1)].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The table of a list. A run's name stays whole, however wide that makes the line: it is there to be copied.
pub fn list(lines: &[ListLine]) -> String {
    let mut table = Table::new(&[
        left("run"),
        left("scenario"),
        left("target"),
        left("started (UTC)"),
        right("took"),
        left("verdict"),
        right("operations"),
        left("must be 0"),
    ]);
    for line in lines {
        let (verdict, operations, failing) = outcome(&line.state);
        table.row([
            line.run.clone(),
            line.plan.as_ref().map_or_else(dash, |plan| plan.name.clone()),
            line.target(),
            line.started_at.map_or_else(dash, |at| at.strftime("%Y-%m-%d %H:%M").to_string()),
            line.duration.map_or_else(dash, span),
            verdict,
            operations,
            failing,
        ]);
    }
    table.render_whole()
}

/// Verdict or what stands for it, operations that were due, and what was found in classes that must be empty.
fn outcome(state: &RunState) -> (String, String, String) {
    let without = |why: &str| (why.to_owned(), dash(), dash());
    match state {
        RunState::Reported { verdict, operations, failing, void, unhealed, .. } => {
            let heal = if *unhealed { ", unhealed" } else { "" };
            let found = failing.iter().map(|f| format!("{} {}", thousands(f.count), f.class.word()));
            let found: Vec<String> = found.chain(void.then(|| "void".to_owned())).collect();
            let found = if found.is_empty() { "0".to_owned() } else { found.join(", ") };
            (format!("{}{heal}", verdict.word()), thousands(operations.due), found)
        }
        RunState::Running => without("running"),
        RunState::Unhealed => without("killed: heal, judge it"),
        RunState::Unreported => without("no report: judge it"),
        RunState::Unreadable { .. } => without("unreadable"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    #[test]
    fn a_list_shows_every_state_and_keeps_names_whole() {
        let mut lines: Vec<ListLine> = canned::reports()
            .iter()
            .map(|(name, report)| ListLine::of_report(format!("20261124T001203Z-{name}-17"), report, *name == "fail"))
            .collect();
        let unreadable = RunState::Unreadable { why: "damaged".into() };
        for state in [RunState::Running, RunState::Unhealed, RunState::Unreported, unreadable] {
            lines.push(ListLine::without_report("20261124T001203Z-another-18".into(), state));
        }
        insta::assert_snapshot!(list(&lines));
    }
}
