//! `mxctl doctor`: what this machine offers for runs, before one is started.
//!
//! In: the machine as it is, and what the shipped scenarios need. Out: a line for each need, with its remedy where it
//! is not met.

mod machine;
mod needs;
mod programs;

use std::path::Path;

use serde::Serialize;

use super::Global;
use super::exit::Exit;
use super::output::print_as;
use crate::report::table::{Table, left};
use crate::report::text::wrap;
use needs::Needs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl doctor
  mxctl doctor --output json

`warn` is no obstacle to the shipped scenarios, but for what it names; `missing` is.

Exit codes: 0 everything that the shipped scenarios need is there, 4 something is missing")]
pub struct Command {}

/// One need, and how it is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    need: &'static str,
    state: State,
    found: String,
    /// What a person can do about it; empty where nothing has to be done.
    remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warn,
    Missing,
}

pub fn run(_: &Command, global: &Global) -> Exit {
    let lines = examine(&global.reports, &Needs::of_shipped_scenarios());
    let missing = lines.iter().any(|line| line.state == State::Missing);
    let printed = print_as(&lines, || in_words(&lines), global);
    if missing { Exit::Laboratory } else { printed }
}

fn examine(reports: &Path, needs: &Needs) -> Vec<Line> {
    let mut lines = programs::lines(needs);
    lines.extend([
        machine::ports(needs),
        machine::open_files(needs),
        machine::disk(reports, needs),
        machine::processors(),
        machine::punctuality(),
        machine::healed(reports),
        machine::user(),
        machine::mounts(),
    ]);
    lines
}

fn in_words(lines: &[Line]) -> String {
    let mut table = Table::new(&[left("need"), left("state"), left("found")]);
    for line in lines {
        table.row([line.need.to_owned(), line.state.word().to_owned(), line.found.clone()]);
    }
    let open = lines.iter().filter(|line| !line.remedy.is_empty());
    let remedies: String = open.map(|line| wrap(&format!("  {}: ", line.need), &line.remedy)).collect();
    let conclusion = match lines.iter().filter(|line| line.state == State::Missing).count() {
        0 => "everything that the shipped scenarios need is there\n".to_owned(),
        n => format!("{n} of {} needs of the shipped scenarios not met\n", lines.len()),
    };
    let remedies = if remedies.is_empty() { remedies } else { format!("\nWhat to do\n{remedies}") };
    format!("{}{remedies}\n{conclusion}", table.render())
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Missing => "missing",
        }
    }
}

impl Line {
    fn ok(need: &'static str, found: impl Into<String>) -> Line {
        Line { need, state: State::Ok, found: found.into(), remedy: String::new() }
    }

    fn warn(need: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Line {
        Line { need, state: State::Warn, found: found.into(), remedy: remedy.into() }
    }

    fn missing(need: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Line {
        Line { need, state: State::Missing, found: found.into(), remedy: remedy.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_has_its_line_and_what_is_not_met_has_a_remedy() {
        let reports = tempfile::tempdir().unwrap();
        let lines = examine(reports.path(), &Needs::of_shipped_scenarios());
        assert!(lines.len() >= 8, "{lines:#?}");
        assert!(lines.iter().all(|line| (line.state == State::Ok) == line.remedy.is_empty()), "{lines:#?}");
    }

    #[test]
    fn what_is_missing_is_told_with_its_remedy() {
        let lines = [
            Line::ok("processors", "2"),
            Line::warn("PostgreSQL", "not found", "apt-get install postgresql"),
            Line::missing("redis-server", "not found", "testbed/provision redis"),
        ];
        insta::assert_snapshot!(in_words(&lines), @r"
          need          state    found
          processors    ok       2
          PostgreSQL    warn     not found
          redis-server  missing  not found

        What to do
          PostgreSQL: apt-get install postgresql
          redis-server: testbed/provision redis

        1 of 3 needs of the shipped scenarios not met
        ");
    }
}
