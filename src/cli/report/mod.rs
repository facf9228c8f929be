//! `mxctl report …`: what earlier runs found, from their folders alone, on any machine.

mod diff;
mod export;
mod judge;
mod list;
mod merge;
mod prune;
mod render;
mod show;

use clap::{Subcommand, ValueEnum};
use schemars::Schema;

use super::exit::Exit;
use super::output::{json, print};
use super::{Global, fail};
use crate::archive::ArchiveError;
use crate::find_max;
use crate::rejudge::RejudgeError;
use crate::report::{RenderError, schema};
use crate::runs::{FindError, MergeError, ReportError};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report list
  mxctl report show latest
  mxctl report diff 20261124T0012 latest
  mxctl report merge 20261124T0012 latest
  mxctl report render latest --format md
  mxctl report prune --keep 20 --dry-run

RUN is a run's folder, its name in the reports folder, the beginning of one, or `latest`.")]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the runs in the reports folder, newest first
    List(list::Command),
    /// Show a run's report as it was written
    Show(show::Command),
    /// Judge a run again from its folder; exits with the verdict's code
    Judge(judge::Command),
    /// Render a run's report in another form, without judging again
    Render(render::Command),
    /// Export what a run recorded
    Export(export::Command),
    /// Show what differs between two runs
    Diff(diff::Command),
    /// Merge the histograms of several runs, exactly
    Merge(merge::Command),
    /// Print the JSON Schema of run.json
    Schema(SchemaArgs),
    /// Remove the folders of old runs
    Prune(prune::Command),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report schema > run.schema.json
  mxctl report schema --of find-max > find-max.schema.json")]
struct SchemaArgs {
    /// What it describes
    #[arg(long, value_name = "WHAT", default_value = "run")]
    of: Described,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Described {
    /// run.json
    Run,
    /// The curve of `loadtest --find-max`
    FindMax,
}

impl Described {
    fn schema(self) -> Schema {
        match self {
            Described::Run => schema(),
            Described::FindMax => find_max::schema(),
        }
    }
}

/// Why a command about a run gave no answer.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Rejudge(#[from] RejudgeError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("write {path}: {source}")]
    Write { path: String, source: std::io::Error },
}

pub fn run(command: Command, global: &Global) -> Exit {
    let done = match command.action {
        Action::List(command) => command.run(global),
        Action::Show(command) => command.run(global),
        Action::Judge(command) => command.run(global),
        Action::Render(command) => command.run(global),
        Action::Export(command) => command.run(global),
        Action::Diff(command) => command.run(global),
        Action::Merge(command) => command.run(global),
        Action::Schema(args) => Ok(print(json(&args.of.schema()))),
        Action::Prune(command) => command.run(global),
    };
    done.unwrap_or_else(|e| match e {
        Refused::Render(_) => fail(&e, Exit::Bug),
        _ => fail(&e, Exit::BadInput),
    })
}
