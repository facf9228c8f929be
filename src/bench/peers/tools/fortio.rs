//! fortio: connections that share a rate, and catch up where they fell behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Told, Tool, first_of, json, seconds};
use crate::bench::peers::{Errand, Pace};

pub struct Fortio;

impl Tool for Fortio {
    fn name(&self) -> &'static str {
        "fortio"
    }

    fn source(&self) -> &'static str {
        "go install fortio.org/fortio@latest"
    }

    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        first_of("fortio", folders)
    }

    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let mut command = Command::new(program);
        // 0: no limit.
        let qps = if let Pace::Rate(rps) = errand.pace { rps } else { 0 };
        command.args(["load", "-c", &errand.connections.to_string(), "-qps", &qps.to_string()]);
        command.args(["-t", &seconds(errand.lasts), "-timeout", "30s", "-p", "99,99.9"]);
        command.args(["-loglevel", "Error", "-json", "-", &errand.url]);
        command
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        // It may say something before its report.
        let report: Report = json(&output[output.find("\n{").unwrap_or_default()..])?;
        let good = |code: &str| code.len() == 3 && code.starts_with(['2', '3']);
        let requests: u64 = report.codes.values().sum();
        let good: u64 = report.codes.iter().filter(|(code, _)| good(code)).map(|(_, count)| count).sum();
        let at = |wanted: f64| report.durations.percentiles.iter().find(|told| told.percentile == wanted);
        Ok(Told {
            requests: Some(requests),
            errors: Some(requests - good),
            p99_ms: at(99.0).map(|told| told.value * 1e3),
            p999_ms: at(99.9).map(|told| told.value * 1e3),
            max_ms: Some(report.durations.max * 1e3),
            ..Told::default()
        })
    }
}

#[derive(Deserialize)]
struct Report {
    /// By status; below zero where there was none.
    #[serde(rename = "RetCodes")]
    codes: BTreeMap<String, u64>,
    #[serde(rename = "DurationHistogram")]
    durations: Durations,
}

/// Seconds.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Durations {
    max: f64,
    percentiles: Vec<Percentile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Percentile {
    percentile: f64,
    value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form of its 1.60, as its source (`HTTPRunnerResults`) writes it; shortened.
    const REPORT: &str = r#"{
  "RunType": "HTTP", "RequestedQPS": "1000", "ActualQPS": 999.6, "ActualDuration": 2000801024, "NumThreads": 50,
  "DurationHistogram": {
    "Count": 2000, "Min": 0.0004, "Max": 0.124, "Sum": 3.8, "Avg": 0.0019, "StdDev": 0.003,
    "Data": [{"Start": 0.0004, "End": 0.124, "Percent": 100, "Count": 2000}],
    "Percentiles": [{"Percentile": 99, "Value": 0.0124}, {"Percentile": 99.9, "Value": 0.0452}]
  },
  "RetCodes": {"-1": 2, "200": 1988, "503": 10}
}"#;

    #[test]
    fn its_report_is_read() {
        let told = Fortio.read(&format!("Fortio 1.60.3 running at 1000 queries per second\n{REPORT}")).unwrap();
        assert_eq!((told.requests, told.errors), (Some(2000), Some(12)));
        assert_eq!([told.p99_ms, told.p999_ms, told.max_ms].map(whole), [Some(12), Some(45), Some(124)]);
        assert_eq!(Fortio.read(REPORT), Ok(told));
    }

    fn whole(ms: Option<f64>) -> Option<u64> {
        ms.map(|ms| ms.round() as u64)
    }
}
