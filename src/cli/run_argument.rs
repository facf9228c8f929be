//! The argument of every command that takes a run.

use std::path::PathBuf;

use super::Global;
use crate::runs::{self, FindError};

#[derive(Debug, Clone, clap::Args)]
pub struct RunArgument {
    /// A run's folder, its name in the reports folder, the beginning of one, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}

impl RunArgument {
    /// The folder of the run that is meant.
    pub fn find(&self, global: &Global) -> Result<PathBuf, FindError> {
        runs::find(&self.run, &global.reports)
    }
}
