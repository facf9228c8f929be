//! `mxctl loadtest --find-max`: the flags, the search, its curve on stdout.

mod table;

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::exit::Exit;
use super::lab_flags::LabFlags;
use super::launch::{Asked, Kind, given, plan_of};
use super::output::{self, json};
use super::problems::refuse;
use super::progress::Progress;
use super::target_flags::PlanFlags;
use super::url_flags::UrlFlags;
use super::{Global, OutputFormat, fail, scenario, signals, this_executable};
use crate::archive::Environment;
use crate::find_max::{Ask, Audience, Curve, FindMaxError, Ground, Quest, Rate, Rules, Slo, Step, search};
use crate::plan::{Plan, Sabotage};
use crate::run;
use crate::scenario::{Percent, Period, Place, Problem, Problems, Rps, Written};
use crate::stop::Stop;
use crate::url_load;
use crate::watch::Watch;

/// Where nobody says where to begin.
const START: &str = "100";
/// How long a step lasts at least.
const LASTS: &str = "10s";
const WITHIN: &str = "5%";
/// The most that a plan may ask for.
const MOST: &str = "1000000";
/// Seconds of readings that it takes to say whether a backlog grows, and one at each end.
const LASTS_MIN_OF_A_LAB: u64 = 10;

/// A search for the highest rate.
#[derive(Debug, Clone, Default, Args)]
#[command(
    next_help_heading = "The highest rate that holds (--rps is where it begins, --duration the least that a step lasts)"
)]
pub struct FindMaxFlags {
    /// Search the highest rate that keeps --slo: twice the rate as long as it does, then halves of the bracket
    #[arg(long)]
    pub find_max: bool,
    /// What a rate must keep, such as p99=50ms,error=0.1% (p50, p99, p99.9, error; without error 1 % may fail)
    #[arg(long, value_name = "LIMIT,…")]
    pub slo: Option<String>,
    /// How narrow the bracket of the answer is to be [default: 5%]
    #[arg(long, value_name = "SHARE")]
    pub within: Option<String>,
    /// The highest rate that is tried
    #[arg(long, value_name = "RATE")]
    pub max_rps: Option<String>,
}

/// What was typed beside them.
pub struct Beside<'a> {
    pub scenario: &'a str,
    pub lab: &'a LabFlags,
    pub url: &'a UrlFlags,
    pub flags: &'a PlanFlags,
    pub sabotage: Option<Sabotage>,
    pub dry_run: bool,
}

impl FindMaxFlags {
    /// Flags of a search without one.
    pub fn stray(&self) -> Result<(), Problems> {
        let given =
            [("--slo", self.slo.is_some()), ("--within", self.within.is_some()), ("--max-rps", self.max_rps.is_some())];
        let stray = given.into_iter().filter(|(_, given)| *given).map(|(flag, _)| {
            let help = "add `--find-max`, or leave it out; a limit of one run is a gate: `--fail-if 'p99 > 50ms'`";
            problem(flag, "it says what a search keeps to, and there is none", help)
        });
        Problems::check(stray.collect())
    }

    fn read(&self, flags: &PlanFlags, problems: &mut Vec<Problem>) -> Option<(Slo, Rules)> {
        let slo = match &self.slo {
            Some(text) => read::<Slo>("--slo", text, problems),
            None => {
                let help = format!("add it, such as `--slo {}`", Slo::EXAMPLE);
                problems.push(problem("--slo", "a search has to know which rates are good", &help));
                None
            }
        };
        let start = read::<Rps>("--rps", flags.load.rps.as_deref().unwrap_or(START), problems);
        let most = read::<Rps>("--max-rps", self.max_rps.as_deref().unwrap_or(MOST), problems);
        let within = read::<Percent>("--within", self.within.as_deref().unwrap_or(WITHIN), problems);
        let (slo, start, most, within) = (slo?, whole(start?), whole(most?), within?.share());
        if start > most {
            problems.push(problem(
                "--max-rps",
                "it is below the rate at which the search begins",
                "lower `--rps`, too",
            ));
        }
        Some((slo, Rules { start, most, within }))
    }
}

/// At least one request a second.
fn whole(rps: Rps) -> Rate {
    rps.0.round().max(1.0) as Rate
}

fn problem(flag: &str, message: &str, help: &str) -> Problem {
    Problem::new(&Place::Named(flag.to_owned()), message, help)
}

fn read<T: Written>(flag: &str, text: &str, problems: &mut Vec<Problem>) -> Option<T> {
    T::read(text).map_err(|wrong| problems.push(problem(flag, &wrong.message, &wrong.help))).ok()
}

/// Searches, and tells what was found.
pub async fn launch(find_max: &FindMaxFlags, beside: &Beside<'_>, global: &Global) -> Exit {
    let (quest, ground) = match quest(find_max, beside, global) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    if beside.dry_run {
        let first = Ask { rate: quest.rules.start, longer: false };
        return output::print(scenario::shown(&quest.plan_of(first, 0), global.output));
    }
    let stop = Stop::new();
    let screen = Screen { quiet: global.quiet };
    let searching = search(&quest, &ground, &screen, &stop);
    let exit = match signals::heard(&stop, "reporting the curve so far", searching).await {
        Ok(curve) => tell(&curve, global),
        Err(e) => fail(&e, exit_of(&e)),
    };
    stop.signal().map_or(exit, Exit::Interrupted)
}

fn exit_of(error: &FindMaxError) -> Exit {
    match error {
        FindMaxError::Run(e) => Exit::of_run_error(e),
        FindMaxError::Url(e) => Exit::of_url_load_error(e),
        FindMaxError::Archive(_) | FindMaxError::Histograms(_) => Exit::Inconclusive,
    }
}

/// Stores the curve, and prints it.
fn tell(curve: &Curve, global: &Global) -> Exit {
    let stored = match curve.store(&global.reports) {
        Ok(stored) => stored,
        Err(e) => {
            fail(&e, Exit::BadInput);
            PathBuf::from("(not stored)")
        }
    };
    let told = output::print(match global.output {
        OutputFormat::Human => table::rendered(curve, &stored, output::colour()),
        OutputFormat::Json => json(curve),
    });
    match Exit::of_verdict(curve.verdict) {
        Exit::Pass if !stored.exists() => Exit::BadInput,
        Exit::Pass => told,
        exit => exit,
    }
}

/// What is wrong was said.
fn quest(find_max: &FindMaxFlags, beside: &Beside<'_>, global: &Global) -> Result<(Quest, Ground), Exit> {
    let Beside { scenario, lab, url, sabotage, dry_run, .. } = *beside;
    let mut problems = Vec::new();
    refuse_others(beside, &mut problems);
    let read = find_max.read(beside.flags, &mut problems);
    let mut flags = beside.flags.clone();
    flags.load.rps.get_or_insert_with(|| START.to_owned());
    flags.load.duration.get_or_insert_with(|| LASTS.to_owned());
    let (lasts, of_lab) = (flags.load.duration.clone().unwrap_or_default(), url.url.is_none());
    let lasts = read_lasts(&lasts, of_lab, &mut problems);
    Problems::check(problems).map_err(|problems| refuse(&problems))?;
    let ((slo, rules), lasts) = read.zip(lasts).expect("flags without a problem");
    let started_at = Timestamp::now();
    let (plan, ground) = match of_lab {
        true => {
            let environment = Environment::gather(started_at, std::env::args());
            let asked = Asked { scenario, flags: &flags, lab, kind: Kind::Load, sabotage, dry_run };
            let plan = plan_of(&asked, &environment, global)?;
            (plan, Ground::Lab(lab_place(environment, global)?))
        }
        false => {
            let plan = url.plan(&flags, given(started_at)).map_err(|problems| refuse(&problems))?;
            let arguments = url.masked(std::env::args());
            (plan, Ground::Url(url_load::Place { reports: global.reports.clone(), started_at, arguments }))
        }
    };
    undisturbed(&plan, scenario)?;
    Ok((Quest { plan, slo, rules, lasts }, ground))
}

fn lab_place(environment: Environment, global: &Global) -> Result<run::Place, Exit> {
    let executable = this_executable().map_err(|e| fail(&e, Exit::Laboratory))?;
    Ok(run::Place { executable, reports: global.reports.clone(), environment })
}

fn read_lasts(text: &str, of_lab: bool, problems: &mut Vec<Problem>) -> Option<std::time::Duration> {
    let lasts = read::<Period>("--duration", text, problems)?.0;
    if of_lab && lasts.as_secs() < LASTS_MIN_OF_A_LAB {
        let message = "a shorter step has too few readings to say whether the backlog grows";
        problems.push(problem("--duration", message, &format!("write at least `{LASTS_MIN_OF_A_LAB}s`")));
    }
    Some(lasts)
}

/// What says something else than a search does.
fn refuse_others(beside: &Beside<'_>, problems: &mut Vec<Problem>) {
    let Beside { lab, url, flags, .. } = beside;
    let rate = "the search chooses the rate of each step";
    let others = [
        ("--closed", url.closed.is_some(), "a closed loop has no rate that could be searched", "leave one of both out"),
        ("--shape", flags.load.shape.is_some(), rate, "leave it out; `--rps` is where the search begins"),
        ("--fail-if", !flags.run.fail_if.is_empty(), "a search has one set of limits", "write the limit into `--slo`"),
        (
            "--keep",
            lab.keep.is_some(),
            "each step brings up a lab of its own, and takes it down",
            "leave it out, or bring one up with `mxctl testbed up` and add `--attach`",
        ),
    ];
    for (flag, _, message, help) in others.into_iter().filter(|(_, given, ..)| *given) {
        problems.push(problem(flag, message, help));
    }
}

/// Its time line would strike the target in every step.
fn undisturbed(plan: &Plan, scenario: &str) -> Result<(), Exit> {
    match plan.timeline.is_empty() {
        true => Ok(()),
        false => {
            let why =
                format!("search a rate with {scenario}: its time line strikes the target; name one without steps");
            Err(fail(&why, Exit::BadInput))
        }
    }
}

/// Each step's progress, then a line that stays.
struct Screen {
    quiet: bool,
}

impl Screen {
    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

impl Audience for Screen {
    fn begins(&self, ask: Ask, plan: &Plan) -> Box<dyn Watch> {
        let again = if ask.longer { ", twice as long" } else { "" };
        self.say(&format!("step at {}/s for {}{again}", ask.rate, Period(plan.load.duration())));
        Box::new(Progress::new(plan, self.quiet))
    }

    fn ended(&self, step: &Step) {
        self.say(&format!("step at {}/s: {}", step.asked, table::told(step)));
    }

    fn note(&self, note: &str) {
        self.say(&format!("          · {note}"));
    }
}
