//! Load generators side by side: `mxctl` and each peer found on the PATH, on the same server.
//!
//! In: a [`Comparison`]. Out: a [`Compared`], every [`Run`] of it raw; medians ([`figures`]) and what is to be held
//! against them ([`goals`]) follow from that. Start with [`compare`]: it is the whole pass.
//!
//! ```text
//! for each round ─ for each case ─ for each tool, another one first in every round:
//!     server (one core) ── starts, listens ───────────────────────── ends ── its summary ─┐
//!     generator (another core) ──────── starts ── ends ── its output, its CPU, its memory ┴ Run
//! ```
//!
//! # Why each run has a process of its own on both sides
//! Nothing that one tool left behind (open sockets, a log, memory) is there for the next one, and what the kernel counts
//! of a process is that of one run. `mxctl` is a child like any other: the process that compares does nothing meanwhile.

#[cfg(test)]
pub mod canned;
mod case;
mod child;
mod cores;
pub mod figures;
pub mod goals;
mod served;
pub mod tools;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bench::server::Summary;
use crate::machine::{self, Consumed};
use crate::stop::Stop;

pub use case::{Case, Pace, TRUTH, TruthCase};
pub use cores::Cores;
pub use tools::{Told, Tool};

use child::{Ended, Measured};
use served::Served;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// This executable: server and generator.
    pub mxctl: PathBuf,
    pub cores: Cores,
    pub tools: Vec<Found>,
    pub paces: Vec<Pace>,
    pub truth: Vec<TruthCase>,
    /// Of each pace; a truth case has its own. Whole seconds: some tools know no others.
    pub lasts: Duration,
    pub connections: u32,
    pub rounds: u32,
    pub truth_rounds: u32,
}

/// A tool that is there.
#[derive(Clone)]
pub struct Found {
    pub tool: &'static dyn Tool,
    pub program: PathBuf,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.tool.name(), self.program.display())
    }
}

/// What a generator is sent to do.
#[derive(Debug, Clone)]
pub struct Errand<'a> {
    pub url: String,
    pub pace: Pace,
    pub lasts: Duration,
    pub connections: u32,
    /// For files of its own; goes after the run.
    pub folder: &'a Path,
}

/// One run of one tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// From 1.
    pub round: u32,
    pub case: String,
    pub tool: String,
    /// As it was started.
    pub command: Vec<String>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ran(Box<Record>),
    /// It counts in no figure.
    Failed(String),
}

impl Run {
    /// `None`: it failed.
    pub fn record(&self) -> Option<&Record> {
        match &self.outcome {
            Outcome::Ran(record) => Some(record),
            Outcome::Failed(_) => None,
        }
    }
}

/// What a run left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From start to end of the process.
    pub seconds: f64,
    /// User and system time of the process, all of it.
    pub cpu_seconds: f64,
    pub peak_rss_bytes: u64,
    pub exit_code: Option<i32>,
    /// What the tool itself said.
    pub told: Told,
    pub server: Summary,
    /// The share of the machine's processors that neither generator nor server had, but somebody else; `None`: the kernel
    /// does not say.
    pub strangers: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub runs: Vec<Run>,
}

#[derive(Debug, Error)]
pub enum PeersError {
    #[error("make a folder for the tools' files: {0}; point TMPDIR to one that can be written")]
    Folder(io::Error),
    #[error("keep to the cores {cores}: {source}; let this process run on them, or leave out `taskset` and the like")]
    Pin { cores: Cores, source: io::Error },
    #[error("start the server to measure on: {0}")]
    Server(String),
    #[error("go on: interrupted")]
    Interrupted,
}

/// Who follows it.
pub trait Audience {
    fn begins(&self, round: u32, case: &Case, tool: &str);
    fn ended(&self, run: &Run);
}

/// Runs everything, one after the other. What fails is in the runs; an error is what keeps all of them from being.
///
/// Children die with the thread that calls this.
pub fn compare(asked: &Comparison, audience: &dyn Audience, stop: &Stop) -> Result<Compared, PeersError> {
    let pin = |source| PeersError::Pin { cores: asked.cores, source };
    cores::keep_to(asked.cores.server).map_err(pin)?;
    let mut runs = Vec::new();
    for (round, case) in turns(asked) {
        for found in rotated(&asked.tools, round).filter(|found| found.tool.can(case.pace())) {
            audience.begins(round, &case, found.tool.name());
            let run = run(asked, round, &case, found, stop)?;
            audience.ended(&run);
            runs.push(run);
        }
    }
    Ok(Compared { runs })
}

/// Rounds are the outer loop: whatever the machine does for a while, it does to all cases.
fn turns(asked: &Comparison) -> impl Iterator<Item = (u32, Case)> {
    (1..=asked.rounds.max(asked.truth_rounds)).flat_map(move |round| {
        let paces = asked.paces.iter().filter(move |_| round <= asked.rounds).map(|pace| Case::Pace(*pace));
        let truth = asked.truth.iter().filter(move |_| round <= asked.truth_rounds).map(|case| Case::Truth(*case));
        paces.chain(truth).map(move |case| (round, case))
    })
}

/// Nobody is always the first, or always behind the same one's cold caches.
fn rotated(tools: &[Found], round: u32) -> impl Iterator<Item = &Found> {
    let first = (round as usize - 1) % tools.len().max(1);
    tools[first..].iter().chain(&tools[..first])
}

fn run(asked: &Comparison, round: u32, case: &Case, found: &Found, stop: &Stop) -> Result<Run, PeersError> {
    let folder = tempfile::tempdir().map_err(PeersError::Folder)?;
    let lasts = case.lasts(asked.lasts);
    let served = Served::start(&asked.mxctl, asked.cores.server, case.stall(), lasts).map_err(PeersError::Server)?;
    let errand = Errand {
        url: format!("http://{}/", served.address),
        pace: case.pace(),
        lasts,
        connections: asked.connections,
        folder: folder.path(),
    };
    let before = consumed();
    let command = found.tool.command(&found.program, &errand);
    let (words, ended) = (child::words(&command), child::run(command, &errand, asked.cores.generator, stop));
    let strangers = strangers(before, consumed(), &ended);
    if stop.interrupt.is_cancelled() {
        return Err(PeersError::Interrupted);
    }
    let server = served.end().map_err(PeersError::Server)?;
    let outcome = ended.and_then(|ended| record(found, &errand, ended, server, strangers));
    let outcome = outcome.map_or_else(Outcome::Failed, |record| Outcome::Ran(Box::new(record)));
    Ok(Run { round, case: case.name(), tool: found.tool.name().to_owned(), command: words, outcome })
}

fn record(
    found: &Found,
    errand: &Errand,
    ended: Ended,
    server: Summary,
    strangers: Option<f64>,
) -> Result<Record, String> {
    if server.requests == 0 {
        return Err(format!("nothing of it arrived at the server; it said: {}", ended.last_words()));
    }
    let told = found.tool.output(&found.program, errand, &ended.stdout).and_then(|output| found.tool.read(&output));
    let told = told.map_err(|why| format!("{why}; it said: {}", ended.last_words()))?;
    let Measured { took, cpu, peak_rss_bytes, exit_code } = ended.measured;
    let (seconds, cpu_seconds) = (took.as_secs_f64(), cpu.as_secs_f64());
    Ok(Record { seconds, cpu_seconds, peak_rss_bytes, exit_code, told, server, strangers })
}

fn consumed() -> Option<Consumed> {
    machine::consumed(&[std::process::id() as i32])
}

fn strangers(before: Option<Consumed>, after: Option<Consumed>, ended: &Result<Ended, String>) -> Option<f64> {
    let (before, after) = (before?, after?);
    let cpus = std::thread::available_parallelism().ok()?.get() as f64;
    let there = ended.as_ref().ok()?.measured.took.as_secs_f64() * cpus;
    let busy = after.busy.saturating_sub(before.busy);
    let own = after.own.saturating_sub(before.own);
    Some((busy.saturating_sub(own).as_secs_f64() / there).min(1.0))
}

impl Compared {
    /// In the order of their first run.
    pub fn cases(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.runs.iter().map(|run| run.case.as_str()).filter(|case| seen.insert(*case)).collect()
    }

    /// The runs of one tool in one case that count.
    pub fn records<'a>(&'a self, case: &'a str, tool: &'a str) -> impl Iterator<Item = &'a Record> {
        self.runs.iter().filter(move |run| run.case == case && run.tool == tool).filter_map(Run::record)
    }

    pub fn failed(&self) -> impl Iterator<Item = (&Run, &str)> {
        self.runs.iter().filter_map(|run| match &run.outcome {
            Outcome::Failed(why) => Some((run, why.as_str())),
            Outcome::Ran(_) => None,
        })
    }

    /// The most that others used of the machine in any run.
    pub fn strangers(&self) -> Option<f64> {
        self.runs.iter().filter_map(|run| run.record()?.strangers).reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(rounds: u32, truth_rounds: u32) -> Comparison {
        let found = |tool: &'static dyn Tool| Found { tool, program: PathBuf::from(tool.name()) };
        Comparison {
            mxctl: PathBuf::from("mxctl"),
            cores: Cores { server: 0, generator: 1 },
            tools: tools::TOOLS.into_iter().map(found).collect(),
            paces: vec![Pace::Rate(5000), Pace::Max],
            truth: vec![TRUTH[0]],
            lasts: Duration::from_secs(10),
            connections: 50,
            rounds,
            truth_rounds,
        }
    }

    #[test]
    fn a_round_is_every_case_once() {
        let turns: Vec<_> = turns(&asked(2, 1)).map(|(round, case)| format!("{round} {}", case.name())).collect();
        assert_eq!(turns, ["1 5k", "1 max", "1 CO1", "2 5k", "2 max"]);
    }

    #[test]
    fn in_every_round_another_tool_is_first() {
        let tools = asked(1, 1).tools;
        let first = |round| rotated(&tools, round).next().unwrap().tool.name();
        let firsts: BTreeSet<_> = (1..=tools.len() as u32).map(first).collect();
        assert_eq!(firsts.len(), tools.len());
        assert_eq!(rotated(&tools, 3).count(), tools.len());
    }
}
