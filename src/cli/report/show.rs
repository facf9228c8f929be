//! `mxctl report show`: the report as it was written when the run ended.

use super::Refused;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::launch::print_report;
use crate::cli::run_argument::RunArgument;
use crate::runs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report show latest
  mxctl report show 20261124T0012 --output json

Exits with 0 whatever the verdict was, and with 2 where there is no report; `mxctl report judge` exits with the
verdict's code.")]
pub struct Command {
    #[command(flatten)]
    run: RunArgument,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let folder = self.run.find(global)?;
        let report = runs::report_of(&folder)?;
        Ok(print_report(&report, &folder, global))
    }
}
