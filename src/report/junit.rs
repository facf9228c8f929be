//! `junit.xml`: for CI systems. A FAIL is a failure, an INCONCLUSIVE an error, nothing is ever skipped.
//!
//! Suites: the verdict, every finding (with it every claim and gate that the plan declares), every planned start and
//! disturbance (where there is one), every planned stop. The suite `verdict` is there so that the file is green only where the run is.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{RenderError, Renderer, RunReport, evidence};
use crate::checks::{DisturbanceJudgement, Finding, StartJudgement, StopJudgement, Verdict};

pub struct JUnit;

impl Renderer for JUnit {
    fn render(&self, report: &RunReport) -> Result<Vec<u8>, RenderError> {
        let mut document = Report::new(format!("mxctl {}", report.plan.name));
        document.set_time(report.duration.unwrap_or(Duration::ZERO));
        document.add_test_suites(
            [verdict(report), checks(report)].into_iter().chain(starts(report)).chain(disturbances(report)),
        );
        document.add_test_suite(stops(report));
        let mut bytes = Vec::new();
        document.serialize(&mut bytes).map_err(|e| RenderError { form: "JUnit", why: e.to_string() })?;
        Ok(bytes)
    }
}

fn verdict(report: &RunReport) -> TestSuite {
    let mut suite = TestSuite::new("verdict");
    let started = report.environment.as_ref().map(|e| ("started_at", e.started_at.to_string()));
    let plan = &report.plan;
    let properties = [("run_number", plan.run_number.to_string()), ("seed", plan.seed.to_string())];
    suite.add_properties(properties.into_iter().chain(started).map(|(name, value)| Property::new(name, value)));
    suite.add_test_case(case(report, "verdict", report.verdict, &evidence::headline(report), String::new()));
    suite
}

fn checks(report: &RunReport) -> TestSuite {
    let mut suite = TestSuite::new("checks");
    let case_of = |f: &Finding| case(report, &f.check, f.verdict, &f.summary, f.details.join("\n"));
    suite.add_test_cases(report.judgement.findings.iter().map(case_of));
    suite
}

fn starts(report: &RunReport) -> Option<TestSuite> {
    let mut suite = TestSuite::new("starts");
    let case_of = |start: &StartJudgement| {
        case(report, &start.id, start.verdict, &start.reasons.join("; "), proofs(&start.proof))
    };
    suite.add_test_cases(report.judgement.starts.iter().map(case_of));
    (!report.judgement.starts.is_empty()).then_some(suite)
}

fn disturbances(report: &RunReport) -> Option<TestSuite> {
    let mut suite = TestSuite::new("disturbances");
    let case_of =
        |one: &DisturbanceJudgement| case(report, &one.id, one.verdict, &one.reasons.join("; "), proofs(&one.proof));
    suite.add_test_cases(report.judgement.disturbances.iter().map(case_of));
    (!report.judgement.disturbances.is_empty()).then_some(suite)
}

fn stops(report: &RunReport) -> TestSuite {
    let mut suite = TestSuite::new("stops");
    let case_of =
        |stop: &StopJudgement| case(report, &stop.id, stop.verdict, &stop.reasons.join("; "), proofs(&stop.proof));
    suite.add_test_cases(report.judgement.stops.iter().map(case_of));
    suite
}

fn proofs(proof: &[(String, bool)]) -> String {
    let line = |(what, holds): &(String, bool)| format!("{}: {what}", if *holds { "holds" } else { "does not hold" });
    proof.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn case(report: &RunReport, name: &str, verdict: Verdict, message: &str, description: String) -> TestCase {
    let mut case = TestCase::new(name, status(verdict, message, description));
    case.set_classname(format!("mxctl.{}", report.plan.name));
    case
}

fn status(verdict: Verdict, message: &str, description: String) -> TestCaseStatus {
    let kind = match verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Inconclusive => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message).set_type(verdict.word());
    if !description.is_empty() {
        status.set_description(description);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    fn rendered(which: usize) -> (RunReport, String) {
        let report = canned::reports().remove(which).1;
        let text = String::from_utf8(JUnit.render(&report).unwrap()).unwrap();
        (report, text)
    }

    /// `<testsuites … failures="1" errors="0">`.
    fn total(text: &str, what: &str) -> usize {
        let root = text.lines().find(|line| line.starts_with("<testsuites")).unwrap();
        let value = root.split_once(&format!(" {what}=\"")).unwrap().1;
        value.split_once('"').unwrap().0.parse().unwrap()
    }

    #[test]
    fn a_fail_is_a_failure_an_inconclusive_an_error_and_nothing_is_skipped() {
        for which in 0..canned::reports().len() {
            let (report, text) = rendered(which);
            let of = |verdict| {
                let findings = report.judgement.findings.iter().filter(|f| f.verdict == verdict).count();
                let stops = report.judgement.stops.iter().filter(|s| s.verdict == verdict).count();
                let starts = report.judgement.starts.iter().filter(|s| s.verdict == verdict).count();
                findings + stops + starts + usize::from(report.verdict == verdict)
            };
            assert_eq!(total(&text, "failures"), of(Verdict::Fail));
            assert_eq!(total(&text, "errors"), of(Verdict::Inconclusive));
            assert!(!text.contains("<skipped"));
        }
    }

    #[test]
    fn every_declared_claim_and_gate_and_every_planned_stop_is_present() {
        for which in 0..canned::reports().len() {
            let (report, text) = rendered(which);
            for name in &report.declared {
                assert!(text.contains(&format!("<testcase name=\"{name}\"")), "{name} in {text}");
            }
        }
    }

    #[test]
    fn the_file_is_green_only_where_the_run_passed() {
        for which in 0..canned::reports().len() {
            let (report, text) = rendered(which);
            let green = total(&text, "failures") + total(&text, "errors") == 0;
            assert_eq!(green, report.verdict == Verdict::Pass);
        }
    }
}
