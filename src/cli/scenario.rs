//! `mxctl scenario list|check|explain|schema`: what a scenario means, without starting anything.
//!
//! In: a scenario by name or path, and the flags that a run would take. Out: text for stdout, or the problems.

mod list;

use clap::{Args, Subcommand};

use crate::footprint::disk_bytes;
use crate::load::pacer::Timetable;
use crate::load::{Lane, Operations};
use crate::plan::explain::{LaneCounts, explain};
use crate::plan::{Given, KeptTarget, Plan, scenario_schema};
use crate::scenario::{Problems, Scenario, Source};
use crate::url_load;

use super::exit::Exit;
use super::output::{json, print};
use super::problems::refuse;
use super::target_flags::PlanFlags;
use super::{Global, OutputFormat};

/// Look at scenarios; nothing is started
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the scenarios that ship
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Find everything that is wrong with a scenario and the flags over it
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Put into words what a run would do, and what it could prove
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Print the JSON Schema of a scenario file
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
}

pub const EXAMPLES: &str = "Examples:
  mxctl scenario list
  mxctl scenario check rolling-update
  mxctl scenario explain rolling-update --strategy in-memory";

const LIST_EXAMPLES: &str = "Examples:
  mxctl scenario list
  mxctl scenario list --output json";

const SCHEMA_EXAMPLES: &str = "Examples:
  mxctl scenario schema > scenario.schema.json

An editor with a YAML language server completes and checks a scenario that begins with
  # yaml-language-server: $schema=scenario.schema.json";

const CHECK_EXAMPLES: &str = "Examples:
  mxctl scenario check rolling-update
  mxctl scenario check my/scenario.yml --strategy in-memory --rps 1500";

const EXPLAIN_EXAMPLES: &str = "Examples:
  mxctl scenario explain rolling-update
  mxctl scenario explain my/scenario.yml --duration 2m --fail-if 'p99.steady > 50ms'
  mxctl scenario explain loadtest --run-number 7 --seed 1 --output json";

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// A scenario that ships, or the path of a file
    pub scenario: String,
    #[command(flatten)]
    pub flags: PlanFlags,
}

#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// A scenario that ships, or the path of a file
    pub scenario: String,
    #[command(flatten)]
    pub flags: PlanFlags,
}

/// A real run draws its number and seed when it starts; where no flag gives them, these stand for them.
const UNDRAWN: Given = Given { run_number: 1, seed: 1 };

pub fn run(command: &Command, global: &Global) -> Exit {
    match answer(command, global.output) {
        Ok(text) => print(text),
        Err(problems) => refuse(&problems),
    }
}

/// The text for stdout.
pub fn answer(command: &Command, output: OutputFormat) -> Result<String, Problems> {
    match command {
        Command::List => listed(output),
        Command::Check(args) => check(args),
        Command::Explain(args) => Ok(shown(&plan(&args.scenario, &args.flags, UNDRAWN)?, output)),
        Command::Schema => Ok(json(&scenario_schema())),
    }
}

fn listed(output: OutputFormat) -> Result<String, Problems> {
    let scenarios = list::listed()?;
    Ok(match output {
        OutputFormat::Human => list::table(&scenarios),
        OutputFormat::Json => json(&scenarios),
    })
}

/// A plan as a person or a program wants it.
pub fn shown(plan: &Plan, output: OutputFormat) -> String {
    match output {
        OutputFormat::Human => explain(plan, count(plan), disk(plan)),
        OutputFormat::Json => json(plan),
    }
}

fn disk(plan: &Plan) -> u64 {
    plan.url.as_ref().map_or_else(|| disk_bytes(plan), |url| url_load::disk_bytes(plan, url))
}

fn check(args: &CheckArgs) -> Result<String, Problems> {
    let plan = plan(&args.scenario, &args.flags, UNDRAWN)?;
    let started: usize = plan.timeline.iter().map(|step| step.starts.len()).sum();
    let starts = if started > 0 { format!("{started} starts and ") } else { String::new() };
    let mut text = format!("{}: no problems, {starts}{} stops planned\n", args.scenario, plan.stops().count());
    for note in &plan.notes {
        text += &format!("note: {note}\n");
    }
    Ok(text)
}

/// The plan of a scenario, by name or path, with flags over it: what `loadtest` and `chaos` run.
pub fn plan(scenario: &str, flags: &PlanFlags, given: Given) -> Result<Plan, Problems> {
    let source = Source::load(scenario)?;
    let plan = Plan::resolve(Scenario::read(&source), flags.overrides(), given)?;
    Ok(Plan { require_selftest: flags.run.require_selftest, ..plan })
}

/// The same, for a lab that is to stay.
pub fn plan_to_keep(scenario: &str, flags: &PlanFlags, given: Given) -> Result<Plan, Problems> {
    let source = Source::load(scenario)?;
    Plan::resolve_to_keep(Scenario::read(&source), flags.overrides(), given)
}

/// The same, on a lab that is up.
pub fn plan_on(lab: &KeptTarget, scenario: &str, flags: &PlanFlags, given: Given) -> Result<Plan, Problems> {
    let source = Source::load(scenario)?;
    let plan = Plan::resolve_on(lab, Scenario::read(&source), flags.overrides(), given)?;
    Ok(Plan { require_selftest: flags.run.require_selftest, ..plan })
}

fn count(plan: &Plan) -> LaneCounts {
    let total = Timetable::of(&plan.load).total();
    let mut counts = LaneCounts::default();
    for (_, operation) in (0..total).zip(Operations::new(plan.run, &plan.load)) {
        match operation.lane {
            Lane::WriteOnce => counts.write_once += 1,
            Lane::HotKey => counts.hot_key += 1,
            Lane::Read => counts.read += 1,
            Lane::Poison => counts.poison += 1,
            Lane::Request => counts.request += 1,
        }
    }
    counts
}
