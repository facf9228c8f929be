//! `mxctl report diff`: two stored reports side by side.

use std::path::{Path, PathBuf};

use super::Refused;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::output::print_as;
use crate::report::diff::{Diff, Pair};
use crate::runs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report diff 20261124T001203Z-rolling-update-1795478400 latest
  mxctl report diff base/reports/20261124T001203Z-loadtest-1 latest --output json

Exits with 0 whatever differs: a limit that must hold is a gate of the run (`--fail-if`).")]
pub struct Command {
    /// The run to compare with, as for `report show`
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The other run
    #[arg(value_name = "B")]
    b: PathBuf,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let (a, b) = (runs::find(&self.a, &global.reports)?, runs::find(&self.b, &global.reports)?);
        let (report_a, report_b) = (runs::report_of(&a)?, runs::report_of(&b)?);
        let diff = Diff::of(Pair { a: name(&a), b: name(&b) }, &report_a, &report_b);
        Ok(print_as(&diff, || diff.to_text(), global))
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}
