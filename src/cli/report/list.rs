//! `mxctl report list`.

use super::Refused;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::output::print_as;
use crate::report::{ListLine, list};
use crate::runs::{self, RunFolder};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report list
  mxctl report list --limit 5 --output json

`must be 0` names the classes that fail a run and what is in them; `void`: the evidence did not suffice to count.")]
pub struct Command {
    /// Only the newest N
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let runs = runs::all(&global.reports)?;
        let lines: Vec<ListLine> = runs.iter().take(self.limit.unwrap_or(usize::MAX)).map(RunFolder::line).collect();
        let in_words = || match lines.as_slice() {
            [] => format!("no runs in {}\n", global.reports.display()),
            lines => list(lines),
        };
        Ok(print_as(&lines, in_words, global))
    }
}
