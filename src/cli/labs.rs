//! `mxctl testbed up|down|status`: labs that stay between runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::Exit;
use super::problems::refuse;
use super::target_flags::{PlanFlags, TargetFlags};
use super::{Global, OutputFormat, fail, scenario, signals, this_executable};
use crate::archive::Environment;
use crate::backends::kept::{self, DEFAULT_NAME, LabError, LabFolder, Standing};
use crate::labs::{self, Buffer, InstanceStatus, LabStatus, Seen, TakenDown};
use crate::mask::mask;
use crate::plan::{Given, TargetPlan};
use crate::stop::Stop;

/// Labs that stay between runs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a lab up, and leave it up
    #[command(after_help = UP_EXAMPLES)]
    Up(Box<UpArgs>),
    /// Take a lab down; one that is down already stays so
    #[command(after_help = DOWN_EXAMPLES)]
    Down(DownArgs),
    /// Look at labs as they are now
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Keep a lab: `testbed up` starts this, and nobody else
    #[command(hide = true, after_help = "Examples:\n  mxctl testbed keep default reports/labs/default")]
    Keep(KeepArgs),
}

pub const EXAMPLES: &str = "Examples:
  mxctl testbed up --strategy redis --instances 3
  mxctl loadtest --attach --rps 1500
  mxctl testbed status
  mxctl testbed down";

const UP_EXAMPLES: &str = "Examples:
  mxctl testbed up --strategy redis --instances 3      V5, as the lab `default`
  mxctl testbed up rolling-update --name night         the target of a scenario
  mxctl loadtest --attach --rps 1500                   then: a run on it
  mxctl testbed down

Exit codes: 0 it is up, 2 bad input, 4 laboratory; then nothing of it is left. 130/143 interrupted, likewise";

const DOWN_EXAMPLES: &str = "Examples:
  mxctl testbed down
  mxctl testbed down night
  mxctl testbed down --all

Exit codes: 0 nothing is left, 2 bad input, 4 something is left, or a run is attached";

const STATUS_EXAMPLES: &str = "Examples:
  mxctl testbed status
  mxctl testbed status night --output json";

#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// The scenario whose target it is, by name or path
    #[arg(value_name = "SCENARIO", default_value = "loadtest")]
    scenario: String,
    /// What the lab is called
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAME)]
    name: String,
    #[command(flatten)]
    target: TargetFlags,
}

#[derive(Debug, clap::Args)]
pub struct DownArgs {
    /// What the lab is called
    #[arg(value_name = "NAME", default_value = DEFAULT_NAME)]
    name: String,
    /// Every lab in the reports folder
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Also under an attached run
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// What the lab is called; without it, every lab in the reports folder
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct KeepArgs {
    name: String,
    folder: PathBuf,
}

pub async fn run(command: Command, global: &Global) -> Exit {
    let done = match command {
        Command::Up(args) => up(*args, global).await,
        Command::Down(args) => down(args, global).await,
        Command::Status(args) => status(args, global).await,
        Command::Keep(args) => keep(args).await,
    };
    done.unwrap_or_else(|e| fail(&e, Exit::of_lab_error(&e)))
}

async fn up(args: UpArgs, global: &Global) -> Result<Exit, LabError> {
    let folder = LabFolder::of(&global.reports, &args.name)?;
    let flags = PlanFlags { target: args.target, ..PlanFlags::default() };
    // No run: its number and seed count for nothing.
    let plan = match scenario::plan_to_keep(&args.scenario, &flags, Given { run_number: 1, seed: 1 }) {
        Ok(plan) => plan,
        Err(problems) => return Ok(refuse(&problems)),
    };
    for note in &plan.notes {
        eprintln!("mxctl: note: {note}");
    }
    let stop = Stop::new();
    let environment = Environment::gather(Timestamp::now(), std::env::args());
    match bring_up(&folder, plan.target, environment, &stop).await {
        Ok(()) => {}
        Err(e) => {
            let exit = stop.signal().map_or_else(|| Exit::of_lab_error(&e), Exit::Interrupted);
            return Ok(fail(&e, exit));
        }
    }
    let status = labs::status(&folder).await?;
    print(&status, || in_words(&status) + &how_to_go_on(folder.name()), global);
    Ok(Exit::Pass)
}

/// Brings a lab up; the first signal takes down again what there is of it.
pub async fn bring_up(
    folder: &LabFolder,
    target: TargetPlan,
    environment: Environment,
    stop: &Stop,
) -> Result<(), LabError> {
    let name = folder.name().to_owned();
    let executable = this_executable().map_err(|why| LabError::Up { name, why })?;
    let up = labs::up(folder, target, &executable, environment, stop);
    signals::heard(stop, "taking down what there is of the lab", up).await
}

pub fn how_to_go_on(name: &str) -> String {
    let (attach, which) =
        if name == DEFAULT_NAME { (String::new(), String::new()) } else { (format!("={name}"), format!(" {name}")) };
    format!(
        "\n  run on it   mxctl loadtest --attach{attach} --rps 1500\n  look        mxctl testbed status{which}\n  \
         stop it     mxctl testbed down{which}\n"
    )
}

async fn down(args: DownArgs, global: &Global) -> Result<Exit, LabError> {
    let folders = match args.all {
        true => LabFolder::all(&global.reports)?,
        false => vec![LabFolder::of(&global.reports, &args.name)?],
    };
    let (mut taken, mut exit) = (Vec::new(), Exit::Pass);
    for folder in folders {
        match labs::down(&folder, args.force).await {
            Ok(one) => taken.push(one),
            // The others go down all the same.
            Err(e) => exit = fail(&e, Exit::of_lab_error(&e)),
        }
    }
    print(&taken, || taken.iter().map(told).collect(), global);
    Ok(exit)
}

fn told(taken: &TakenDown) -> String {
    let name = &taken.name;
    if taken.was_down {
        return format!("lab {name}: nothing of it is up\n");
    }
    let mut text = format!("lab {name}: down\n");
    for ending in &taken.ended {
        let how = match (ending.code, ending.signal) {
            (Some(0), _) => "ended in order".to_owned(),
            (Some(code), _) => format!("exited with code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        text += &format!("  {:<12} {how}\n", ending.name);
    }
    for reverted in &taken.reverted {
        text += &format!("  {reverted}\n");
    }
    match taken.undrained {
        Some(0) => text += "  the buffer was drained before\n",
        Some(tasks) => text += &format!("  {tasks} tasks were still in the buffer, and went with it\n"),
        None => {}
    }
    text
}

async fn status(args: StatusArgs, global: &Global) -> Result<Exit, LabError> {
    let folders = match &args.name {
        None => LabFolder::all(&global.reports)?,
        Some(name) => {
            let folder = LabFolder::of(&global.reports, name)?;
            if !folder.root().exists() {
                let (why, remedy) = ("there was never one".to_owned(), "`mxctl testbed status` lists them".to_owned());
                return Err(LabError::NotUp { name: name.clone(), why, remedy });
            }
            vec![folder]
        }
    };
    let mut all = Vec::new();
    for folder in &folders {
        all.push(labs::status(folder).await?);
    }
    let none = || format!("no labs in {}\n", global.reports.display());
    print(&all, || if all.is_empty() { none() } else { all.iter().map(in_words).collect() }, global);
    Ok(Exit::Pass)
}

fn in_words(status: &LabStatus) -> String {
    let standing = match (status.standing, &status.silent) {
        (_, Some(why)) => format!("up, but silent: failed to {why}"),
        (Standing::Up, None) => "up".to_owned(),
        (Standing::Down, None) => "down".to_owned(),
        (Standing::Between, None) => "starting or stopping".to_owned(),
        (Standing::Dead, None) => {
            format!("dead: its keeper was killed; `mxctl testbed down {}` cleans up", status.name)
        }
    };
    let age = Timestamp::now().duration_since(status.since).as_secs().max(0) as u64;
    let age = humantime::format_duration(Duration::from_secs(age));
    let strategy = status.target.strategy;
    let mut text = format!("lab {}: {standing}\n", status.name);
    text += &row("service", format!("{} ({})", strategy.generation(), strategy.word()));
    text += &row("brought up", format!("{age} ago"));
    text += &row("folder", status.folder.display().to_string());
    status.seen.as_ref().map_or_else(|| text.clone(), |seen| text.clone() + &seen_in_words(seen))
}

fn row(label: &str, value: String) -> String {
    format!("  {label:<11} {value}\n")
}

fn seen_in_words(seen: &Seen) -> String {
    let buffer = seen.buffer.map_or("it cannot be read".to_owned(), |Buffer { ready, leased, delayed, dead }| {
        format!("{ready} ready, {leased} leased, {delayed} delayed, {dead} dead")
    });
    let rows = seen.rows.map_or("its rows cannot be read".to_owned(), |rows| format!("{rows} rows"));
    let mut text = row("buffer", format!("{buffer} ({})", labs::queue_place(&seen.sources.queue)));
    text += &row("database", format!("{rows} ({})", seen.sources.database));
    text += &row(
        "attached",
        match &seen.attached {
            Some(visitor) => format!("pid {}, {}", visitor.pid, visitor.run),
            None => "nobody".to_owned(),
        },
    );
    text += "\n  instance     address                 pid      state\n";
    for InstanceStatus { instance, ready, frozen } in &seen.instances {
        let state = match (frozen, ready) {
            (true, _) => "frozen",
            (false, true) => "ready",
            (false, false) => "not ready",
        };
        text += &format!(
            "  {:<12} http://{:<16} {:<8} {state}\n",
            instance.name,
            instance.addr.to_string(),
            instance.process.map_or_else(String::new, |process| process.pid.to_string())
        );
    }
    text
}

fn print<T: Serialize>(value: &T, words: impl FnOnce() -> String, global: &Global) {
    match global.output {
        OutputFormat::Json => println!("{}", mask(&serde_json::to_string_pretty(value).expect("plain data is JSON"))),
        OutputFormat::Human => print!("{}", mask(&words())),
    }
}

/// Says on its standard error, which is its log, why it could not go on.
async fn keep(args: KeepArgs) -> Result<Exit, LabError> {
    let folder = LabFolder::at(&args.name, &args.folder);
    let name = args.name;
    let executable = this_executable().map_err(|why| LabError::Up { name, why })?;
    kept::keep(&folder, executable).await.map(|()| Exit::Pass)
}
