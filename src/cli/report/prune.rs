//! `mxctl report prune`: removes the folders of old runs.

use std::time::Duration;

use clap::ArgGroup;
use jiff::Timestamp;
use serde::Serialize;

use super::Refused;
use crate::cli::Global;
use crate::cli::exit::Exit;
use crate::cli::output::print_as;
use crate::report::table::{Table, left, right};
use crate::runs::{Fate, Pruned, Retention, prune};
use crate::scenario::Size;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("retention").required(true).multiple(true).args(["keep", "older_than"]))]
#[command(after_help = "Examples:
  mxctl report prune --keep 20 --dry-run
  mxctl report prune --older-than 14d --keep-failed
  mxctl report prune --keep 5 --older-than 14d        what is older than that, but never the newest 5

A running run, an unhealed one and a folder that mxctl did not make stay, whatever is asked.

Exit codes: 0 done, 2 the folder cannot be read, or a run in it not removed")]
pub struct Command {
    /// Keep the newest N
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Keep what is younger, such as 14d or 12h
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Keep every run that did not pass
    #[arg(long)]
    keep_failed: bool,
    /// Say what would go, and touch nothing
    #[arg(long)]
    dry_run: bool,
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Answer {
    dry_run: bool,
    bytes: u64,
    runs: Vec<Pruned>,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Refused> {
        let Command { keep, older_than, keep_failed, dry_run } = self;
        let retention = Retention { keep, older_than, keep_failed };
        let runs = prune(&global.reports, retention, Timestamp::now(), dry_run)?;
        let failed = runs.iter().any(|run| matches!(run.fate, Fate::Failed(_)));
        let answer = Answer { dry_run, bytes: runs.iter().map(|run| run.bytes).sum(), runs };
        let printed = print_as(&answer, || in_words(&answer), global);
        Ok(if failed { Exit::BadInput } else { printed })
    }
}

fn in_words(answer: &Answer) -> String {
    let mut table = Table::new(&[left("run"), right("on disk"), left("fate")]);
    for pruned in &answer.runs {
        let bytes = if pruned.bytes == 0 { String::new() } else { Size(pruned.bytes).to_string() };
        table.row([pruned.run.clone(), bytes, fate(&pruned.fate)]);
    }
    let gone = answer.runs.iter().filter(|run| matches!(run.fate, Fate::Removed | Fate::ToRemove)).count();
    let did = if answer.dry_run { "would be removed, and would free" } else { "removed; freed" };
    let table = if answer.runs.is_empty() { String::new() } else { table.render_whole() };
    format!("{table}{gone} of {} runs {did} {}\n", answer.runs.len(), Size(answer.bytes))
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Removed => "removed".to_owned(),
        Fate::ToRemove => "would be removed".to_owned(),
        Fate::Kept(why) => format!("kept: {why}"),
        Fate::Failed(why) => why.clone(),
    }
}
