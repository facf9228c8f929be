//! `mxctl loadtest`: load alone, judged from the database like every run.

use super::Global;
use super::exit::Exit;
use super::find_max::{self, Beside, FindMaxFlags};
use super::lab_flags::LabFlags;
use super::launch::{Asked, Kind, launch_scenario, launch_url};
use super::problems::refuse;
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
  mxctl loadtest --find-max --slo p99=50ms,error=0.1%                    the highest rate that keeps this
  mxctl loadtest --find-max --slo p99=50ms --url http://127.0.0.1:8080/path --connections 200 --rps 500

Exit codes: 0 pass, 1 fail, 2 bad input, 3 inconclusive, 4 laboratory, 70 bug, 130/143 interrupted
A search: 0 found; 1 no rate is good, or a step lost data; 3 at least so much: the generator is the limit, or the
highest rate that may be tried is good, too; 130/143 interrupted: the curve so far is printed and stored")]
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
    find_max: FindMaxFlags,
    #[command(flatten)]
    flags: PlanFlags,
    #[command(flatten)]
    sabotage: SabotageFlag,
}

pub async fn run(command: Command, global: &Global) -> Exit {
    let Command { scenario, lab, url, find_max, flags, dry_run, sabotage } = &command;
    if find_max.find_max {
        let beside = Beside { scenario, lab, url, flags, sabotage: sabotage.0, dry_run: *dry_run };
        return find_max::launch(find_max, &beside, global).await;
    }
    if let Err(problems) = find_max.stray() {
        return refuse(&problems);
    }
    if url.url.is_some() {
        return launch_url(url, flags, *dry_run, global).await;
    }
    let asked = Asked { scenario, flags, lab, kind: Kind::Load, sabotage: sabotage.0, dry_run: *dry_run };
    launch_scenario(&asked, global).await
}
