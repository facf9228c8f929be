//! `mxctl report export`: what a run recorded, for other tools.

use std::io;

use clap::ValueEnum;

use super::Refused;
use crate::cli::exit::Exit;
use crate::cli::run_argument::RunArgument;
use crate::cli::{Global, fail};
use crate::rejudge::{self, Recovered};
use crate::report::export;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report export latest --ledger csv > ledger.csv")]
pub struct Command {
    #[command(flatten)]
    run: RunArgument,
    /// The ledger, one line an attempt
    #[arg(long, value_name = "FORMAT")]
    ledger: LedgerFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LedgerFormat {
    Csv,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let LedgerFormat::Csv = self.ledger;
        let Recovered { evidence, .. } = rejudge::recover(&self.run.find(global)?)?;
        let out = io::BufWriter::new(io::stdout().lock());
        match export::ledger(out, evidence.ledger.attempts(), &evidence.incidents.roster, |_| None) {
            Err(e) if !e.is_broken_pipe() => Ok(fail(&e, Exit::BadInput)),
            _ => Ok(Exit::Pass),
        }
    }
}
