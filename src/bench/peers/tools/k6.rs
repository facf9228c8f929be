//! k6: virtual users that run a script; here one a connection, and a script that asks once.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Told, Tool, first_of, json, seconds};
use crate::bench::peers::{Errand, Pace};

pub struct K6;

const SUMMARY: &str = "summary.json";

impl Tool for K6 {
    fn name(&self) -> &'static str {
        "k6"
    }

    fn source(&self) -> &'static str {
        "go install go.k6.io/k6@latest"
    }

    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        first_of("k6", folders)
    }

    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let (script, summary) = (errand.folder.join("script.js"), errand.folder.join(SUMMARY));
        // Where that fails k6 says so: there is no such file.
        let _ = std::fs::write(&script, self::script(errand));
        let mut command = Command::new(program);
        command.args(["run", "--quiet", "--no-usage-report", "--summary-export"]).arg(summary).arg(script);
        command
    }

    fn output(&self, _program: &Path, errand: &Errand, _stdout: &str) -> Result<String, String> {
        let path = errand.folder.join(SUMMARY);
        std::fs::read_to_string(&path).map_err(|e| format!("read {}: {e}", path.display()))
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        let Summary { metrics } = json(output)?;
        Ok(Told {
            requests: Some(metrics.requests.count),
            errors: Some(metrics.failed.failed + metrics.dropped.map_or(0, |dropped| dropped.count)),
            p99_ms: Some(metrics.duration.p99),
            p999_ms: Some(metrics.duration.p999),
            max_ms: Some(metrics.duration.max),
            ..Told::default()
        })
    }
}

fn script(errand: &Errand) -> String {
    let (users, lasts, url) = (errand.connections, seconds(errand.lasts), &errand.url);
    let load = match errand.pace {
        Pace::Rate(rps) => format!(
            "executor: 'constant-arrival-rate', rate: {rps}, timeUnit: '1s', preAllocatedVUs: {users}, maxVUs: {users}"
        ),
        Pace::Max => format!("executor: 'constant-vus', vus: {users}"),
    };
    format!(
        "import http from 'k6/http';
export const options = {{
  discardResponseBodies: true,
  summaryTrendStats: ['p(99)', 'p(99.9)', 'max'],
  scenarios: {{ load: {{ {load}, duration: '{lasts}' }} }},
}};
export default function () {{ http.get('{url}'); }}
"
    )
}

#[derive(Deserialize)]
struct Summary {
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(rename = "http_reqs")]
    requests: Count,
    #[serde(rename = "http_req_failed")]
    failed: Failed,
    /// Iterations that were due when no user was free; not there where there was none.
    #[serde(rename = "dropped_iterations")]
    dropped: Option<Count>,
    #[serde(rename = "http_req_duration")]
    duration: Duration,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

#[derive(Deserialize)]
struct Failed {
    /// It passes for failed where it is: the metric's name is what is asked.
    #[serde(rename = "passes")]
    failed: u64,
}

/// Milliseconds.
#[derive(Deserialize)]
struct Duration {
    #[serde(rename = "p(99)")]
    p99: f64,
    #[serde(rename = "p(99.9)")]
    p999: f64,
    max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a server that answers one in a hundred with 503.
    const REPORT: &str = include_str!("samples/k6.json");

    #[test]
    fn its_summary_is_read() {
        let told = Told {
            requests: Some(2001),
            errors: Some(21),
            p99_ms: Some(10.535736),
            p999_ms: Some(27.271281000000013),
            max_ms: Some(27.394537),
            ..Told::default()
        };
        assert_eq!(K6.read(REPORT), Ok(told));
    }

    #[test]
    fn what_no_user_was_free_for_is_an_error() {
        let dropped =
            REPORT.replace("\"metrics\": {", "\"metrics\": {\"dropped_iterations\": {\"count\": 5, \"rate\": 2.5},");
        assert_eq!(K6.read(&dropped).unwrap().errors, Some(26));
    }

    #[test]
    fn a_user_is_a_connection() {
        let errand = |pace| Errand {
            url: "http://127.0.0.1:9/".to_owned(),
            pace,
            lasts: std::time::Duration::from_secs(10),
            connections: 50,
            folder: Path::new("/"),
        };
        let rate = script(&errand(Pace::Rate(5000)));
        assert!(
            rate.contains("rate: 5000, timeUnit: '1s', preAllocatedVUs: 50, maxVUs: 50, duration: '10s'"),
            "{rate}"
        );
        let max = script(&errand(Pace::Max));
        assert!(max.contains("executor: 'constant-vus', vus: 50, duration: '10s'"), "{max}");
    }
}
