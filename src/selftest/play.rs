//! One case of the zoo, run and compared with what is expected.
//!
//! In: a [`Case`]. Out: its [`CaseResult`]. A run that the machine kept from its load is run again, a bounded number of
//! times; what is still undecided then is told as that.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::RwLock;

use super::expected::busy;
use super::{Audience, Case, SelftestError, rounded, scenarios};
use crate::backends::UpError;
use crate::plan::{Given, Plan, Reach};
use crate::proven::{CaseResult, Kind, Outcome};
use crate::rejudge;
use crate::report::RunReport;
use crate::run::{self, Place, Ran, RunError};
use crate::scenario::{Overrides, Scenario};
use crate::stop::Stop;
use crate::watch::Watch;

/// Runs of one case, where the machine was busy.
const TRIES: u32 = 3;
const SEED: u64 = 1;

/// What every lane works with.
pub(super) struct Desk {
    pub place: Place,
    /// Of the selftest's own runs.
    pub reports: PathBuf,
    pub audience: Rc<dyn Audience>,
    pub stop: Stop,
    /// Held shared by most runs, and by one that must be alone for itself.
    pub machine: RwLock<()>,
}

/// What a try came to.
struct Tried {
    report: RunReport,
    folder: PathBuf,
}

impl Desk {
    /// `number` makes its keys its own.
    pub async fn play(&self, case: &'static Case, number: usize) -> Result<CaseResult, SelftestError> {
        let began = Instant::now();
        self.audience.begins(case);
        let plan = plan(case, number)?;
        let mut runs = 1;
        let mut tried = self.run_once_up(case, &plan, &mut runs).await?;
        while let (Err(_), Some(why), true) = (case.expected.met(&tried.report), busy(&tried.report), runs < TRIES) {
            self.audience.again(case, &why);
            runs += 1;
            tried = self.run_once_up(case, &plan, &mut runs).await?;
        }
        let judged = judged(case, &tried.report);
        let result = CaseResult {
            name: case.name.to_owned(),
            kind: case.kind,
            scenario: case.scenario.to_owned(),
            reach: Reach::of(&plan).judged_only_by(&case.expected.judges()),
            expected: case.expected.words(),
            got: judged.1,
            outcome: judged.0,
            took: rounded(began.elapsed()),
            runs,
            folder: self.keep_if_wanted(judged.0, &tried.folder),
        };
        self.audience.ended(&result);
        Ok(result)
    }

    /// A target that does not come up in time on a busy machine is brought up again, as often as a run is tried.
    async fn run_once_up(&self, case: &Case, plan: &Plan, runs: &mut u32) -> Result<Tried, SelftestError> {
        loop {
            match self.run(case, plan).await {
                Err(SelftestError::Run { source: source @ RunError::Up(UpError::Start { .. }), .. })
                    if *runs < TRIES =>
                {
                    self.audience.again(case, &source.to_string());
                    *runs += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn run(&self, case: &Case, plan: &Plan) -> Result<Tried, SelftestError> {
        match case.alone {
            true => {
                let _machine = self.machine.write().await;
                self.run_now(case, plan).await
            }
            false => {
                let _machine = self.machine.read().await;
                self.run_now(case, plan).await
            }
        }
    }

    async fn run_now(&self, case: &Case, plan: &Plan) -> Result<Tried, SelftestError> {
        let place = Place { reports: self.reports.clone(), ..self.place.clone() };
        let ran = run::run(plan.clone(), &place, &Quiet, &self.stop).await;
        if self.stop.interrupt.is_cancelled() {
            return Err(SelftestError::Interrupted);
        }
        let Ran { report, folder } = ran.map_err(|source| SelftestError::Run { case: case.name.to_owned(), source })?;
        let failed = |why: String| SelftestError::Tamper { case: case.name.to_owned(), why };
        let report = match case.tampered {
            None => report,
            Some(tamper) => {
                tamper(&folder).map_err(|e| failed(e.to_string()))?;
                rejudge::judge(&folder).map_err(|e| failed(e.to_string()))?
            }
        };
        Ok(Tried { report, folder })
    }

    /// What is as expected needs no folder.
    fn keep_if_wanted(&self, outcome: Outcome, folder: &Path) -> Option<PathBuf> {
        if outcome == Outcome::AsExpected && std::fs::remove_dir_all(folder).is_ok() {
            return None;
        }
        Some(folder.to_owned())
    }
}

fn judged(case: &Case, report: &RunReport) -> (Outcome, String) {
    match (case.expected.met(report), busy(report)) {
        (Ok(got), _) => (Outcome::AsExpected, got),
        (Err(got), Some(why)) => (Outcome::Undecided, format!("{got} ({why})")),
        (Err(got), None) if case.kind == Kind::Twin => (Outcome::FalseAlarm, got),
        (Err(got), None) => (Outcome::Missed, got),
    }
}

fn plan(case: &Case, number: usize) -> Result<Plan, SelftestError> {
    let mut flags = Overrides::default();
    flags.target.strategy = flags.read("--strategy", case.strategy);
    flags.target.persistence = flags.read("--persistence", case.persistence);
    flags.target.appendfsync = flags.read("--appendfsync", case.appendfsync);
    let given = Given { run_number: 1 + number as u32, seed: SEED };
    let scenario = Scenario::read(&scenarios::source(case.scenario));
    let mut plan = Plan::resolve(scenario, flags, given)
        .map_err(|problems| SelftestError::Scenario { case: case.name.to_owned(), problems })?;
    plan.target.seeded_bug = case.bug.map(str::to_owned);
    plan.sabotage = case.sabotage;
    Ok(plan)
}

/// The selftest tells of cases, not of seconds.
struct Quiet;

#[async_trait]
impl Watch for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::ZOO;

    #[test]
    fn every_case_resolves_with_its_bug_and_its_strategy() {
        for (number, case) in ZOO.iter().enumerate() {
            let plan = plan(case, number).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(plan.target.seeded_bug.as_deref(), case.bug);
            assert_eq!(case.sabotage.and_then(|sabotage| sabotage.spoils_nothing_of(&plan)), None, "{}", case.name);
            assert!(case.strategy.is_none_or(|strategy| strategy == plan.target.strategy.word()));
            assert!(plan.load.duration().as_secs() <= 15, "{}: short", case.name);
            for check in case.expected.judges() {
                assert!(
                    ["broker", "attempts"].contains(&check) || Reach::of(&plan).judged_by.contains(check),
                    "{}: {check}",
                    case.name
                );
            }
        }
    }
}
