//! `mxctl heal`: reverts what dead runs left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::Exit;
use super::output::print_as;
use super::{Global, fail};
use crate::archive::Archive;
use crate::heal::{self, HealError, Healing};
use crate::labs;
use crate::proven;
use crate::runs;

/// A killed process is gone within this, or it is stuck in the kernel.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl heal                                   every dead run in the reports folder
  mxctl heal latest                            one run")]
pub struct Command {
    /// A run's folder, its name in the reports folder, the beginning of one, or `latest`; without it, every run in the
    /// reports folder
    run: Option<PathBuf>,
}

pub fn run(command: Command, global: &Global) -> Exit {
    let run = match command.run.map(|run| runs::find(&run, &global.reports)).transpose() {
        Ok(run) => run,
        Err(e) => return fail(&e, Exit::BadInput),
    };
    let labs = match labs::dead(&global.reports) {
        Ok(labs) if run.is_none() => labs,
        Ok(_) => Vec::new(),
        Err(e) => return fail(&e, Exit::of_lab_error(&e)),
    };
    match heal_all(run.as_deref(), labs, &global.reports) {
        Ok(healings) => tell(&healings, global),
        Err(e) => fail(&e, Exit::BadInput),
    }
}

/// One run; or every run, those of selftests included, and the labs whose keeper was killed.
fn heal_all(one: Option<&Path>, labs: Vec<PathBuf>, reports: &Path) -> Result<Vec<(PathBuf, Healing)>, HealError> {
    let runs = match one {
        Some(run) => vec![run.to_owned()],
        None => [Archive::runs(reports)?, proven::runs(reports)?, labs].concat(),
    };
    let heal_one = |run: PathBuf| match heal::heal(&run, PATIENCE) {
        // A run that was refused before it did anything has no journal, and nothing to heal.
        Err(HealError::NoJournal { .. }) if one.is_none() || run.parent() == Some(reports) => {
            Ok((run, Healing::AtRest))
        }
        healed => healed.map(|healing| (run, healing)),
    };
    runs.into_iter().map(heal_one).collect()
}

fn tell(healings: &[(PathBuf, Healing)], global: &Global) -> Exit {
    let lines = || healings.iter().map(|(run, healing)| in_words(run, healing) + "\n").collect();
    let told = print_as(healings, lines, global);
    let failed = healings.iter().any(|(_, healing)| matches!(healing, Healing::Failed { .. }));
    if failed { Exit::Laboratory } else { told }
}

fn in_words(run: &Path, healing: &Healing) -> String {
    let run = run.display();
    match healing {
        Healing::AtRest => format!("{run}: nothing to heal"),
        Healing::Running => format!("{run}: it is running; left alone"),
        Healing::Healed { reverted } if reverted.is_empty() => format!("{run}: healed; nothing of it was left"),
        Healing::Healed { reverted } => format!("{run}: healed: {}", reverted.join(", ")),
        Healing::Failed { left } => format!("{run}: NOT healed, still there: {}", left.join(", ")),
    }
}
