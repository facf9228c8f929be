//! What a comparison came to, as JSON.

use std::path::PathBuf;

use serde::Serialize;

use crate::archive::Environment;
use crate::bench::peers::figures::Figures;
use crate::bench::peers::goals::{self, Goal};
use crate::bench::peers::{Compared, Comparison, Cores, Run};

#[derive(Debug, Clone, Serialize)]
pub struct PeersReport {
    pub environment: Environment,
    /// Of an unoptimised executable: its figures are no evidence.
    pub debug_build: bool,
    pub cores: Cores,
    pub connections: u32,
    pub rounds: u32,
    pub truth_rounds: u32,
    pub seconds: u64,
    pub tools: Vec<ToolLine>,
    pub runs: Vec<Run>,
    /// Medians.
    pub figures: Vec<FiguresLine>,
    pub goals: Vec<GoalLine>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ToolLine {
    pub name: &'static str,
    /// `None`: it is not there.
    pub program: Option<PathBuf>,
    pub source: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub struct FiguresLine {
    pub case: String,
    pub tool: String,
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Debug, Clone, Serialize)]
pub struct GoalLine {
    #[serde(flatten)]
    pub goal: Goal,
    pub outcome: goals::Outcome,
}

impl PeersReport {
    pub fn of(environment: Environment, asked: &Comparison, tools: Vec<ToolLine>, compared: &Compared) -> PeersReport {
        let cases = compared.cases();
        let pairs = cases.iter().flat_map(|case| asked.tools.iter().map(move |found| (*case, found.tool.name())));
        let line = |(case, tool): (&str, &str)| {
            let figures = compared.figures(case, tool);
            FiguresLine { case: case.to_owned(), tool: tool.to_owned(), figures }
        };
        let goal = |goal: Goal| GoalLine { outcome: goal.outcome(), goal };
        PeersReport {
            environment,
            debug_build: cfg!(debug_assertions),
            cores: asked.cores,
            connections: asked.connections,
            rounds: asked.rounds,
            truth_rounds: asked.truth_rounds,
            seconds: asked.lasts.as_secs(),
            tools,
            runs: compared.runs.clone(),
            figures: pairs.map(line).filter(|line| line.figures.runs > 0).collect(),
            goals: goals::goals(compared).into_iter().map(goal).collect(),
        }
    }
}
