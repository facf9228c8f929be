//! `mxctl report export`: what a run recorded, for other tools.

use std::io;

use clap::ValueEnum;

use super::Refused;
use crate::checks::Evidence;
use crate::cli::exit::Exit;
use crate::cli::run_argument::RunArgument;
use crate::cli::{Global, fail};
use crate::rejudge::{self, Recovered};
use crate::report::export::{self, ExportError};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report export latest --ledger csv > ledger.csv
  mxctl report export latest --rows csv | grep ^73014444036,")]
pub struct Command {
    #[command(flatten)]
    run: RunArgument,
    #[command(flatten)]
    what: What,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The ledger, one line an attempt
    #[arg(long, value_name = "FORMAT")]
    ledger: Option<Format>,
    /// The rows as they were read back, one line a row
    #[arg(long, value_name = "FORMAT")]
    rows: Option<Format>,
    /// What the witness saw, one line an upsert
    #[arg(long, value_name = "FORMAT")]
    witness: Option<Format>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let Recovered { evidence, .. } = rejudge::recover(&self.run.find(global)?)?;
        match self.what.write(&evidence) {
            Err(e) if !e.is_broken_pipe() => Ok(fail(&e, Exit::BadInput)),
            _ => Ok(Exit::Pass),
        }
    }
}

impl What {
    fn write(&self, evidence: &Evidence) -> Result<u64, ExportError> {
        let out = io::BufWriter::new(io::stdout().lock());
        let missing = |why| ExportError::Missing { why };
        match self {
            What { rows: Some(Format::Csv), .. } => export::rows(out, evidence.rows().map_err(missing)?),
            What { witness: Some(Format::Csv), .. } => export::sightings(out, evidence.sightings().map_err(missing)?),
            _ => export::ledger(out, evidence.ledger.attempts(), &evidence.incidents.roster, |_| None),
        }
    }
}
