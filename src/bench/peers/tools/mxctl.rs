//! This executable, `mxctl loadtest --url`: with its ledger, as in every run that judges, and without.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Told, Tool, json};
use crate::bench::peers::{Errand, Pace};
use crate::checks::{Finding, Verdict};
use crate::report::RunReport;

/// Longer than any stall: a request that was given up would count with less than it took.
const TIMEOUT: &str = "30s";

pub const LEDGER: &str = "mxctl";
pub const NO_LEDGER: &str = "mxctl --no-ledger";

pub struct Mxctl {
    ledger: bool,
}

pub static WITH_LEDGER: Mxctl = Mxctl { ledger: true };
pub static WITHOUT_LEDGER: Mxctl = Mxctl { ledger: false };

impl Tool for Mxctl {
    fn name(&self) -> &'static str {
        if self.ledger { LEDGER } else { NO_LEDGER }
    }

    fn source(&self) -> &'static str {
        "this executable"
    }

    fn find(&self, _folders: &[PathBuf]) -> Option<PathBuf> {
        std::env::current_exe().ok()
    }

    /// A closed loop has no ledger.
    fn can(&self, pace: Pace) -> bool {
        !self.ledger || pace != Pace::Max
    }

    fn command(&self, program: &Path, errand: &Errand) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MXCTL_")) {
            command.env_remove(name);
        }
        command.args(["loadtest", "--quiet", "--output", "json", "--url", &errand.url]);
        command.args(["--duration", &super::seconds(errand.lasts), "--request-timeout", TIMEOUT]);
        command.arg("--reports").arg(errand.folder);
        let connections = errand.connections.to_string();
        match errand.pace {
            Pace::Rate(rps) => command.args(["--connections", &connections, "--rps", &rps.to_string()]),
            Pace::Max => command.args(["--closed", &connections]),
        };
        if !self.ledger {
            command.arg("--no-ledger");
        }
        command
    }

    fn read(&self, output: &str) -> Result<Told, String> {
        let report: RunReport = json(output)?;
        let (verdict, judgement) = (verdict(&report), report.judgement);
        let counts = judgement.conservation;
        let whole =
            judgement.latency.into_iter().find(|lane| lane.phase.is_none()).ok_or("no latency in its report")?;
        let answered = whole.response_ms.count > 0;
        let response = |ms: f64| answered.then_some(ms);
        Ok(Told {
            requests: Some(counts.acked + counts.refused + counts.unknown),
            errors: Some(counts.errors()),
            p99_ms: response(whole.response_ms.p99),
            p999_ms: response(whole.response_ms.p999),
            max_ms: response(whole.response_ms.max),
            own_lag_p99_ms: Some(whole.woke_late_ms.p99),
            verdict: Some(verdict),
        })
    }
}

/// `PASS`; `INCONCLUSIVE: generator: …`, with the first finding of that verdict.
fn verdict(report: &RunReport) -> String {
    let word = report.verdict.word();
    let why = report.judgement.findings.iter().find(|finding| finding.verdict == report.verdict);
    match why.filter(|_| report.verdict != Verdict::Pass) {
        Some(Finding { check, summary, .. }) => format!("{word}: {check}: {summary}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_report_is_read() {
        let told = Told {
            requests: Some(1000),
            errors: Some(0),
            p99_ms: Some(11.509_759),
            p999_ms: Some(13.533_183),
            max_ms: Some(13.705_215),
            own_lag_p99_ms: Some(11.362_303),
            verdict: Some("PASS".to_owned()),
        };
        assert_eq!(WITH_LEDGER.read(include_str!("samples/mxctl.json")), Ok(told));
    }
}
