//! The load generators that are compared: how each is asked, and what its words mean. One file a tool, with a
//! sample of what it says.
//!
//! Each is asked as its manual would have it for a fixed number of connections: whatever it offers against coordinated
//! omission is on.

mod fortio;
mod hey;
mod k6;
mod mxctl;
mod oha;
mod vegeta;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::{Errand, Pace};

/// A load generator on the command line.
pub trait Tool: Sync {
    /// What it is called in tables.
    fn name(&self) -> &'static str;

    /// Where it comes from, in a line.
    fn source(&self) -> &'static str;

    /// In the first of these folders that has it; `None`: none has.
    fn find(&self, folders: &[PathBuf]) -> Option<PathBuf>;

    fn can(&self, _pace: Pace) -> bool {
        true
    }

    /// Only for what it can.
    fn command(&self, program: &Path, errand: &Errand) -> Command;

    /// Where it told its result: on stdout, or elsewhere.
    fn output(&self, _program: &Path, _errand: &Errand, stdout: &str) -> Result<String, String> {
        Ok(stdout.to_owned())
    }

    fn read(&self, output: &str) -> Result<Told, String>;
}

/// In the order of tables. The first two are this executable; the third is whom the others are compared with.
pub static TOOLS: [&dyn Tool; 9] = [
    &mxctl::WITH_LEDGER,
    &mxctl::WITHOUT_LEDGER,
    &wrk::WRK2,
    &wrk::WRK,
    &oha::Oha,
    &vegeta::Vegeta,
    &hey::Hey,
    &fortio::Fortio,
    &k6::K6,
];

/// The names of this executable in tables.
pub use mxctl::{LEDGER, NO_LEDGER};

/// What a tool said of its run; `None`: it does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub requests: Option<u64>,
    /// Whatever it does not count as a good answer.
    pub errors: Option<u64>,
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
    pub max_ms: Option<f64>,
    /// How late it woke itself.
    pub own_lag_p99_ms: Option<f64>,
    /// Its judgement, where it has one.
    pub verdict: Option<String>,
}

/// The first file of this name.
fn first_of(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn json<T: serde::de::DeserializeOwned>(output: &str) -> Result<T, String> {
    serde_json::from_str(output).map_err(|e| format!("read its JSON: {e}"))
}

fn seconds(lasts: std::time::Duration) -> String {
    format!("{}s", lasts.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn words(tool: &dyn Tool, pace: Pace) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (url, lasts) = ("http://127.0.0.1:9/".to_owned(), Duration::from_secs(10));
        let errand = Errand { url, pace, lasts, connections: 50, folder: folder.path() };
        let command = tool.command(Path::new("PROGRAM"), &errand);
        let words = super::super::child::words(&command).join(" ");
        format!("{}: {}", tool.name(), words.replace(&*folder.path().to_string_lossy(), "FOLDER"))
    }

    #[test]
    fn every_tool_is_asked_for_a_rate_and_for_all_it_can() {
        let asked = TOOLS.into_iter().flat_map(|tool| {
            let paces = [Pace::Rate(5000), Pace::Max].into_iter().filter(|pace| tool.can(*pace));
            paces.map(|pace| words(tool, pace)).collect::<Vec<_>>()
        });
        insta::assert_snapshot!(asked.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn names_are_unique_and_every_source_is_a_line() {
        let names: std::collections::BTreeSet<_> = TOOLS.iter().map(|tool| tool.name()).collect();
        assert_eq!(names.len(), TOOLS.len());
        assert!(TOOLS.iter().all(|tool| !tool.source().is_empty() && !tool.source().contains('\n')));
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        for tool in TOOLS {
            for nonsense in ["", "Killed", "{}", "{\"a\": [1]}"] {
                assert!(tool.read(nonsense).is_err(), "{} reads {nonsense:?}", tool.name());
            }
        }
    }

    #[test]
    fn who_is_not_there_is_not_found() {
        let nowhere = tempfile::tempdir().unwrap();
        let found = TOOLS.iter().filter_map(|tool| tool.find(&[nowhere.path().to_owned()])).count();
        // This executable is there wherever it is.
        assert_eq!(found, 2);
    }
}
