//! From a resolved plan to an exit code: signals, progress, the run, its report on stdout.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::exit::Exit;
use super::lab_flags::LabFlags;
use super::labs::{bring_up, how_to_go_on};
use super::problems::refuse;
use super::progress::Progress;
use super::target_flags::PlanFlags;
use super::url_flags::UrlFlags;
use super::{Global, OutputFormat, fail, output, scenario, signals, this_executable};
use crate::archive::Environment;
use crate::backends::kept::LabFolder;
use crate::labs;
use crate::plan::{Given, Lab, Plan, Sabotage};
use crate::report::{Json, Renderer, RunReport, Terminal};
use crate::run::{self, Place, Ran, RunError};
use crate::stop::Stop;
use crate::url_load;

/// The seed of a run that nobody gave one: the same operations order in every run, until someone asks for another.
const SEED: u64 = 1;

/// What a command promises: failures, or load alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chaos,
    Load,
}

/// What was typed.
pub struct Asked<'a> {
    /// A shipped scenario, or the path of one.
    pub scenario: &'a str,
    pub flags: &'a PlanFlags,
    pub lab: &'a LabFlags,
    pub kind: Kind,
    pub sabotage: Option<Sabotage>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Resolves a scenario with flags over it, and runs it, or says what it would do.
pub async fn launch_scenario(asked: &Asked<'_>, global: &Global) -> Exit {
    let environment = Environment::gather(Timestamp::now(), std::env::args());
    let plan = match plan_of(asked, &environment, global) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let name = asked.scenario;
    if asked.kind == Kind::Chaos && plan.timeline.is_empty() {
        let why = format!(
            "find a failure in {name}: its time line strikes nobody; `mxctl loadtest --scenario` drives load alone"
        );
        return fail(&why, Exit::BadInput);
    }
    if let (Some(first), Some(_)) = (plan.disturbances().next(), &asked.lab.keep) {
        let (what, struck) = (first.disturbance.word(), first.disturbance.subject().kind());
        let why = format!("play {what} on a lab that stays: its {struck} is its keeper's; leave `--keep` out");
        return fail(&why, Exit::BadInput);
    }
    if asked.dry_run {
        return output::print(scenario::shown(&plan, global.output));
    }
    match &asked.lab.keep {
        None => launch(plan, environment, &Stop::new(), global).await,
        Some(name) => launch_and_keep(name, plan, environment, global).await,
    }
}

/// Drives load alone, at a URL of the user's own.
pub async fn launch_url(url: &UrlFlags, flags: &PlanFlags, dry_run: bool, global: &Global) -> Exit {
    let (started_at, stop) = (Timestamp::now(), Stop::new());
    let plan = match url.plan(flags, given(started_at)) {
        Ok(plan) => plan,
        Err(problems) => return refuse(&problems),
    };
    if dry_run {
        return output::print(scenario::shown(&plan, global.output));
    }
    let arguments = url.masked(std::env::args());
    let place = url_load::Place { reports: global.reports.clone(), started_at, arguments };
    let progress = Progress::new(&plan, global.quiet);
    let ran = signals::heard(&stop, "reporting", url_load::run(&plan, &place, &progress, &stop)).await;
    progress.finish();
    let exit = match ran {
        Ok(Ran { report, folder }) => print_verdict(&report, &folder, global),
        Err(e) => fail(&e, Exit::of_url_load_error(&e)),
    };
    stop.signal().map_or(exit, Exit::Interrupted)
}

/// What the scenario means: on a lab that the run brings up, or on the one that is up. What is wrong was said.
pub fn plan_of(asked: &Asked<'_>, environment: &Environment, global: &Global) -> Result<Plan, Exit> {
    let Asked { scenario: name, flags, lab, .. } = *asked;
    let given = given(environment.started_at);
    let resolved = match (&lab.attach, &lab.keep) {
        (None, None) => scenario::plan(name, flags, given),
        (None, Some(_)) => scenario::plan_to_keep(name, flags, given),
        (Some(attach), _) => {
            let found = LabFolder::of(&global.reports, attach).and_then(|lab| labs::attachable(&lab, environment));
            let lab = found.map_err(|e| fail(&e, Exit::of_lab_error(&e)))?;
            scenario::plan_on(&lab, name, flags, given)
        }
    };
    resolved.map_err(|problems| refuse(&problems)).and_then(|plan| sabotaged(plan, asked.sabotage))
}

/// The plan of a run that mxctl must see through; one that there is nothing to see in is refused.
fn sabotaged(plan: Plan, sabotage: Option<Sabotage>) -> Result<Plan, Exit> {
    match sabotage.and_then(|sabotage| sabotage.spoils_nothing_of(&plan).map(|why| (sabotage, why))) {
        Some((sabotage, why)) => Err(fail(&format!("sabotage this run by {}: {why}", sabotage.word()), Exit::BadInput)),
        None => Ok(Plan { sabotage, ..plan }),
    }
}

/// Brings a lab up that stays, and runs on it. Once it is up, it stays whatever becomes of the run.
async fn launch_and_keep(name: &str, plan: Plan, environment: Environment, global: &Global) -> Exit {
    let stop = Stop::new();
    let folder = match LabFolder::of(&global.reports, name) {
        Ok(folder) => folder,
        Err(e) => return fail(&e, Exit::of_lab_error(&e)),
    };
    if let Err(e) = bring_up(&folder, plan.target.clone(), environment.clone(), &stop).await {
        return fail(&e, stop.signal().map_or_else(|| Exit::of_lab_error(&e), Exit::Interrupted));
    }
    let lab = Lab::Kept { name: name.to_owned(), folder: folder.root().to_owned() };
    let exit = launch(Plan { lab, ..plan }, environment, &stop, global).await;
    eprint!("mxctl: the lab `{name}` stays up\n{}", how_to_go_on(name));
    exit
}

/// What nobody typed.
pub fn given(started_at: Timestamp) -> Given {
    Given { run_number: run_number(started_at), seed: SEED }
}

/// Seconds since 1970: rises from run to run, is unique on one machine, and fits 31 bits until 2038.
fn run_number(now: Timestamp) -> u32 {
    u32::try_from(now.as_second()).unwrap_or(1).clamp(1, i32::MAX as u32)
}

/// Runs a plan and tells its result.
async fn launch(plan: Plan, environment: Environment, stop: &Stop, global: &Global) -> Exit {
    let executable = match this_executable() {
        Ok(path) => path,
        Err(e) => return fail(&e, Exit::Laboratory),
    };
    let place = Place { executable, reports: global.reports.clone(), environment };
    let progress = Progress::new(&plan, global.quiet);
    let ran = signals::heard(stop, "healing, then reporting", run::run(plan, &place, &progress, stop)).await;
    progress.finish();
    tell(ran, global, stop)
}

fn tell(ran: Result<Ran, RunError>, global: &Global, stop: &Stop) -> Exit {
    let exit = match ran {
        Ok(Ran { report, folder }) => print_verdict(&report, &folder, global),
        Err(e) => fail(&e, Exit::of_run_error(&e)),
    };
    match stop.signal() {
        Some(number) => Exit::Interrupted(number),
        None => exit,
    }
}

/// The report on stdout. The exit code is the verdict's, unless a PASS could not be told.
pub fn print_verdict(report: &RunReport, folder: &Path, global: &Global) -> Exit {
    match (Exit::of_verdict(report.verdict), print_report(report, folder, global)) {
        (Exit::Pass, told) => told,
        (exit, _) => exit,
    }
}

/// The report on stdout, and nothing else there. The exit code is 0, unless it could not be told.
pub fn print_report(report: &RunReport, folder: &Path, global: &Global) -> Exit {
    let rendered = match global.output {
        OutputFormat::Human => Terminal { colour: output::colour(), folder }.render(report),
        OutputFormat::Json => Json.render(report),
    };
    match rendered.map_err(io::Error::other).and_then(|bytes| output::write(&bytes)) {
        Err(e) => fail(&format!("print the report: {e}; it is in {}", folder.display()), Exit::BadInput),
        Ok(()) => Exit::Pass,
    }
}
