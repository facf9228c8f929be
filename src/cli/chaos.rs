//! `mxctl chaos`: failures under load.

use super::exit::Exit;
use super::lab_flags::LabFlags;
use super::launch::{Asked, Kind, launch_scenario};
use super::sabotage::SabotageFlag;
use super::target_flags::PlanFlags;
use super::{Global, fail};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl chaos rolling-update
  mxctl chaos rolling-update --strategy in-memory
  mxctl chaos scale-out
  mxctl chaos redis-failure
  mxctl chaos database-failure --database postgres
  mxctl chaos --scenario ./my-scenario.yml --rps 400 --fail-if 'p99.steady > 100ms'
  mxctl chaos rolling-update --keep              the lab stays up afterwards, to look at
  mxctl chaos rolling-update --dry-run           what would be struck when; nothing is started

Exit codes: 0 pass, 1 fail, 2 bad input, 3 inconclusive, 4 laboratory, 70 bug, 130/143 interrupted")]
pub struct Command {
    /// A shipped scenario (rolling-update, scale-out, redis-failure, database-failure, scale-curve) or a scenario file
    #[arg(value_name = "SCENARIO", required_unless_present = "scenario")]
    name: Option<String>,
    /// The same, as a flag
    #[arg(long, value_name = "SCENARIO", conflicts_with = "name")]
    scenario: Option<String>,
    /// Print the resolved plan and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    lab: LabFlags,
    #[command(flatten)]
    flags: PlanFlags,
    #[command(flatten)]
    sabotage: SabotageFlag,
}

pub async fn run(command: Command, global: &Global) -> Exit {
    let Some(name) = command.name.as_ref().or(command.scenario.as_ref()) else {
        return fail(&"choose a scenario: name one, such as `rolling-update`", Exit::BadInput);
    };
    let Command { lab, flags, dry_run, sabotage, .. } = &command;
    let asked = Asked { scenario: name, flags, lab, kind: Kind::Chaos, sabotage: sabotage.0, dry_run: *dry_run };
    launch_scenario(&asked, global).await
}
