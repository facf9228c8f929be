//! `mxctl loadtest`: load alone, judged from the database like every run.

use super::Global;
use super::exit::Exit;
use super::lab_flags::LabFlags;
use super::launch::{Asked, Kind, launch_scenario, launch_url};
use super::sabotage::SabotageFlag;
use super::target_flags::PlanFlags;
use super::url_flags::UrlFlags;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl loadtest                                                         V4, 800 RPS, 30 s
  mxctl loadtest --rps 1500 --instances 3 --workers 2 --strategy redis   V5
  mxctl loadtest --attach --rps 1500                                     on the lab that `testbed up` left
  mxctl loadtest --duration 5m --fail-if 'p99 > 50ms' --output json
  mxctl loadtest --url http://127.0.0.1:8080/path -d @body.json --rps 800 --fail-if 'p99 > 100ms'   a URL of your own
  mxctl loadtest --url https://api.test:8443/ --cacert ca.pem --http2 --streams 10 --connections 5   HTTP/2 over TLS

Exit codes: 0 pass, 1 fail, 2 bad input, 3 inconclusive, 4 laboratory, 70 bug, 130/143 interrupted")]
pub struct Command {
    /// A shipped scenario or a scenario file
    #[arg(long, value_name = "SCENARIO", default_value = "loadtest")]
    scenario: String,
    /// Print the resolved plan and stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    lab: LabFlags,
    #[command(flatten)]
    url: UrlFlags,
    #[command(flatten)]
    flags: PlanFlags,
    #[command(flatten)]
    sabotage: SabotageFlag,
}

pub async fn run(command: Command, global: &Global) -> Exit {
    let Command { scenario, lab, url, flags, dry_run, sabotage } = &command;
    if url.url.is_some() {
        return launch_url(url, flags, *dry_run, global).await;
    }
    let asked = Asked { scenario, flags, lab, kind: Kind::Load, sabotage: sabotage.0, dry_run: *dry_run };
    launch_scenario(&asked, global).await
}
