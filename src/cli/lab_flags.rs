//! Flags that say whose lab a run works on.

use clap::Args;

use crate::backends::kept::DEFAULT_NAME;

/// Without one of them, a run brings up a lab for itself and takes it down.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Lab")]
pub struct LabFlags {
    /// Work on the lab that `testbed up` or `--keep` left, and leave it up; its target counts
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_NAME)]
    pub attach: Option<String>,
    /// Bring the lab up so that it stays when the run is over
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_NAME)]
    #[arg(conflicts_with = "attach")]
    pub keep: Option<String>,
}
