//! From a resolved plan to an exit code: signals, progress, the run, its report on stdout.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::problems::refuse;
use super::progress::Progress;
use super::target_flags::PlanFlags;
use super::{Global, OutputFormat, fail, scenario};
use crate::archive::Environment;
use crate::plan::{Given, Plan};
use crate::report::{Json, Renderer, RunReport, Terminal};
use crate::run::{self, Place, Ran, RunError};
use crate::stop::Stop;

/// The seed of a run that nobody gave one: the same operations order in every run, until someone asks for another.
const SEED: u64 = 1;

/// What a command promises: failures, or load alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chaos,
    Load,
}

/// Resolves a scenario with flags over it, and runs it, or says what it would do.
pub async fn launch_scenario(name: &str, flags: &PlanFlags, kind: Kind, dry_run: bool, global: &Global) -> Exit {
    let now = Timestamp::now();
    let plan = match scenario::plan(name, flags, Given { run_number: run_number(now), seed: SEED }) {
        Ok(plan) => plan,
        Err(problems) => return refuse(&problems),
    };
    if kind == Kind::Chaos && plan.timeline.is_empty() {
        let why = format!(
            "find a failure in {name}: its time line strikes nobody; `mxctl loadtest --scenario` drives load alone"
        );
        return fail(&why, Exit::BadInput);
    }
    if dry_run {
        print!("{}", scenario::shown(&plan, global.output));
        return Exit::Pass;
    }
    launch(plan, now, global).await
}

/// Seconds since 1970: rises from run to run, is unique on one machine, and fits 31 bits until 2038.
fn run_number(now: Timestamp) -> u32 {
    u32::try_from(now.as_second()).unwrap_or(1).clamp(1, i32::MAX as u32)
}

/// Runs a plan and tells its result.
async fn launch(plan: Plan, started_at: Timestamp, global: &Global) -> Exit {
    let executable = match std::env::current_exe() {
        Ok(path) => path,
        Err(e) => return fail(&format!("find the path of this executable: {e}"), Exit::Laboratory),
    };
    let environment = Environment::gather(started_at, std::env::args());
    let place = Place { executable, reports: global.reports.clone(), environment };
    let progress = Progress::new(&plan, global.quiet);
    let stop = Stop::new();
    let listener = tokio::spawn(listen_for_signals(stop.clone()));
    let ran = run::run(plan, &place, &progress, &stop).await;
    listener.abort();
    progress.finish();
    tell(ran, global, &stop)
}

fn tell(ran: Result<Ran, RunError>, global: &Global, stop: &Stop) -> Exit {
    let exit = match ran {
        Ok(Ran { report, folder }) => print_report(&report, &folder, global),
        Err(e) => fail(&e, Exit::of_run_error(&e)),
    };
    match stop.signal() {
        Some(number) => Exit::Interrupted(number),
        None => exit,
    }
}

/// The report on stdout, and nothing else there. The exit code is the verdict's, unless a PASS could not be told.
pub fn print_report(report: &RunReport, folder: &Path, global: &Global) -> Exit {
    let exit = Exit::of_verdict(report.verdict);
    match write_report(report, folder, global) {
        // A reader that has gone (`… | head`) wants no more.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(e) => {
            let told = fail(&format!("print the report: {e}; it is in {}", folder.display()), Exit::BadInput);
            if exit == Exit::Pass { told } else { exit }
        }
        Ok(()) => exit,
    }
}

fn write_report(report: &RunReport, folder: &Path, global: &Global) -> io::Result<()> {
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let rendered = match global.output {
        OutputFormat::Human => Terminal { colour, folder }.render(report),
        OutputFormat::Json => Json.render(report),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&rendered.map_err(io::Error::other)?)?;
    stdout.flush()
}

/// The first Ctrl-C or SIGTERM heals and reports, the second stops.
async fn listen_for_signals(stop: Stop) {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a process may listen for SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for SIGTERM");
    loop {
        let kind = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        stop.signalled(kind.as_raw_value());
        match stop.abort.is_cancelled() {
            false => eprintln!("mxctl: interrupted; healing, then reporting (once more to stop at once)"),
            true => eprintln!("mxctl: stopping at once"),
        }
    }
}
