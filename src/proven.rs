//! What an executable was proven to catch: the stored result of a selftest, and what of it holds for one plan.
//!
//! In: results, written once a selftest is over, in the reports folder. Out: the newest selftest of one executable, by its
//! digest, and its [`Standing`] for a plan: which seeded bugs were caught by doing no more than the plan does.
//!
//! ```text
//! reports/selftest/20261124T001203Z/selftest.json     written last, by a rename: it is whole or absent
//! ```

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError};
use crate::plan::{Plan, Reach};

/// In the reports folder: a folder for each selftest.
const FOLDER: &str = "selftest";
const FILE: &str = "selftest.json";

#[derive(Debug, thiserror::Error)]
pub enum ProvenError {
    #[error("write the result of the selftest to {}: {source}", place.display())]
    Write { place: PathBuf, source: io::Error },
    #[error("read the results of selftests in {}: {source}", place.display())]
    Read { place: PathBuf, source: io::Error },
}

/// One selftest, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selftest {
    /// Of the executable that ran, which is the service under test as well.
    pub executable_sha256: Option<String>,
    pub started_at: Timestamp,
    pub took: Duration,
    /// In the order of the zoo.
    pub results: Vec<CaseResult>,
}

/// What became of one bug, twin or control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    pub name: String,
    pub kind: Kind,
    /// The scenario of the zoo that it was run with.
    pub scenario: String,
    /// What that scenario does, and by what of it the bug was to be caught.
    pub reach: Reach,
    /// `lost`, `gate duplicates`.
    pub expected: String,
    /// In the same words, or why not.
    pub got: String,
    pub outcome: Outcome,
    pub took: Duration,
    /// So often it was run: a machine that is too busy to ask on time proves nothing.
    pub runs: u32,
    /// The last of its runs, where its folder was kept.
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A seeded bug: it must be caught, by the class or check that is named for it.
    Bug,
    /// The correct service in the same scenario: it must pass.
    Twin,
    /// A set-up in which nothing can be shown, which must say why; or one that is harmless, which must pass.
    Control,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Bug => "bug",
            Kind::Twin => "twin",
            Kind::Control => "control",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    AsExpected,
    /// A bug that was not caught as it must be, or a control that claims to know.
    Missed,
    /// A twin that does not pass.
    FalseAlarm,
    /// The machine kept mxctl from its work, however often it was tried: neither caught nor missed.
    Undecided,
}

impl Selftest {
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(move |result| result.kind == kind)
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.results.iter().filter(|result| result.outcome == outcome).count()
    }

    pub fn caught(&self) -> usize {
        self.of(Kind::Bug).filter(|bug| bug.outcome == Outcome::AsExpected).count()
    }

    /// Every bug caught, no false alarm, and nothing left open.
    pub fn holds(&self) -> bool {
        !self.results.is_empty() && self.results.iter().all(|result| result.outcome == Outcome::AsExpected)
    }

    /// What of it holds for this plan.
    pub fn standing(&self, plan: &Plan) -> Standing {
        let reach = Reach::of(plan);
        let caught = self.of(Kind::Bug).filter(|bug| bug.outcome == Outcome::AsExpected);
        let covered: Vec<&CaseResult> = caught.filter(|bug| reach.covers(&bug.reach)).collect();
        let by_acts = covered.iter().filter(|bug| !bug.reach.acts.is_empty()).count() as u64;
        Standing {
            started_at: self.started_at,
            caught: self.caught() as u64,
            bugs: self.of(Kind::Bug).count() as u64,
            false_alarms: self.count(Outcome::FalseAlarm) as u64,
            covered: covered.iter().map(|bug| bug.name.clone()).collect(),
            by_acts: (!reach.acts.is_empty()).then_some(by_acts),
        }
    }
}

/// What the newest selftest of a run's executable says of the run's own scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    pub started_at: Timestamp,
    pub caught: u64,
    /// Seeded bugs that were tried.
    pub bugs: u64,
    pub false_alarms: u64,
    /// Those that were caught by stops, lanes and judges that the run's scenario has, too, on its strategy, backend and
    /// database.
    pub covered: Vec<String>,
    /// How many of these took something that the run's scenario does to its target; `None`: it does nothing to it.
    #[serde(default)]
    pub by_acts: Option<u64>,
}

/// Where the runs of a selftest and its result lie.
#[derive(Debug, Clone)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// A new one: nothing is there yet.
    pub fn new(reports: &Path, now: Timestamp) -> Shelf {
        Shelf { root: reports.join(FOLDER).join(now.strftime("%Y%m%dT%H%M%SZ").to_string()) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Stores the result, whole or not at all.
    pub fn put(&self, selftest: &Selftest) -> Result<PathBuf, ProvenError> {
        let place = self.root.join(FILE);
        let text = serde_json::to_vec_pretty(selftest).expect("plain data with string keys is JSON");
        let written = || -> io::Result<()> {
            fs::create_dir_all(&self.root)?;
            let mut aside = tempfile::NamedTempFile::new_in(&self.root)?;
            aside.write_all(&text)?;
            aside.as_file().sync_all()?;
            aside.persist(&place).map_err(|e| e.error)?;
            fs::File::open(&self.root)?.sync_all()
        };
        written().map_err(|source| ProvenError::Write { place: place.clone(), source })?;
        Ok(place)
    }
}

/// The runs that selftests left: those that were not as expected, or were killed. Oldest first.
pub fn runs(reports: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let folder = reports.join(FOLDER);
    let mut shelves = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(|all| all.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()),
    }
    .map_err(|source| ArchiveError::Runs { place: folder, source })?;
    shelves.retain(|shelf| shelf.is_dir());
    shelves.sort();
    let runs = shelves.iter().map(|shelf| Archive::runs(shelf)).collect::<Result<Vec<_>, _>>()?;
    Ok(runs.concat())
}

/// The newest selftest of this executable. One that is damaged is passed over: it proves nothing.
pub fn newest(reports: &Path, executable_sha256: Option<&str>) -> Result<Option<Selftest>, ProvenError> {
    let Some(digest) = executable_sha256 else { return Ok(None) };
    let folder = reports.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.and_then(|all| all.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()),
    };
    let mut all = entries.map_err(|source| ProvenError::Read { place: folder, source })?;
    all.sort();
    let read = all.iter().rev().filter_map(|shelf| fs::read(shelf.join(FILE)).ok());
    let mut selftests = read.filter_map(|text| serde_json::from_slice::<Selftest>(&text).ok());
    Ok(selftests.find(|selftest| selftest.executable_sha256.as_deref() == Some(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Given;
    use crate::scenario::{Overrides, Scenario, Source};

    const NOW: Timestamp = Timestamp::constant(1_795_478_400, 0);

    fn plan(name: &str) -> Plan {
        let scenario = Scenario::read(&Source::load(name).unwrap());
        Plan::resolve(scenario, Overrides::default(), Given { run_number: 7, seed: 1 }).unwrap()
    }

    fn result(name: &str, kind: Kind, outcome: Outcome) -> CaseResult {
        CaseResult {
            name: name.into(),
            kind,
            scenario: "rolling-update".into(),
            reach: Reach::of(&plan("rolling-update")).judged_only_by(&[]),
            expected: "lost".into(),
            got: "lost".into(),
            outcome,
            took: Duration::from_secs(9),
            runs: 1,
            folder: None,
        }
    }

    fn selftest(digest: &str, started_at: Timestamp) -> Selftest {
        let results = vec![
            result("caught", Kind::Bug, Outcome::AsExpected),
            result("missed", Kind::Bug, Outcome::Missed),
            result("rolling-update", Kind::Twin, Outcome::FalseAlarm),
        ];
        Selftest { executable_sha256: Some(digest.into()), started_at, took: Duration::from_secs(27), results }
    }

    #[test]
    fn a_plan_is_proven_by_the_bugs_that_were_caught_with_no_more_than_it_does() {
        let standing = selftest("a", NOW).standing(&plan("rolling-update"));
        assert_eq!(standing.covered, ["caught"]);
        assert_eq!((standing.caught, standing.bugs, standing.false_alarms, standing.by_acts), (1, 2, 1, Some(1)));
        assert!(selftest("a", NOW).standing(&plan("loadtest")).covered.is_empty());
    }

    #[test]
    fn a_selftest_holds_only_where_everything_is_as_expected() {
        assert!(!selftest("a", NOW).holds());
        let mut whole = selftest("a", NOW);
        whole.results.retain(|result| result.outcome == Outcome::AsExpected);
        assert!(whole.holds());
        whole.results[0].outcome = Outcome::Undecided;
        assert!(!whole.holds());
        whole.results.clear();
        assert!(!whole.holds(), "nothing was tried");
    }

    #[test]
    fn the_runs_of_selftests_are_found_on_their_shelves() {
        let reports = tempfile::tempdir().unwrap();
        assert_eq!(runs(reports.path()).unwrap(), [] as [PathBuf; 0]);
        let later = NOW.checked_add(jiff::Span::new().seconds(60)).unwrap();
        let left: Vec<PathBuf> = [NOW, later]
            .map(|at| Archive::create(Shelf::new(reports.path(), at).root(), "zoo", 1, at).unwrap().root().to_owned())
            .into();
        Shelf::new(reports.path(), NOW).put(&selftest("a", NOW)).unwrap();
        assert_eq!(runs(reports.path()).unwrap(), left);
    }

    #[test]
    fn the_newest_of_this_executable_counts_and_a_damaged_one_does_not() {
        let reports = tempfile::tempdir().unwrap();
        assert_eq!(newest(reports.path(), Some("a")).unwrap(), None);
        for (second, digest) in [(0, "a"), (1, "a"), (2, "b")] {
            let at = NOW.checked_add(jiff::Span::new().seconds(second)).unwrap();
            Shelf::new(reports.path(), at).put(&selftest(digest, at)).unwrap();
        }
        let found = newest(reports.path(), Some("a")).unwrap().unwrap();
        assert_eq!(found.started_at.as_second(), NOW.as_second() + 1);
        let damaged = Shelf::new(reports.path(), found.started_at).root().join(FILE);
        fs::write(damaged, "{").unwrap();
        assert_eq!(newest(reports.path(), Some("a")).unwrap().unwrap().started_at, NOW);
        assert_eq!(newest(reports.path(), Some("c")).unwrap(), None);
        assert_eq!(newest(reports.path(), None).unwrap(), None);
    }
}
