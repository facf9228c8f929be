//! A selftest for people: a table with a line for each bug, twin and control, and what of it matters in one sentence.

use serde::Serialize;

use super::table::{Table, left, right};
use super::text::wrap;
use crate::mask::mask;
use crate::proven::{CaseResult, Kind, Outcome, Selftest};

/// The longest text in a cell: the whole of it is in the stored result.
const LONGEST: usize = 24;

/// The table and the sentence; `stored`: where the whole result lies.
pub fn selftest(selftest: &Selftest, stored: &str) -> String {
    let mut table = Table::new(&[
        left("case"),
        left("exposed by"),
        left("expected"),
        left("got"),
        right("seconds"),
        left("outcome"),
    ]);
    for (title, kind) in [("seeded bugs", Kind::Bug), ("correct twins", Kind::Twin), ("controls", Kind::Control)] {
        let results: Vec<&CaseResult> = selftest.of(kind).collect();
        if !results.is_empty() {
            table.heading(title.to_owned());
            results.into_iter().for_each(|result| table.row(cells(result)));
        }
    }
    mask(&format!("{}\n{}{}", table.render(), sentence(selftest), wrap("  stored in ", stored)))
}

/// `caught N of N seeded bugs, 0 false alarms`, and beside it what became of the controls.
pub fn sentence(selftest: &Selftest) -> String {
    let bugs = selftest.of(Kind::Bug).count();
    let controls: Vec<&CaseResult> = selftest.of(Kind::Control).collect();
    let kept = controls.iter().filter(|control| control.outcome == Outcome::AsExpected).count();
    let undecided = match selftest.count(Outcome::Undecided) {
        0 => String::new(),
        open => format!("; {open} undecided, as the machine was too busy"),
    };
    format!(
        "caught {} of {bugs} seeded bugs, {} false alarms\n  {kept} of {} controls are what they must be{undecided}\n",
        selftest.caught(),
        selftest.count(Outcome::FalseAlarm),
        controls.len()
    )
}

fn cells(result: &CaseResult) -> [String; 6] {
    let again = if result.runs > 1 { format!(", {} runs", result.runs) } else { String::new() };
    [
        result.name.clone(),
        result.scenario.clone(),
        result.expected.clone(),
        clipped(&result.got),
        format!("{:.1}", result.took.as_secs_f64()),
        format!("{}{again}", outcome(result)),
    ]
}

fn outcome(result: &CaseResult) -> &'static str {
    match (result.outcome, result.kind) {
        (Outcome::AsExpected, Kind::Bug) => "caught",
        (Outcome::AsExpected, Kind::Twin) => "green",
        (Outcome::AsExpected, Kind::Control) => "as it must",
        (Outcome::Missed, _) => "MISSED",
        (Outcome::FalseAlarm, _) => "FALSE ALARM",
        (Outcome::Undecided, _) => "not decided",
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One case of the zoo, before it is run.
#[derive(Debug, Clone, Serialize)]
pub struct ZooLine {
    pub name: String,
    pub kind: Kind,
    pub scenario: String,
    pub expected: String,
    pub quick: bool,
}

pub fn zoo(lines: impl Iterator<Item = ZooLine>) -> String {
    let mut table =
        Table::new(&[left("case"), left("kind"), left("exposed by"), left("expected"), left("with --quick")]);
    for line in lines {
        let quick = if line.quick { "yes" } else { "" };
        table.row([line.name, line.kind.word().to_owned(), line.scenario, line.expected, quick.to_owned()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::super::text::columns;
    use super::*;
    use crate::plan::{Backend, Database, Reach, Strategy};

    fn result(name: &str, kind: Kind, outcome: Outcome, (expected, got): (&str, &str)) -> CaseResult {
        let reach = Reach {
            strategy: Strategy::Redis,
            backend: Backend::Process,
            database: Database::Sqlite,
            witness: true,
            lanes: ["write-once".to_owned()].into(),
            acts: ["hard worker at worker.leased".to_owned()].into(),
            judged_by: [].into(),
        };
        CaseResult {
            name: name.into(),
            kind,
            scenario: "hard-redis".into(),
            reach,
            expected: expected.into(),
            got: got.into(),
            outcome,
            took: Duration::from_millis(14_210),
            runs: if outcome == Outcome::Undecided { 3 } else { 1 },
            folder: None,
        }
    }

    fn canned() -> Selftest {
        let busy =
            "INCONCLUSIVE by generator: own lag p99 is 31 ms, above its limit of 20 ms; and more than a cell holds";
        Selftest {
            executable_sha256: Some("a".repeat(64)),
            started_at: Timestamp::UNIX_EPOCH,
            took: Duration::from_secs(70),
            results: vec![
                result("pop-then-crash", Kind::Bug, Outcome::AsExpected, ("lost", "12 lost")),
                result("no-redrive", Kind::Bug, Outcome::Missed, ("stranded", "PASS")),
                result("hard-redis", Kind::Twin, Outcome::FalseAlarm, ("PASS", "FAIL by integrity: 1 lost")),
                result("order", Kind::Twin, Outcome::Undecided, ("PASS", busy)),
                result(
                    "truncated-ledger",
                    Kind::Control,
                    Outcome::AsExpected,
                    ("INCONCLUSIVE by evidence", "evidence"),
                ),
            ],
        }
    }

    #[test]
    fn the_table_shows_what_was_expected_beside_what_came() {
        insta::assert_snapshot!(selftest(&canned(), "reports/selftest/19700101T000000Z/selftest.json"));
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        assert!(selftest(&canned(), "reports").lines().all(|line| columns(line) <= 120));
    }
}
