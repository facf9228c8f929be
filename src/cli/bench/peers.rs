//! `mxctl bench peers`: load generators side by side.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::sys::signal::Signal;

use super::peers_report::{PeersReport, ToolLine};
use super::tables;
use super::written;
use crate::archive::Environment;
use crate::bench::peers::tools::{LEDGER, NO_LEDGER, TOOLS};
use crate::bench::peers::{
    Audience, Case, Compared, Comparison, Cores, Found, Outcome, Pace, PeersError, Run, TRUTH, TruthCase, compare,
};
use crate::cli::exit::Exit;
use crate::cli::{Global, fail, output, signals, this_executable};
use crate::scenario::{Period, Written, Wrong};
use crate::stop::Stop;

pub const EXAMPLES: &str = "Examples:
  mxctl bench peers                                               with all seven peers about 50 minutes
  mxctl bench peers --rounds 1 --duration 3s --truth none
  mxctl bench peers --only wrk2,oha --rates 5k --json runs.json
  mxctl bench peers --rates 5k --duration 60s --truth none

Peers: wrk2, wrk, oha, vegeta, hey, fortio and k6; who is missing is named, with where to get it. One run
after the other, each with a server of its own (`mxctl bench server`) on one core and the generator on
another. CPU (user and system) and memory are those of the whole process; arrivals are what the server
saw. A truth case is a server that stalls: what each tool says of it stands beside what was so.

Exit codes: 0 measured, whatever the figures are; 2 bad input; 4 one core only, no server, or nothing
could be measured; 130/143 interrupted";

#[derive(Debug, clap::Args)]
pub struct PeersArgs {
    /// Requests a second; max: as fast as the connections allow
    #[arg(long, value_name = "RATE,…", value_delimiter = ',', default_value = "5k,20k,max", value_parser = written::<Pace>)]
    rates: Vec<Pace>,
    /// Servers that stall: CO1, CO2 and CO3, or none
    #[arg(long, value_name = "CASE,…", value_delimiter = ',', default_value = "CO1,CO2,CO3", value_parser = written::<Truth>)]
    truth: Vec<Truth>,
    /// Only these peers, of those that are there
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = peer)]
    only: Vec<String>,
    /// Runs of each tool at each rate; figures are their medians
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Runs of each tool in each truth case
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    truth_rounds: u32,
    /// How long each run at a rate lasts, in whole seconds
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = whole_seconds)]
    duration: Period,
    /// Connections, kept alive
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Go on where server and generator must share the only core
    #[arg(long)]
    anyway: bool,
    /// Write everything into this file, with every single run
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A truth case's name, or that there is to be none.
#[derive(Debug, Clone, Copy)]
struct Truth(Option<TruthCase>);

impl Written for Truth {
    const EXAMPLE: &'static str = "CO1";

    fn read(text: &str) -> Result<Self, Wrong> {
        match TruthCase::named(text) {
            Some(case) => Ok(Truth(Some(case))),
            None if text == "none" => Ok(Truth(None)),
            None => Err(Wrong {
                message: format!("`{text}` is no truth case"),
                help: format!("there are {} and none", TRUTH.map(|case| case.name).join(", ")),
            }),
        }
    }
}

fn whole_seconds(text: &str) -> Result<Period, String> {
    let period: Period = written(text)?;
    match period.0.subsec_nanos() {
        0 => Ok(period),
        _ => Err(format!("`{text}` is no number of whole seconds, and some peers know no others; write `1s` or more")),
    }
}

fn peer(text: &str) -> Result<String, String> {
    let names: Vec<_> = TOOLS.iter().map(|tool| tool.name()).filter(|name| !is_own(name)).collect();
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no peer that is known; there are {}", names.join(", "))),
    }
}

fn is_own(name: &str) -> bool {
    [LEDGER, NO_LEDGER].contains(&name)
}

pub async fn run(args: PeersArgs, global: &Global) -> Exit {
    // Before the first run: a file that nobody can write is found out now.
    let file = match args.json.as_deref().map(create).transpose() {
        Ok(file) => file,
        Err(e) => return fail(&e, Exit::BadInput),
    };
    let (tools, asked) = match prepare(&args) {
        Ok(prepared) => prepared,
        Err(e) => return fail(&e, Exit::Laboratory),
    };
    let environment = Environment::gather(Timestamp::now(), std::env::args());
    let (stop, follower) = (Stop::new(), Stderr::new(&asked, global.quiet));
    let (measured, told_to_stop) = (asked.clone(), stop.clone());
    let comparing = async { tokio::task::spawn_blocking(move || compare(&measured, &follower, &told_to_stop)).await };
    let compared = signals::heard(&stop, "ending the run under way", comparing).await;
    match compared.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
        Ok(compared) => tell(&PeersReport::of(environment, &asked, tools, &compared), &compared, file, global),
        Err(PeersError::Interrupted) => Exit::Interrupted(stop.signal().unwrap_or(Signal::SIGINT as i32)),
        Err(e) => fail(&e, Exit::Laboratory),
    }
}

/// Which tools there are, and what is asked of those that are there.
fn prepare(args: &PeersArgs) -> Result<(Vec<ToolLine>, Comparison), String> {
    let mxctl = this_executable()?;
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let wanted = |name: &str| is_own(name) || args.only.is_empty() || args.only.iter().any(|only| only == name);
    let wanted: Vec<_> = TOOLS.into_iter().filter(|tool| wanted(tool.name())).collect();
    let found = wanted.iter().filter_map(|tool| Some(Found { tool: *tool, program: tool.find(&folders)? })).collect();
    let line = |found: &Vec<Found>, name| {
        found.iter().find(|found| found.tool.name() == name).map(|found| found.program.clone())
    };
    let tools = wanted.iter().map(|tool| ToolLine {
        name: tool.name(),
        program: line(&found, tool.name()),
        source: tool.source(),
    });
    let tools = tools.collect();
    let comparison = Comparison {
        mxctl,
        cores: cores(args.anyway)?,
        tools: found,
        paces: args.rates.clone(),
        truth: args.truth.iter().filter_map(|truth| truth.0).collect(),
        lasts: args.duration.0,
        connections: args.connections,
        rounds: args.rounds,
        truth_rounds: args.truth_rounds,
    };
    Ok((tools, comparison))
}

fn cores(anyway: bool) -> Result<Cores, String> {
    let cores = Cores::free().ok_or("find out which cores this process may use; this takes Linux")?;
    match cores.are_apart() || anyway {
        true => Ok(cores),
        false => Err(
            "measure: there is one core only, and server and generator would take it from each other; let this process \
             use two, or say `--anyway` for figures that compare nothing"
                .to_owned(),
        ),
    }
}

/// A file, and its name for messages.
struct Json {
    path: PathBuf,
    file: File,
}

fn create(path: &Path) -> Result<Json, String> {
    let file = File::create(path).map_err(|e| unwritten(path, &e))?;
    Ok(Json { path: path.to_owned(), file })
}

fn unwritten(path: &Path, e: &std::io::Error) -> String {
    format!("write the runs into {}: {e}; name a file that can be written with `--json`", path.display())
}

/// The tables are told even where the file cannot be written.
fn tell(report: &PeersReport, compared: &Compared, file: Option<Json>, global: &Global) -> Exit {
    let told = output::print_as(report, || tables::tables(report, compared), global);
    let written = file
        .map(|mut json| json.file.write_all(output::json(report).as_bytes()).map_err(|e| unwritten(&json.path, &e)));
    match written.transpose() {
        Err(e) => fail(&e, Exit::BadInput),
        Ok(_) if report.figures.is_empty() => {
            fail(&"measure anything: no run of any tool came to its end; why stands above", Exit::Laboratory)
        }
        Ok(_) => told,
    }
}

/// One line a run.
struct Stderr {
    rounds: u32,
    quiet: bool,
}

impl Stderr {
    fn new(asked: &Comparison, quiet: bool) -> Stderr {
        Stderr { rounds: asked.rounds.max(asked.truth_rounds), quiet }
    }

    fn say(&self, round: u32, case: &str, tool: &str, what: &str) {
        if !self.quiet {
            eprintln!("round {round} of {}  {case:>4}  {tool}{what}", self.rounds);
        }
    }
}

impl Audience for Stderr {
    fn begins(&self, round: u32, case: &Case, tool: &str) {
        self.say(round, &case.name(), tool, " …");
    }

    fn ended(&self, run: &Run) {
        let what = match &run.outcome {
            Outcome::Ran(record) => format!(
                ": {} arrived, {:.2} s of CPU in {:.1} s",
                record.server.requests, record.cpu_seconds, record.seconds
            ),
            Outcome::Failed(why) => format!(": failed: {why}"),
        };
        self.say(run.round, &run.case, &run.tool, &what);
    }
}
