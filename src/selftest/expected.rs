//! What a run of the zoo must come to, and whether it did.
//!
//! In: a [`RunReport`]. Out: what it came to in the words of the expectation, or why that is something else. Pure.

use crate::checks::{Class, Finding, Verdict};
use crate::report::RunReport;

/// What must be seen in the report of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A bug: the run FAILs, and operations are in this class on sound evidence.
    Class(Class),
    /// A bug: the run FAILs by this check.
    Check(&'static str),
    /// A bug: the run FAILs by this check, and operations are in this class on sound evidence.
    CheckAnd(&'static str, Class),
    /// A bug that keeps its data: the run FAILs by this gate, and integrity passes.
    GateAlone(&'static str),
    /// A twin.
    Pass,
    /// A twin: what is redelivered shows, and is harmless.
    PassWithDuplicates,
    /// A control: the run is INCONCLUSIVE; this check is, and says so in these words.
    Inconclusive(&'static str, &'static str),
}

impl Expected {
    /// The check by which a bug is caught, where it is a claim or a gate of its scenario.
    pub fn judges(self) -> Vec<&'static str> {
        match self {
            Expected::Check(check) | Expected::CheckAnd(check, _) | Expected::GateAlone(check) => vec![check],
            _ => Vec::new(),
        }
    }

    pub fn words(self) -> String {
        match self {
            Expected::Class(class) => class.word().to_owned(),
            Expected::Check(check) => check.to_owned(),
            Expected::CheckAnd(check, class) => format!("{check}, {}", class.word()),
            Expected::GateAlone(gate) => format!("{gate}, 0 lost"),
            Expected::Pass => "PASS".to_owned(),
            Expected::PassWithDuplicates => "PASS, with duplicates".to_owned(),
            Expected::Inconclusive(check, _) => format!("undecided by {check}"),
        }
    }

    /// What the run came to; `Err`: it is not what is expected, and came to this.
    pub fn met(self, report: &RunReport) -> Result<String, String> {
        let met = match self {
            Expected::Class(class) => failed(report).then(|| members(report, class)).flatten(),
            Expected::Check(check) => failed(report).then(|| by(report, check, Verdict::Fail)).flatten(),
            Expected::CheckAnd(check, class) => {
                let both = by(report, check, Verdict::Fail).zip(members(report, class));
                both.filter(|_| failed(report)).map(|(check, class)| format!("{check}; {class}"))
            }
            Expected::GateAlone(gate) => {
                let kept = by(report, "integrity", Verdict::Pass).is_some();
                by(report, gate, Verdict::Fail).filter(|_| failed(report) && kept)
            }
            Expected::Pass => passed(report),
            Expected::PassWithDuplicates => {
                let seen = report.judgement.order.map_or(0, |order| order.duplicates);
                passed(report).filter(|_| seen > 0).map(|pass| format!("{pass}, {seen} duplicates"))
            }
            Expected::Inconclusive(check, says) => {
                let open = report.verdict == Verdict::Inconclusive;
                by(report, check, Verdict::Inconclusive).filter(|told| open && told.contains(says))
            }
        };
        met.ok_or_else(|| came_to(report))
    }
}

fn failed(report: &RunReport) -> bool {
    report.verdict == Verdict::Fail
}

fn passed(report: &RunReport) -> Option<String> {
    (report.verdict == Verdict::Pass).then(|| "PASS".to_owned())
}

/// `12 lost`, where the class has members on sound evidence.
fn members(report: &RunReport, class: Class) -> Option<String> {
    let count = report.judgement.classes.iter().find(|count| count.class == class)?;
    (count.count > 0 && count.void.is_none()).then(|| format!("{} {}", count.count, class.word()))
}

/// What a check says, where this is its verdict: its summary and its reasons.
fn by(report: &RunReport, check: &str, verdict: Verdict) -> Option<String> {
    let finding = report.judgement.findings.iter().find(|found| found.check == check && found.verdict == verdict)?;
    Some(told(finding))
}

fn told(finding: &Finding) -> String {
    let details = finding.details.iter().map(|detail| format!("; {detail}"));
    format!("{}: {}{}", finding.check, finding.summary, details.collect::<String>())
}

/// What says no more than that the run was made wrong on purpose.
const ON_PURPOSE: [&str; 2] = ["seeded bug", "sabotage"];

/// The verdict and every finding that is no pass, but for what is said of the run's purpose.
fn came_to(report: &RunReport) -> String {
    let open = report.judgement.findings.iter().filter(|found| found.verdict == report.verdict);
    let open: Vec<String> = open.filter(|found| !ON_PURPOSE.contains(&found.check.as_str())).map(told).collect();
    match (report.verdict, open.as_slice()) {
        (Verdict::Pass, _) => "PASS".to_owned(),
        (Verdict::Inconclusive, []) => "PASS, but for what was made wrong".to_owned(),
        (verdict, open) => format!("{} by {}", verdict.word(), open.join(" | ")),
    }
}

/// What checks say where mxctl itself was late, or others took the processors.
const OF_THE_MACHINE: [&str; 3] = ["own lag p99 was", "was sent in time", "other processes took"];

/// Why the machine, and not the target, may have made this run what it is: mxctl could not ask on time, or a limit was
/// missed while others took the processors. A machine on which nothing was voided excuses nothing.
pub fn busy(report: &RunReport) -> Option<String> {
    let open = report.judgement.findings.iter().filter(|found| found.verdict == Verdict::Inconclusive);
    let of_the_machine = |found: &Finding| {
        let told = told(found);
        found.check == "generator" || OF_THE_MACHINE.iter().any(|words| told.contains(words))
    };
    open.filter(|found| !ON_PURPOSE.contains(&found.check.as_str())).find(|found| of_the_machine(found)).map(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::canned;

    fn sample(which: &str) -> RunReport {
        canned::reports().into_iter().find(|(name, _)| *name == which).expect("a canned report").1
    }

    #[test]
    fn a_bug_is_caught_by_its_own_class_alone() {
        let failed = sample("fail");
        let lost = failed.judgement.classes.iter().find(|count| count.class == Class::Lost).unwrap().count;
        assert!(lost > 0);
        assert_eq!(Expected::Class(Class::Lost).met(&failed), Ok(format!("{lost} lost")));
        assert!(Expected::Class(Class::Torn).met(&failed).is_err());
        assert!(Expected::GateAlone("integrity").met(&failed).is_err(), "integrity does not pass");
        let mut void = failed.clone();
        void.judgement.classes.iter_mut().for_each(|count| count.void = Some("the ledger is torn".into()));
        assert!(Expected::Class(Class::Lost).met(&void).is_err(), "unsound evidence accuses nobody");
    }

    #[test]
    fn what_passes_catches_no_bug_and_is_what_a_twin_must_be() {
        let passed = sample("pass");
        assert_eq!(Expected::Pass.met(&passed), Ok("PASS".into()));
        assert_eq!(Expected::Class(Class::Lost).met(&passed), Err("PASS".into()));
        assert!(Expected::Pass.met(&sample("fail")).unwrap_err().starts_with("FAIL by "));
    }

    #[test]
    fn a_control_must_say_its_own_reason() {
        let mut open = sample("pass");
        open.verdict = Verdict::Inconclusive;
        let finding = open.judgement.findings.iter_mut().find(|found| found.check == "conservation").unwrap();
        (finding.verdict, finding.summary) = (Verdict::Inconclusive, "3 operations are missing".into());
        assert!(Expected::Inconclusive("conservation", "missing").met(&open).is_ok());
        assert!(Expected::Inconclusive("conservation", "surplus").met(&open).is_err());
        assert!(Expected::Inconclusive("answers", "missing").met(&open).is_err());
    }

    #[test]
    fn a_late_generator_is_no_fault_of_the_target() {
        let mut report = sample("pass");
        assert_eq!(busy(&report), None);
        let generator = report.judgement.findings.iter_mut().find(|found| found.check == "generator").unwrap();
        generator.verdict = Verdict::Inconclusive;
        assert!(busy(&report).unwrap().starts_with("generator: "));
    }
}
