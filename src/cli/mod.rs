//! The command line: clap types, one file a command, exit codes.
//!
//! stdout carries the result only; progress and errors go to stderr.

mod bench;
mod chaos;
mod completions;
mod doctor;
pub mod exit;
mod find_max;
mod heal;
mod lab_flags;
mod labs;
mod launch;
mod loadtest;
mod man;
mod output;
pub mod problems;
mod progress;
mod protocol_flags;
mod report;
mod run_argument;
mod sabotage;
pub mod scenario;
mod selftest;
mod serve;
mod signals;
pub mod target_flags;
mod url_flags;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::code_pages;
use crate::mask::mask;
use exit::Exit;

/// Proves, with open-loop load, injected faults and a ledger of every write, that a write-behind service keeps its data.
#[derive(Debug, Parser)]
#[command(name = "mxctl", version, after_help = format!("{EXAMPLES}\n\n{}", exit::TABLE), max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mxctl chaos rolling-update                        replace every instance under load, and judge
  mxctl chaos rolling-update --strategy in-memory   the same on a buffer in memory: loses data
  mxctl loadtest --rps 800                          load alone
  mxctl scenario explain rolling-update             what would happen, and what it could prove";

#[derive(Debug, clap::Args)]
pub struct Global {
    /// Where the run folders are
    #[arg(long, global = true, value_name = "DIR", env = "MXCTL_REPORTS", default_value = "reports")]
    pub reports: PathBuf,
    /// What stdout carries
    #[arg(long, global = true, value_name = "FORMAT", env = "MXCTL_OUTPUT", default_value = "human")]
    pub output: OutputFormat,
    /// No progress on stderr
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive fixed-rate open-loop load, and judge from the database
    Loadtest(Box<loadtest::Command>),
    /// Inject failures under load, and judge from the database
    Chaos(chaos::Command),
    /// Look at scenarios; nothing is started
    #[command(subcommand, after_help = scenario::EXAMPLES)]
    Scenario(scenario::Command),
    /// List, show, judge, compare or remove earlier runs, from their folders alone
    Report(report::Command),
    /// Seed bugs into the service, and see them caught
    Selftest(selftest::Command),
    /// Revert what a killed run left behind
    Heal(heal::Command),
    /// Look at what this machine offers for runs; nothing is started
    Doctor(doctor::Command),
    /// Compare load generators
    #[command(subcommand, after_help = bench::EXAMPLES)]
    Bench(bench::Command),
    /// Keep a lab up between runs
    #[command(subcommand, after_help = labs::EXAMPLES)]
    Testbed(labs::Command),
    /// Run the target service
    Serve(serve::Command),
    /// Print a shell's completions
    Completions(completions::Command),
    /// Print the manual, or write a page for each command
    Man(man::Command),
}

/// Parses the command line and runs it. A panic is a bug, and exits with 70.
pub fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    code_pages::let_go();
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // One thread: children die with the thread that spawned them, and this one lasts as long as the run.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts on any machine").block_on(dispatch(cli))
    }));
    ran.unwrap_or_else(|_| {
        eprintln!("mxctl: this is a bug; whatever it left running, `mxctl heal` ends");
        Exit::Bug
    })
    .into()
}

async fn dispatch(cli: Cli) -> Exit {
    match cli.command {
        Command::Loadtest(command) => loadtest::run(*command, &cli.global).await,
        Command::Chaos(command) => chaos::run(command, &cli.global).await,
        Command::Scenario(command) => scenario::run(&command, &cli.global),
        Command::Report(command) => report::run(command, &cli.global),
        Command::Selftest(command) => selftest::run(command, &cli.global).await,
        Command::Heal(command) => heal::run(command, &cli.global),
        Command::Doctor(command) => doctor::run(&command, &cli.global),
        Command::Bench(command) => bench::run(command, &cli.global).await,
        Command::Testbed(command) => labs::run(command, &cli.global).await,
        Command::Serve(command) => serve::run(command).await,
        Command::Completions(command) => completions::run(&command),
        Command::Man(command) => man::run(&command),
    }
}

/// Says what failed, and with which code to exit.
fn fail(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("mxctl: failed to {}", mask(&error.to_string()));
    exit
}

/// The path of this program, of which runs start more processes; the error reads after "failed to".
fn this_executable() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("find the path of this executable: {e}"))
}

/// The clap tree, for tests of help texts.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
