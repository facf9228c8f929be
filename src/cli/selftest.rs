//! `mxctl selftest`: seeded bugs of the target service, to see them caught.

use std::rc::Rc;

use jiff::Timestamp;

use super::exit::Exit;
use super::{Global, OutputFormat, fail, output, signals, this_executable};
use crate::archive::Environment;
use crate::proven::{CaseResult, Outcome, Selftest};
use crate::report;
use crate::run::Place;
use crate::selftest::{self, Audience, Case, SelftestError, Wanted};
use crate::stop::Stop;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl selftest                         the whole zoo: bugs, their correct twins, and controls
  mxctl selftest --quick --jobs 2        a part that turns most classes and checks red
  mxctl selftest --only lifo             one bug and its twin
  mxctl selftest --list                  what there is

Exit codes: 0 every bug caught, every twin green, every control as it must be, 1 otherwise, 2 bad input, 4 laboratory, 70 bug, 130/143 interrupted")]
pub struct Command {
    /// Only this bug (and its twin), twin or control; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// A part of the zoo that takes a few minutes
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Cases at a time; on a busy machine more of them disturb each other
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
    /// List the zoo; nothing is started
    #[arg(long)]
    list: bool,
}

pub async fn run(command: Command, global: &Global) -> Exit {
    let wanted = Wanted { only: command.only, quick: command.quick, jobs: command.jobs.into() };
    let cases = match selftest::wanted(&wanted) {
        Ok(cases) => cases,
        Err(e) => return fail(&e, Exit::BadInput),
    };
    if command.list {
        return list(&cases, global);
    }
    let executable = match this_executable() {
        Ok(path) => path,
        Err(e) => return fail(&e, Exit::Laboratory),
    };
    let environment = Environment::gather(Timestamp::now(), std::env::args());
    let place = Place { executable, reports: global.reports.clone(), environment };
    let stop = Stop::new();
    let audience = Rc::new(Stderr { quiet: global.quiet });
    let running = selftest::run(cases, wanted.jobs, place, audience, &stop);
    let ran = signals::heard(&stop, "ending the runs under way", running).await;
    match (ran, stop.signal()) {
        (_, Some(signal)) => Exit::Interrupted(signal),
        (Ok((selftest, stored)), None) => tell(&selftest, &stored.display().to_string(), global),
        (Err(e), None) => fail(&e, of_error(&e)),
    }
}

fn tell(selftest: &Selftest, stored: &str, global: &Global) -> Exit {
    let told = output::print_as(selftest, || report::selftest(selftest, stored), global);
    match selftest.holds() {
        true => told,
        false => Exit::Fail,
    }
}

fn list(cases: &[&Case], global: &Global) -> Exit {
    output::print(match global.output {
        OutputFormat::Human => report::zoo(cases.iter().map(|case| line(case))),
        OutputFormat::Json => output::json(&cases.iter().map(|case| line(case)).collect::<Vec<_>>()),
    })
}

fn line(case: &Case) -> report::ZooLine {
    report::ZooLine {
        name: case.name.to_owned(),
        kind: case.kind,
        scenario: case.scenario.to_owned(),
        expected: case.expected.words(),
        quick: case.quick,
    }
}

fn of_error(error: &SelftestError) -> Exit {
    match error {
        SelftestError::Unknown { .. } | SelftestError::Proven(_) => Exit::BadInput,
        SelftestError::Run { source, .. } => Exit::of_run_error(source),
        SelftestError::Scenario { .. } | SelftestError::Tamper { .. } | SelftestError::Interrupted => Exit::Bug,
    }
}

/// One line a case.
struct Stderr {
    quiet: bool,
}

impl Stderr {
    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

impl Audience for Stderr {
    fn begins(&self, case: &Case) {
        self.say(&format!("{:>10} …  {} in {}", case.kind.word(), case.name, case.scenario));
    }

    fn again(&self, case: &Case, why: &str) {
        self.say(&format!("{:>10} …  {} once more: {why}", case.kind.word(), case.name));
    }

    fn ended(&self, result: &CaseResult) {
        let CaseResult { name, kind, got, outcome, took, .. } = result;
        let mark = match outcome {
            Outcome::AsExpected => "as expected",
            Outcome::Missed => "MISSED",
            Outcome::FalseAlarm => "FALSE ALARM",
            Outcome::Undecided => "UNDECIDED",
        };
        self.say(&format!("{:>10} {mark}: {name} after {:.1} s: {got}", kind.word(), took.as_secs_f64()));
    }
}
