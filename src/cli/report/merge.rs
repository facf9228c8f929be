//! `mxctl report merge`: the histograms of several runs as those of one.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Refused;
use crate::archive::put_beside_runs;
use crate::checks::{Conservation, Percentiles, Verdict};
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::output::print_as;
use crate::load::hlog::HdrLog;
use crate::report::figures::{dash, hundredths, thousands};
use crate::report::table::{Table, left, right};
use crate::report::text::wrap;
use crate::runs::{self, Judged, Merged, merge};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mxctl report merge 20261124T001203Z 20261124T001204Z
  mxctl report merge 20261124T001203Z latest --hlog merged.hlog
  mxctl report merge 20261124T001203Z latest --output json

The sum is exact: percentiles are those of all requests together, which no average of percentiles is. What differs
between the runs is said, and what each was judged to be: the sum is no better than the worst of them. The exit code is 0
all the same.")]
pub struct Command {
    /// The runs, as for `report show`
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// Write the merged histograms into this file, as an HDR log
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
}

/// As JSON.
#[derive(Debug, Serialize)]
struct Told {
    /// The worst of the runs'.
    verdict: Verdict,
    conservation: Option<Conservation>,
    runs: Vec<Line>,
    merged: Times,
    differences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    run: String,
    #[serde(flatten)]
    judged: Judged,
    #[serde(flatten)]
    times: Times,
}

#[derive(Debug, Serialize)]
struct Times {
    response_ms: Percentiles,
    service_ms: Percentiles,
    waited_ms: Percentiles,
    woke_late_ms: Percentiles,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let folders = self.runs.iter().map(|run| runs::find(run, &global.reports)).collect::<Result<Vec<_>, _>>()?;
        let merged = merge(&folders)?;
        if let Some(file) = &self.hlog {
            write(file, &merged.all)?;
        }
        let told = Told::of(merged);
        Ok(print_as(&told, || told.in_words(), global))
    }
}

/// Whole, or not at all.
fn write(file: &Path, log: &HdrLog) -> Result<(), Refused> {
    let (folder, name) = (file.parent().filter(|folder| *folder != Path::new("")), file.file_name());
    let name = name.unwrap_or(file.as_os_str()).to_string_lossy();
    put_beside_runs(folder.unwrap_or(Path::new(".")), &name, &String::from_utf8_lossy(&log.written()))?;
    Ok(())
}

impl Told {
    fn of(merged: Merged) -> Told {
        let (verdict, conservation) = (merged.verdict(), merged.conservation());
        let Merged { parts, all, differences } = merged;
        let runs =
            parts.into_iter().map(|part| Line { times: Times::of(&part.log), run: part.run, judged: part.judged });
        Told { verdict, conservation, runs: runs.collect(), merged: Times::of(&all), differences }
    }

    fn in_words(&self) -> String {
        let mut table = Table::new(&[
            left("run"),
            left("verdict"),
            left("time"),
            right("requests"),
            right("p50"),
            right("p90"),
            right("p99"),
            right("p99.9"),
            right("max"),
            right("errors"),
        ]);
        for line in &self.runs {
            let Judged { conservation, .. } = line.judged;
            line.times
                .rows(&line.run, &line.judged.in_words(), conservation)
                .into_iter()
                .for_each(|row| table.row(row));
        }
        self.merged.rows("merged", self.verdict.word(), self.conservation).into_iter().for_each(|row| table.row(row));
        let differences: String = self.differences.iter().map(|told| wrap("  differs   ", told)).collect();
        let said = self.runs.iter().map(Line::why).collect::<String>() + &differences;
        table.render() + if said.is_empty() { "" } else { "\n" } + &said
    }
}

impl Line {
    /// Why it is no pass.
    fn why(&self) -> String {
        let head = format!("  {}  ", self.judged.in_words());
        let lines = self.judged.why.iter().map(|why| wrap(&head, &format!("{}: {why}", self.run)));
        lines.collect()
    }
}

impl Times {
    fn of(log: &HdrLog) -> Times {
        let [response, service, waited, woke_late] = log.histograms.named().map(|(_, d)| d.percentiles());
        Times { response_ms: response, service_ms: service, waited_ms: waited, woke_late_ms: woke_late }
    }

    fn rows(&self, run: &str, verdict: &str, counts: Option<Conservation>) -> [[String; 10]; 4] {
        let Times { response_ms, service_ms, waited_ms, woke_late_ms } = self;
        let errors = counts.map_or_else(dash, |counts| thousands(counts.errors()));
        [
            row([run, verdict, "response"], response_ms, &errors),
            row(["", "", "service"], service_ms, ""),
            row(["", "", "own lag: no free connection"], waited_ms, ""),
            row(["", "", "own lag: we woke late"], woke_late_ms, ""),
        ]
    }
}

fn row([run, verdict, time]: [&str; 3], p: &Percentiles, errors: &str) -> [String; 10] {
    let [p50, p90, p99, p999, max] = [p.p50, p.p90, p.p99, p.p999, p.max].map(hundredths);
    [
        run.to_owned(),
        verdict.to_owned(),
        time.to_owned(),
        thousands(p.count),
        p50,
        p90,
        p99,
        p999,
        max,
        errors.to_owned(),
    ]
}
