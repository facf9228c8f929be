//! From a scenario to a plan: every default filled in, every word given its meaning, every contradiction found.
//!
//! In: a [`Scenario`] as it was read, what flags lay over it, and what the caller knows. Out: the [`Plan`], or every
//! problem at once, those of reading included. Pure: the same input gives an equal plan, byte by byte as JSON.
//!
//! The parts stand in `resolve/`, one noun a file. Each takes its part of the scenario, notes what it finds in
//! [`Remarks`] and goes on with a default, so that the next part can be looked at too.

mod clocks;
mod database;
mod defaults;
mod disturbances;
mod filled;
mod gates;
mod in_process;
mod kept;
mod load;
mod scale;
mod schema;
mod settle;
mod shape;
mod stops;
mod target;
mod timeline;
mod words;

use crate::scenario::{Count, Entry, Overrides, Place, Problem, Problems, Scenario};

use super::{Lab, Plan, RunKey, StepPlan, Subject};
use database::Consent;
pub use defaults::Defaults;
pub use kept::KeptTarget;
pub use schema::scenario_schema;

/// What the caller knows and the scenario does not say. `--run-number` and `--seed` replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    pub run_number: u32,
    pub seed: u64,
}

impl Plan {
    /// What a scenario means, on a lab that the run brings up for itself.
    pub fn resolve(scenario: Scenario, overrides: Overrides, given: Given) -> Result<Plan, Problems> {
        resolve(scenario, overrides, given, Wanted::Own)
    }

    /// What it means for a lab that is to stay when the command is over.
    pub fn resolve_to_keep(scenario: Scenario, overrides: Overrides, given: Given) -> Result<Plan, Problems> {
        resolve(scenario, overrides, given, Wanted::ToKeep)
    }

    /// What it means on a lab that is up already: the target is what it is.
    pub fn resolve_on(
        lab: &KeptTarget,
        scenario: Scenario,
        overrides: Overrides,
        given: Given,
    ) -> Result<Plan, Problems> {
        resolve(scenario, overrides, given, Wanted::Kept(lab))
    }
}

/// The lab that a plan is for.
enum Wanted<'a> {
    /// One that the run brings up and takes down.
    Own,
    /// One that comes up now, and stays.
    ToKeep,
    /// One that is up already.
    Kept(&'a KeptTarget),
}

fn resolve(scenario: Scenario, overrides: Overrides, given: Given, wanted: Wanted<'_>) -> Result<Plan, Problems> {
    let (run_number, seed) = (overrides.run_number.clone(), overrides.seed.clone());
    let (own, flags) = (scenario.target.clone(), overrides.target.clone());
    let mut scenario = scenario.overlaid(overrides);
    let mut remarks = Remarks { problems: scenario.problems.clone(), notes: Vec::new() };
    let defaults = Defaults::of(&scenario);

    let name = name(&scenario, &mut remarks);
    let run = run_key(&run_number, &seed, given, &mut remarks);
    let allowed = std::mem::take(&mut scenario.allow);
    let consent = Consent(&allowed);
    let (lab, mut target) = match wanted {
        Wanted::Own => (Lab::Own, target::resolve(&scenario.target, &defaults, &consent, &mut remarks)),
        Wanted::ToKeep => {
            let target = target::resolve(&scenario.target, &defaults, &consent, &mut remarks);
            in_process::refuse_lab(&scenario.target, &target, &mut remarks);
            (Lab::Own, target)
        }
        Wanted::Kept(kept) => {
            // What it says of its target is compared with the lab, and then no longer counts.
            scenario.target = crate::scenario::Target::default();
            kept::resolve(kept, &own, &flags, &defaults, &consent, &mut remarks)
        }
    };
    in_process::note(target.backend, &mut remarks);
    in_process::refuse_existing(&scenario.target, &target, &mut remarks);
    let load = load::resolve(&scenario.load, target.strategy, run, &defaults, &mut remarks);
    let timeline = timeline::resolve(&scenario, (&lab, &target), &load, &mut remarks);
    target.redis.proxied = disturbances::need(Subject::Redis, &timeline.steps, |sheet| sheet.proxied);
    target.redis.replicated = disturbances::need(Subject::Redis, &timeline.steps, |sheet| sheet.replica);
    target.database_setup = disturbances::database_setup(&timeline.steps, &load, &target);
    let settle = settle::resolve(&scenario, &target.worker, &mut remarks);
    let (claims, gates) = gates::resolve(&scenario, &timeline, &mut remarks);

    Problems::check(remarks.problems)?;
    let timeline = timeline.steps;
    let (notes, require_selftest, sabotage) = (remarks.notes, false, None);
    let url = None;
    Ok(Plan { name, run, lab, url, target, load, timeline, settle, claims, gates, notes, require_selftest, sabotage })
}

/// The steps that are left, and whether all that was written is in them: if not, nothing is concluded from a gap.
struct Timeline {
    steps: Vec<StepPlan>,
    whole: bool,
}

/// What is found on the way: problems, which end in no plan, and notes, which the plan carries.
struct Remarks {
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Remarks {
    fn problem(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(place, message, help));
    }

    fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// A whole number within its bounds.
    fn count(&mut self, what: &str, entry: &Entry<Count>, bounds: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        let Some(given) = entry.given() else { return default };
        let number = given.value.0;
        if bounds.contains(&number) {
            return number;
        }
        let (least, most) = bounds.into_inner();
        let help = format!("write a number from {least} to {most}");
        self.problem(&given.place, format!("{number} {what} cannot be"), help);
        default
    }
}

/// It names the run's folder.
fn name(scenario: &Scenario, remarks: &mut Remarks) -> String {
    let Some(given) = scenario.name.given() else { return scenario.stem.clone() };
    let name = &given.value.0;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > 64 || !name.chars().all(fits) || name.starts_with('.') {
        let help = "write letters, digits, `-`, `_` and `.`, at most 64 of them, such as `rolling-update-v5`";
        remarks.problem(&given.place, format!("the name `{name}` cannot name a folder"), help);
    }
    name.clone()
}

fn run_key(number: &Entry<Count>, seed: &Entry<Count>, given: Given, remarks: &mut Remarks) -> RunKey {
    let seed = seed.given().map_or(given.seed, |s| s.value.0);
    let asked = number.given().map_or(u64::from(given.run_number), |n| n.value.0);
    let flag = Place::Named("--run-number".to_owned());
    let place = number.place().unwrap_or(&flag);
    match u32::try_from(asked) {
        Ok(number @ 1..=0x7fff_ffff) => RunKey { number, seed },
        _ => {
            // Keys are `number << 32 | index`, and a key must fit a signed 64-bit column.
            let help = "write a number from 1 to 2147483647";
            remarks.problem(place, format!("the run number {asked} gives keys that fit no column"), help);
            RunKey { number: 1, seed }
        }
    }
}
