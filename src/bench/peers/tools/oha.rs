//! oha: an open loop whose latency may be corrected for coordinated omission; here it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Told, Tool, first_of, json, seconds};
use crate::bench::peers::{Errand, Pace};

pub struct Oha;

impl Tool for Oha {
    fn name(&self) -> &'static str {
        "oha"
    }

    fn source(&self) -> &'static str {
        "cargo install oha"
    }

    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        first_of("oha", folders)
    }

    /// `-w`: what is open at the end is waited for.
    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let mut command = Command::new(program);
        command.args(["--no-tui", "--output-format", "json", "-c", &errand.connections.to_string()]);
        command.args(["-z", &seconds(errand.lasts), "-w"]);
        if let Pace::Rate(rps) = errand.pace {
            command.args(["-q", &rps.to_string(), "--latency-correction"]);
        }
        command.arg(&errand.url);
        command
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        let report: Report = json(output)?;
        let good = |status: &str| status.starts_with(['2', '3']);
        let answers: u64 = report.statuses.values().sum();
        let good: u64 = report.statuses.iter().filter(|(status, _)| good(status)).map(|(_, count)| count).sum();
        let broken: u64 = report.errors.values().sum();
        let percentile = |name: &str| report.percentiles.get(name).copied().flatten().map(|seconds| seconds * 1e3);
        Ok(Told {
            requests: Some(answers + broken),
            errors: Some(answers + broken - good),
            p99_ms: percentile("p99"),
            p999_ms: percentile("p99.9"),
            max_ms: report.summary.slowest.map(|seconds| seconds * 1e3),
            ..Told::default()
        })
    }
}

/// Seconds; null where there was no answer.
#[derive(Deserialize)]
struct Report {
    summary: Summary,
    #[serde(rename = "latencyPercentiles")]
    percentiles: BTreeMap<String, Option<f64>>,
    #[serde(rename = "statusCodeDistribution")]
    statuses: BTreeMap<String, u64>,
    #[serde(rename = "errorDistribution")]
    errors: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    slowest: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = include_str!("samples/oha.json");

    #[test]
    fn its_report_is_read() {
        let told = Told {
            requests: Some(500),
            errors: Some(0),
            p99_ms: Some(0.004671156 * 1e3),
            p999_ms: Some(0.00819131 * 1e3),
            max_ms: Some(0.00819131 * 1e3),
            ..Told::default()
        };
        assert_eq!(Oha.read(REPORT), Ok(told));
    }

    #[test]
    fn what_broke_and_what_was_refused_are_errors() {
        let report = REPORT
            .replace("\"200\": 500", "\"200\": 480, \"503\": 20")
            .replace("\"errorDistribution\": {}", "\"errorDistribution\": {\"aborted due to deadline\": 50}");
        let told = Oha.read(&report).unwrap();
        assert_eq!((told.requests, told.errors), (Some(550), Some(70)));
    }

    #[test]
    fn where_nobody_answered_it_has_no_percentiles() {
        let told = Oha.read(&REPORT.replace("0.004671156", "null").replace("0.00819131", "null")).unwrap();
        assert_eq!([told.p99_ms, told.p999_ms, told.max_ms], [None; 3]);
    }
}
