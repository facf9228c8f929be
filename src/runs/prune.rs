//! Retention: removes the folders of old runs.
//!
//! In: what to keep. Out: what became of each folder. A running or unhealed run stays whatever was asked: its folder
//! is how `mxctl heal` knows what to end. So does every folder that mxctl did not make.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Life, RunFolder, all, of_selftests};
use crate::archive::{Archive, ArchiveError};
use crate::checks::Verdict;
use crate::report::RunState;

/// What may go: a run that is neither among the newest `keep` nor younger than `older_than`.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub keep: Option<usize>,
    pub older_than: Option<Duration>,
    /// Only runs that passed may go.
    pub keep_failed: bool,
}

/// What became of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    pub run: String,
    pub fate: Fate,
    /// On the disk.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Removed,
    /// A dry run: it would have been.
    ToRemove,
    Kept(&'static str),
    Failed(String),
}

/// Looks at every run, newest first, then at those that selftests left, which are counted by themselves, and removes
/// what may go; with `dry_run` nothing is touched.
pub fn prune(reports: &Path, retention: Retention, now: Timestamp, dry_run: bool) -> Result<Vec<Pruned>, ArchiveError> {
    let mut pruned = Vec::new();
    for runs in [all(reports)?, of_selftests(reports)?] {
        pruned.extend(runs.iter().enumerate().map(|(newer, run)| {
            let name = run.folder.strip_prefix(reports).unwrap_or(&run.folder).display().to_string();
            one(name, run, retention.reason_to_keep(run, newer, now), dry_run)
        }));
    }
    Ok(pruned)
}

fn one(name: String, run: &RunFolder, keep: Option<&'static str>, dry_run: bool) -> Pruned {
    let (bytes, fate) = match keep {
        Some(why) => (0, Fate::Kept(why)),
        None if dry_run => (Archive::disk_usage(&run.folder), Fate::ToRemove),
        None => remove(&run.folder),
    };
    Pruned { run: name, fate, bytes }
}

fn remove(folder: &Path) -> (u64, Fate) {
    match Archive::remove(folder) {
        Ok(bytes) => (bytes, Fate::Removed),
        Err(e) => (0, Fate::Failed(format!("failed to {e}"))),
    }
}

impl Retention {
    /// `newer`: how many runs are newer than this one.
    fn reason_to_keep(&self, run: &RunFolder, newer: usize, now: Timestamp) -> Option<&'static str> {
        let made_at = Archive::made_at(&run.folder);
        let age = made_at.and_then(|made| Duration::try_from(now.duration_since(made)).ok()).unwrap_or_default();
        match run.life {
            _ if made_at.is_none() => Some("not made by mxctl"),
            Life::Running => Some("still running"),
            Life::Unhealed => Some("unhealed: `mxctl heal` first"),
            Life::AtRest if self.keep.is_some_and(|keep| newer < keep) => Some("among the newest"),
            Life::AtRest if self.older_than.is_some_and(|limit| age < limit) => Some("not old enough"),
            Life::AtRest if self.keep_failed && !passed(run) => Some("did not pass"),
            Life::AtRest => None,
        }
    }
}

fn passed(run: &RunFolder) -> bool {
    matches!(run.line().state, RunState::Reported { verdict: Verdict::Pass, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    const NOW: Timestamp = Timestamp::constant(1_795_478_400, 0);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn run_of_age(reports: &Path, name: &str, days: u32) -> Archive {
        Archive::create(reports, name, 1, NOW - DAY * days).unwrap()
    }

    fn fates(reports: &Path, retention: Retention, dry_run: bool) -> Vec<Fate> {
        prune(reports, retention, NOW, dry_run).unwrap().into_iter().map(|pruned| pruned.fate).collect()
    }

    const KEEP_ONE: Retention = Retention { keep: Some(1), older_than: None, keep_failed: false };

    #[test]
    fn the_newest_stay_and_a_dry_run_touches_nothing() {
        let reports = tempfile::tempdir().unwrap();
        (0..3).for_each(|days| drop(run_of_age(reports.path(), "a", days)));
        let among = Fate::Kept("among the newest");
        let planned = fates(reports.path(), KEEP_ONE, true);
        assert_eq!(planned, [among.clone(), Fate::ToRemove, Fate::ToRemove]);
        assert_eq!(fates(reports.path(), KEEP_ONE, false), [among.clone(), Fate::Removed, Fate::Removed]);
        assert_eq!(fates(reports.path(), KEEP_ONE, false), [among]);
    }

    #[test]
    fn a_running_an_unhealed_and_a_foreign_folder_stay_whatever_was_asked() {
        let reports = tempfile::tempdir().unwrap();
        let running = run_of_age(reports.path(), "running", 30);
        let unhealed = run_of_age(reports.path(), "unhealed", 20);
        Journal::open(unhealed.root(), "lab").unwrap();
        drop(unhealed);
        std::fs::create_dir(reports.path().join("sample")).unwrap();
        std::fs::create_dir(reports.path().join("mine")).unwrap();
        std::fs::write(reports.path().join("mine/lock"), "").unwrap();
        let all = Retention { keep: Some(0), ..KEEP_ONE };
        let why = ["not made by mxctl", "unhealed: `mxctl heal` first", "still running"];
        assert_eq!(fates(reports.path(), all, false), why.map(Fate::Kept));
        assert!(running.root().exists() && reports.path().join("sample").exists());
    }

    #[test]
    fn what_a_selftest_left_goes_by_the_same_rules_and_is_counted_by_itself() {
        let reports = tempfile::tempdir().unwrap();
        drop(run_of_age(reports.path(), "a", 0));
        let shelf = reports.path().join("selftest/20261124T001203Z");
        (1..3).for_each(|days| drop(run_of_age(&shelf, "zoo", days)));
        let pruned = prune(reports.path(), KEEP_ONE, NOW, false).unwrap();
        let fates: Vec<_> = pruned.iter().map(|one| one.fate.clone()).collect();
        assert_eq!(fates, [Fate::Kept("among the newest"), Fate::Kept("among the newest"), Fate::Removed]);
        assert!(pruned[2].run.starts_with("selftest/20261124T001203Z/"), "{pruned:#?}");
    }

    #[test]
    fn age_and_failure_keep_a_run() {
        let reports = tempfile::tempdir().unwrap();
        (1..=2).for_each(|days| drop(run_of_age(reports.path(), "a", days * 10)));
        let old = Retention { keep: None, older_than: Some(14 * DAY), keep_failed: false };
        assert_eq!(fates(reports.path(), old, true), [Fate::Kept("not old enough"), Fate::ToRemove]);
        let failed = Retention { keep_failed: true, ..old };
        assert_eq!(fates(reports.path(), failed, true)[1], Fate::Kept("did not pass"));
    }
}
