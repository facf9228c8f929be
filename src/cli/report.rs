//! `mxctl report judge|export`: from a run's folder alone, on any machine.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::exit::Exit;
use super::launch::print_report;
use super::{Global, fail};
use crate::archive::{Archive, ArchiveError};
use crate::rejudge::{self, Recovered, RejudgeError};
use crate::report::export::{self, ExportError};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report judge latest
  mxctl report export latest --ledger csv > ledger.csv")]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Judge a run again from its folder; exits with the verdict's code
    #[command(after_help = "Examples:
  mxctl report judge latest
  mxctl report judge reports/20261124T001203Z-rolling-update-1795478400 --output json

A run that was killed is judged as far as its folder goes: its ledger is recovered and marked torn.

Exit codes: 0 pass, 1 fail, 2 no run, or one that cannot be read, 3 inconclusive")]
    Judge {
        /// A run's folder, its name in the reports folder, or `latest`
        run: PathBuf,
    },
    /// Export what a run recorded
    #[command(after_help = "Examples:
  mxctl report export latest --ledger csv > ledger.csv
  mxctl report export latest --rows csv | grep ^73014444036,")]
    Export {
        /// A run's folder, its name in the reports folder, or `latest`
        run: PathBuf,
        #[command(flatten)]
        what: Exported,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Exported {
    /// The ledger, one line an attempt
    #[arg(long, value_name = "FORMAT")]
    ledger: Option<ExportFormat>,
    /// The rows as they were read back, one line a row
    #[arg(long, value_name = "FORMAT")]
    rows: Option<ExportFormat>,
    /// What the witness saw, one line an upsert
    #[arg(long, value_name = "FORMAT")]
    witness: Option<ExportFormat>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    Csv,
}

pub fn run(command: Command, global: &Global) -> Exit {
    let done = match &command.action {
        Action::Judge { run } => judge(run, global),
        Action::Export { run, what } => export(run, what, global),
    };
    done.unwrap_or_else(|e| fail(&e, Exit::BadInput))
}

fn judge(run: &Path, global: &Global) -> Result<Exit, RejudgeError> {
    let folder = find(run, &global.reports)?;
    let report = rejudge::judge(&folder)?;
    Ok(print_report(&report, &folder, global))
}

fn export(run: &Path, what: &Exported, global: &Global) -> Result<Exit, RejudgeError> {
    let Recovered { evidence, .. } = rejudge::recover(&find(run, &global.reports)?)?;
    let out = io::BufWriter::new(io::stdout().lock());
    let state = |why| ExportError::Missing { why };
    let written = match what {
        Exported { rows: Some(ExportFormat::Csv), .. } => {
            evidence.rows().map_err(state).and_then(|rows| export::rows(out, rows))
        }
        Exported { witness: Some(ExportFormat::Csv), .. } => {
            evidence.sightings().map_err(state).and_then(|seen| export::sightings(out, seen))
        }
        _ => export::ledger(out, evidence.ledger.attempts(), &evidence.incidents.roster, |_| None),
    };
    match written {
        Err(e) if !e.is_broken_pipe() => Ok(fail(&e, Exit::BadInput)),
        _ => Ok(Exit::Pass),
    }
}

/// A folder, the name of one in the reports folder, or `latest`.
fn find(run: &Path, reports: &Path) -> Result<PathBuf, ArchiveError> {
    if run.as_os_str() == "latest" {
        return Archive::runs(reports)?.pop().ok_or_else(|| ArchiveError::NoRuns(reports.to_owned()));
    }
    let within = reports.join(run);
    Ok(if !run.is_dir() && within.is_dir() { within } else { run.to_owned() })
}
