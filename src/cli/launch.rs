//! From a resolved plan to an exit code: signals, progress, the run, its report on stdout.

use std::io::IsTerminal;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::progress::Progress;
use super::{Global, OutputFormat, fail};
use crate::archive::Environment;
use crate::plan::Plan;
use crate::report::{RunReport, json, terminal};
use crate::run::{self, Place, RunError};
use crate::stop::Stop;

/// Runs a plan and tells its result.
pub async fn launch(plan: Plan, started_at: Timestamp, global: &Global) -> Exit {
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

fn tell(ran: Result<RunReport, RunError>, global: &Global, stop: &Stop) -> Exit {
    let exit = match ran {
        Ok(report) => {
            print_report(&report, global);
            Exit::of_verdict(report.judgement.verdict)
        }
        Err(e) => fail(&e, Exit::of_run_error(&e)),
    };
    match stop.signal() {
        Some(number) => Exit::Interrupted(number),
        None => exit,
    }
}

pub fn print_report(report: &RunReport, global: &Global) {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    match global.output {
        OutputFormat::Human => print!("{}", terminal::render(report, colour)),
        OutputFormat::Json => println!("{}", json::render(report)),
    }
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
