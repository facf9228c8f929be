//! The runs of a reports folder: which one a person means, what became of each, what several are together,
//! and which may go.
//!
//! In: the reports folder. Out: a [`RunFolder`] each, and its [`ListLine`]. A run whose
//! report is damaged is a line that says so, never an error: it must not hide the others.

mod find;
mod merge;
mod prune;

use std::io;
use std::path::{Path, PathBuf};

pub use find::{FindError, find};
pub use merge::{Judged, MergeError, Merged, merge};
pub use prune::{Fate, Pruned, Retention, prune};

use crate::archive::{Archive, ArchiveError, Environment, Piece, Stored};
use crate::journal::Found;
use crate::plan::Plan;
use crate::proven;
use crate::report::{ListLine, PlanSummary, RunReport, RunState};

/// One run, as far as its folder goes.
#[derive(Debug)]
pub struct RunFolder {
    pub folder: PathBuf,
    pub life: Life,
}

/// Whether anything of a run is still there, or could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its mxctl is alive.
    Running,
    /// Its mxctl died, and what it had started may be there: `mxctl heal`.
    Unhealed,
    AtRest,
}

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("read the report of {}: {why}", run.display())]
    None { run: PathBuf, why: String },
}

/// Every run in a reports folder, newest first.
pub fn all(reports: &Path) -> Result<Vec<RunFolder>, ArchiveError> {
    Archive::runs(reports)?.into_iter().rev().map(RunFolder::open).collect()
}

/// Every run that a selftest left, newest first.
fn of_selftests(reports: &Path) -> Result<Vec<RunFolder>, ArchiveError> {
    proven::runs(reports)?.into_iter().rev().map(RunFolder::open).collect()
}

/// What [`find`] found, with its report.
pub fn report_of(run: &Path) -> Result<RunReport, ReportError> {
    let archive = Archive::open(run)?;
    match archive.get_json(Piece::Run)? {
        Stored::Whole(report) => Ok(report),
        Stored::Missing { .. } => {
            let why = RunFolder::open(run.to_owned())?.why_no_report();
            Err(ReportError::None { run: run.to_owned(), why })
        }
    }
}

impl RunFolder {
    pub fn open(folder: PathBuf) -> Result<RunFolder, ArchiveError> {
        let life = if Archive::is_held(&folder)? { Life::Running } else { life_after(Found::read(&folder)) };
        Ok(RunFolder { folder, life })
    }

    pub fn name(&self) -> String {
        let name = self.folder.file_name().unwrap_or(self.folder.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Reads what a list shows of a run.
    pub fn line(&self) -> ListLine {
        let archive = match Archive::open(&self.folder) {
            Ok(archive) => archive,
            Err(e) => return self.without_report(RunState::Unreadable { why: e.to_string() }),
        };
        match (archive.get_json::<RunReport>(Piece::Run), self.life) {
            (Ok(Stored::Whole(report)), life) => ListLine::of_report(self.name(), &report, life == Life::Unhealed),
            (Err(e), _) => self.without_report(RunState::Unreadable { why: e.to_string() }),
            (Ok(Stored::Missing { .. }), Life::Running) => self.of_plan(&archive, RunState::Running),
            (Ok(Stored::Missing { .. }), Life::Unhealed) => self.of_plan(&archive, RunState::Unhealed),
            (Ok(Stored::Missing { .. }), Life::AtRest) => self.of_plan(&archive, RunState::Unreported),
        }
    }

    fn of_plan(&self, archive: &Archive, state: RunState) -> ListLine {
        let plan = archive.get_json::<Plan>(Piece::Plan).ok().and_then(Stored::whole);
        let environment = archive.get_json::<Environment>(Piece::Environment).ok().and_then(Stored::whole);
        ListLine {
            plan: plan.as_ref().map(PlanSummary::of),
            started_at: environment.map(|e| e.started_at).or_else(|| Archive::made_at(&self.folder)),
            ..ListLine::without_report(self.name(), state)
        }
    }

    fn without_report(&self, state: RunState) -> ListLine {
        ListLine { started_at: Archive::made_at(&self.folder), ..ListLine::without_report(self.name(), state) }
    }

    fn why_no_report(&self) -> String {
        match self.life {
            Life::Running => "the run is still going on; wait for its end".to_owned(),
            Life::Unhealed => format!(
                "the run was killed; `mxctl heal` ends what it left, `mxctl report judge {}` judges what it recorded",
                self.name()
            ),
            Life::AtRest => format!(
                "the run ended before it was written; `mxctl report judge {}` judges what it recorded",
                self.name()
            ),
        }
    }
}

/// A journal that cannot be read might hold anything.
fn life_after(journal: io::Result<Option<Found>>) -> Life {
    match journal {
        Ok(None) => Life::AtRest,
        Ok(Some(found)) if found.at_rest() => Life::AtRest,
        _ => Life::Unhealed,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::journal::Journal;

    const NOW: Timestamp = Timestamp::constant(1_795_478_400, 0);

    fn states(reports: &Path) -> Vec<RunState> {
        all(reports).unwrap().iter().map(|run| run.line().state).collect()
    }

    #[test]
    fn a_run_without_a_report_says_what_became_of_it_newest_first() {
        let reports = tempfile::tempdir().unwrap();
        let killed = Archive::create(reports.path(), "a", 1, NOW).unwrap();
        let journal = Journal::open(killed.root(), "lab").unwrap();
        let running = Archive::create(reports.path(), "b", 2, NOW).unwrap();
        drop(killed);
        assert_eq!(states(reports.path()), [RunState::Running, RunState::Unhealed]);
        journal.close().unwrap();
        std::fs::write(running.root().join("run.json"), "{").unwrap();
        let states = states(reports.path());
        assert!(matches!(&states[..], [RunState::Unreadable { .. }, RunState::Unreported]), "{states:?}");
    }

    #[test]
    fn a_report_that_is_missing_is_explained() {
        let reports = tempfile::tempdir().unwrap();
        let running = Archive::create(reports.path(), "a", 1, NOW).unwrap();
        assert!(report_of(running.root()).unwrap_err().to_string().contains("still going on"));
        let root = running.root().to_owned();
        drop(running);
        let why = report_of(&root).unwrap_err().to_string();
        assert!(why.contains("mxctl report judge 20261124T000000Z-a-1"), "{why}");
    }
}
