//! vegeta: an open loop that starts workers as it needs them; here as many as there are connections.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{Told, Tool, first_of, json, seconds};
use crate::bench::peers::{Errand, Pace};

pub struct Vegeta;

const RESULTS: &str = "results.bin";

impl Tool for Vegeta {
    fn name(&self) -> &'static str {
        "vegeta"
    }

    fn source(&self) -> &'static str {
        "go install github.com/tsenart/vegeta/v12@latest"
    }

    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        first_of("vegeta", folders)
    }

    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let connections = errand.connections.to_string();
        let mut command = Command::new(program);
        command.args(["attack", "-duration", &seconds(errand.lasts), "-timeout", "30s"]);
        for limit in ["-workers", "-max-workers", "-connections", "-max-connections"] {
            command.args([limit, &connections]);
        }
        // 0: no limit.
        command.args(["-rate", &if let Pace::Rate(rps) = errand.pace { rps } else { 0 }.to_string()]);
        let targets = errand.folder.join("targets");
        // Where that fails vegeta says so: there is no such file.
        let _ = std::fs::write(&targets, format!("GET {}\n", errand.url));
        command.arg("-targets").arg(targets).arg("-output").arg(errand.folder.join(RESULTS));
        command
    }

    /// The report is a command of its own, and no part of what is measured.
    fn output(&self, program: &Path, errand: &Errand, _stdout: &str) -> Result<String, String> {
        let mut report = Command::new(program);
        report.args(["report", "-type", "json"]).arg(errand.folder.join(RESULTS)).stdin(Stdio::null());
        let report = report.output().and_then(|output| match output.status.success() {
            true => Ok(output.stdout),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        });
        report
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|e| format!("run `vegeta report`: {e}"))
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        let Report { latencies, requests, status_codes } = json(output)?;
        let good = |status: &str| status.starts_with(['2', '3']);
        let good: u64 = status_codes.iter().filter(|(status, _)| good(status)).map(|(_, count)| count).sum();
        let ms = |ns: u64| Some(ns as f64 / 1e6);
        Ok(Told {
            requests: Some(requests),
            errors: Some(requests.saturating_sub(good)),
            p99_ms: ms(latencies.p99),
            max_ms: ms(latencies.max),
            ..Told::default()
        })
    }
}

#[derive(Deserialize)]
struct Report {
    latencies: Latencies,
    requests: u64,
    status_codes: BTreeMap<String, u64>,
}

/// Nanoseconds.
#[derive(Deserialize)]
struct Latencies {
    #[serde(rename = "99th")]
    p99: u64,
    max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_report_is_read() {
        let told = Told {
            requests: Some(2000),
            errors: Some(0),
            p99_ms: Some(56.618_938),
            max_ms: Some(67.522_346),
            ..Told::default()
        };
        assert_eq!(Vegeta.read(include_str!("samples/vegeta.json")), Ok(told));
    }

    #[test]
    fn what_has_no_good_status_is_an_error() {
        let report = r#"{"latencies":{"99th":5,"max":7},"requests":10,"status_codes":{"0":3,"200":5,"503":2}}"#;
        assert_eq!(Vegeta.read(report).unwrap().errors, Some(5));
    }
}
