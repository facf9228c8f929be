//! `mxctl report judge`: the verdict once more, from what a run recorded.

use super::Refused;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::launch::print_verdict;
use crate::cli::run_argument::RunArgument;
use crate::rejudge;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report judge latest
  mxctl report judge reports/20261124T001203Z-rolling-update-1795478400 --output json

A run that was killed is judged as far as its folder goes: its ledger is recovered and marked torn.

Exit codes: 0 pass, 1 fail, 2 no run, or one that cannot be read, 3 inconclusive")]
pub struct Command {
    #[command(flatten)]
    run: RunArgument,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let folder = self.run.find(global)?;
        let report = rejudge::judge(&folder)?;
        Ok(print_verdict(&report, &folder, global))
    }
}
