//! The target's part of a plan whose lab is up already: it is what it is.
//!
//! In: the lab's target, and what the scenario and the flags say of theirs. Out: the lab's target. A flag that says
//! otherwise is a problem, since somebody asked for it just now; what the scenario says otherwise is a note.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::plan::{Lab, Role, TargetPlan};
use crate::scenario::{Entry, Located, Period, Place, Target, Word};

use super::database::Consent;
use super::{Defaults, Remarks, target};

/// A lab that is up.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTarget {
    pub name: String,
    pub folder: PathBuf,
    pub target: TargetPlan,
}

pub fn resolve(
    lab: &KeptTarget,
    scenario: &Target,
    flags: &Target,
    defaults: &Defaults,
    consent: &Consent<'_>,
    remarks: &mut Remarks,
) -> (Lab, TargetPlan) {
    let KeptTarget { name, folder, target } = lab;
    remarks.note(format!("the run works on the lab `{name}` in {}, and leaves it up", folder.display()));
    for Said { place, key, asked, is } in otherwise(target, flags, defaults, consent, remarks) {
        let message = format!("{asked} contradicts the lab `{name}`, where {key} is {is}");
        let help = "leave it out, or bring up a lab that fits with `mxctl testbed up --name …`";
        remarks.problem(&place, message, help);
    }
    for Said { key, asked, is, .. } in otherwise(target, scenario, defaults, consent, remarks) {
        remarks.note(format!("{key}: the scenario says {asked}; the lab `{name}` has {is}, and that counts"));
    }
    (Lab::Kept { name: name.clone(), folder: folder.clone() }, target.clone())
}

/// A value that somebody wrote, where the lab has another.
struct Said {
    place: Place,
    key: &'static str,
    asked: String,
    is: String,
}

/// A key of a target: where it was written, and its value in a plan.
type Field = (&'static str, fn(&Target) -> Option<&Place>, fn(&TargetPlan) -> String);

const FIELDS: [Field; 15] = [
    ("backend", |t| t.backend.place(), |p| word(&p.backend)),
    ("strategy", |t| t.strategy.place(), |p| word(&p.strategy)),
    ("instances", |t| t.instances.place(), |p| count(p, |role| role.answers_requests())),
    ("workers", |t| t.workers.place(), |p| count(p, |role| role == Role::Worker)),
    ("database", |t| t.database.place(), database),
    ("batch", |t| t.batch.place(), |p| word(&p.worker.batch)),
    ("flush_interval", |t| t.flush_interval.place(), |p| Period(p.worker.flush_interval).to_string()),
    ("lease", |t| t.lease.place(), |p| Period(p.worker.lease).to_string()),
    ("redrive_scan", |t| t.redrive_scan.place(), |p| Period(p.worker.redrive_scan).to_string()),
    ("max_attempts", |t| t.max_attempts.place(), |p| word(&p.worker.max_attempts)),
    ("witness", |t| t.witness.place(), |p| word(&p.witness)),
    ("appendfsync", |t| t.appendfsync.place(), |p| p.redis.appendfsync.clone()),
    ("persistence", |t| t.persistence.place(), |p| word(&p.redis.persistence)),
    ("grace", |t| t.grace.place(), |p| Period(p.grace).to_string()),
    ("clock_offset", |t| t.clock_offset.place(), |p| p.clocks_in_words().unwrap_or_else(|| "none".to_owned())),
];

/// What somebody wrote of a target that is not the lab's. What means nothing at all is a problem, as ever.
fn otherwise(
    lab: &TargetPlan,
    written: &Target,
    defaults: &Defaults,
    consent: &Consent<'_>,
    remarks: &mut Remarks,
) -> Vec<Said> {
    let mut found = Remarks { problems: Vec::new(), notes: Vec::new() };
    let asked = target::resolve(&on(lab, written), defaults, consent, &mut found);
    if !found.problems.is_empty() {
        remarks.problems.extend(found.problems);
        return Vec::new();
    }
    let written =
        FIELDS.iter().filter_map(|(key, place, value)| Some((key, place(written)?, value(&asked), value(lab))));
    let differ = written.filter(|(_, _, asked, is)| asked != is);
    differ.map(|(key, place, asked, is)| Said { place: place.clone(), key, asked, is }).collect()
}

/// What was written, with the lab's values where one is needed to understand another.
fn on(lab: &TargetPlan, written: &Target) -> Target {
    fn lab_s<T>(value: T) -> Entry<T> {
        Entry::Given(Located { value, place: Place::Named("--attach".to_owned()) })
    }
    let written = written.clone();
    Target {
        strategy: written.strategy.or(lab_s(Word(lab.strategy.word().to_owned()))),
        lease: written.lease.or(lab_s(Period(lab.worker.lease))),
        flush_interval: written.flush_interval.or(lab_s(Period(lab.worker.flush_interval))),
        ..written
    }
}

/// Its word, or where it is.
fn database(plan: &TargetPlan) -> String {
    plan.existing.as_ref().map_or_else(|| word(&plan.database), ToString::to_string)
}

fn count(plan: &TargetPlan, which: fn(Role) -> bool) -> String {
    plan.slots.iter().filter(|slot| which(slot.role)).count().to_string()
}

/// As it is written in a scenario.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value).expect("plain data is JSON") {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Given, Plan};
    use crate::scenario::{Count, Overrides, Problems, Scenario, Source, Written};

    const GIVEN: Given = Given { run_number: 7, seed: 1 };

    /// A lab with Redis, two instances and two workers.
    fn lab() -> KeptTarget {
        let mut flags = Overrides::default();
        flags.target.strategy = flags.read("--strategy", Some("redis"));
        flags.target.instances = flags.read("--instances", Some("2"));
        let plan = Plan::resolve(shipped("loadtest"), flags, GIVEN).unwrap();
        KeptTarget { name: "default".into(), folder: "labs/default".into(), target: plan.target }
    }

    fn shipped(name: &str) -> Scenario {
        Scenario::read(&Source::load(name).unwrap())
    }

    fn with_flag<T: Written>(lay: fn(&mut Target, Entry<T>), name: &str, text: &str) -> Result<Plan, Problems> {
        let mut flags = Overrides::default();
        let entry = flags.read(name, Some(text));
        lay(&mut flags.target, entry);
        Plan::resolve_on(&lab(), shipped("rolling-update"), flags, GIVEN)
    }

    #[test]
    fn the_lab_s_target_counts_and_the_time_line_strikes_its_slots() {
        let plan = Plan::resolve_on(&lab(), shipped("rolling-update"), Overrides::default(), GIVEN).unwrap();
        assert_eq!(plan.target, lab().target);
        assert_eq!(plan.stops().count(), 8, "2 instances and 2 workers, twice");
        let said = "instances: the scenario says 3; the lab `default` has 2, and that counts";
        assert!(plan.notes.iter().any(|note| note == said), "{:?}", plan.notes);
        assert!(matches!(plan.lab, Lab::Kept { .. }));
    }

    #[test]
    fn the_redis_of_a_lab_that_stays_is_not_struck() {
        let refused = Plan::resolve_on(&lab(), shipped("redis-failure"), Overrides::default(), GIVEN).unwrap_err();
        let told = &refused.iter().next().unwrap().message;
        let why = "that of the lab `default` is its keeper's, who puts instances right after a run, and no server";
        assert_eq!(*told, format!("`redis-kill` and 14 more steps strike Redis, and {why}"));
    }

    #[test]
    fn a_flag_that_contradicts_the_lab_is_refused_with_both_values() {
        let refused = with_flag::<Count>(|t, entry| t.instances = entry, "--instances", "3").unwrap_err();
        let told = refused.iter().next().unwrap();
        assert_eq!(told.message, "3 contradicts the lab `default`, where instances is 2");
        assert_eq!(told.place, Place::Named("--instances".into()));
    }

    #[test]
    fn a_flag_that_agrees_with_the_lab_is_no_contradiction() {
        with_flag::<Count>(|t, entry| t.instances = entry, "--instances", "2").unwrap();
        with_flag::<Count>(|t, entry| t.workers = entry, "--workers", "2").unwrap();
        with_flag::<Period>(|t, entry| t.lease = entry, "--lease", "5000ms").unwrap();
    }
}
