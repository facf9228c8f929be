//! A run from inside the test's own process, so that a watch can act behind its back.

use std::path::PathBuf;

use jiff::Timestamp;
use mxctl::archive::{Archive, Environment};
use mxctl::journal::{Entry, Found};
use mxctl::plan::{Given, Plan};
use mxctl::process::ProcessIdentity;
use mxctl::run::{self, Place, Ran};
use mxctl::scenario::{Overrides, Scenario, Source};
use mxctl::stop::Stop;
use mxctl::watch::Watch;

use super::{Lab, MXCTL, assert_nothing_is_left};

/// What a scenario means, as run number 7.
pub fn plan(lab: &Lab, yaml: &str) -> Plan {
    let source = Source::load(&lab.scenario("scenario", yaml)).expect("a readable file");
    let given = Given { run_number: 7, seed: 1 };
    Plan::resolve(Scenario::read(&source), Overrides::default(), given).expect("a sound scenario")
}

/// Runs a plan to its end. Whatever was done to it, it leaves nothing behind.
pub async fn run(lab: &Lab, plan: Plan, watch: &dyn Watch) -> Ran {
    let environment = Environment::gather(Timestamp::now(), std::iter::empty());
    let place = Place { executable: MXCTL.into(), reports: lab.reports(), environment };
    let ran = run::run(plan, &place, watch, &Stop::new()).await.expect("the run ends");
    assert_nothing_is_left(lab.folder());
    ran
}

/// The folder of the one run that a laboratory has.
pub fn folder(lab: &Lab) -> PathBuf {
    let runs = Archive::runs(&lab.reports()).expect("a reports folder");
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.into_iter().next().expect("one run")
}

/// A process that the run started under this name, by its journal.
pub fn process(lab: &Lab, wanted: &str) -> ProcessIdentity {
    let journal = Found::read(&folder(lab)).expect("a readable journal").expect("a run under way has a journal");
    let started = journal.entries.iter().find_map(|entry| match entry {
        Entry::Started { name, process } if name == wanted => Some(*process),
        _ => None,
    });
    started.unwrap_or_else(|| panic!("no {wanted} in {journal:#?}"))
}
