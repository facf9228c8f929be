//! The disturbance of a step: what it can be done to, how long it lasts, and what must be seen around it.

use std::time::Duration;

use crate::disturbance::Sheet;
use crate::plan::{
    Database, DatabaseSetup, Disturbance, DisturbancePlan, Lab, LoadPlan, StepKind, StepPlan, Subject, TargetPlan,
};
use crate::scenario::{Place, Step, StepFields};

use super::Remarks;
use super::defaults::HOLD_WITHIN;
use super::stops::window;
use super::target::period;
use super::timeline::{Around, Asked};
use super::words::DATABASES;

/// `None`: there is nothing that it could strike; [`refuse_what_cannot_be_struck`] has said so.
pub fn resolve(
    asked: &Asked<'_>,
    disturbance: Disturbance,
    around: &Around<'_>,
    remarks: &mut Remarks,
) -> Option<DisturbancePlan> {
    let (fields, sheet) = (asked.fields, disturbance.sheet());
    let (window, window_acks_min) = window(fields, around, remarks);
    let plan = DisturbancePlan {
        id: asked.id.clone(),
        disturbance,
        lasts: sheet.lasts.map_or(Duration::ZERO, |default| period(&fields.lasts, default)),
        delay: sheet.delay.map_or(Duration::ZERO, |default| period(&fields.delay, default)),
        hold_within: HOLD_WITHIN,
        window,
        window_acks_min,
    };
    let there = match sheet.subject {
        Subject::Redis => around.target.strategy.shared(),
        Subject::Database => around.target.existing.is_none() && fits(disturbance, around.target.database),
    };
    if there && sheet.in_a_room {
        let id = &asked.id;
        remarks.note(format!("{id} takes root: the database is in a small file system that mxctl mounts for the run"));
    }
    (there && matches!(around.lab, Lab::Own)).then_some(plan)
}

/// Whether it can be done to such a database.
fn fits(disturbance: Disturbance, database: Database) -> bool {
    disturbance.sheet().databases.contains(&database.word())
}

/// Whether the step is meant for other databases than this one.
fn is_for_others(fields: &StepFields, database: Database, remarks: &mut Remarks) -> bool {
    let meant = fields.databases.given().map(|given| &given.value[..]);
    meant.is_some_and(|words| !DATABASES.contains(words, database, remarks))
}

/// A step that says for which databases it is meant is left out with every other one.
pub fn is_left_out(asked: &Asked<'_>, around: &Around<'_>, remarks: &mut Remarks) -> bool {
    let StepKind::Disturb(_) = asked.kind else { return false };
    let left_out = is_for_others(asked.fields, around.target.database, remarks);
    if left_out {
        remarks.note(format!("{} is left out: it is not meant for {}", asked.id, around.target.database.name()));
    }
    left_out
}

pub fn refuse_what_cannot_be_struck(steps: &[Step], around: &Around<'_>, remarks: &mut Remarks) {
    refuse_redis(steps, around, remarks);
    for (disturbance, fields) in steps.iter().filter_map(disturbing) {
        if disturbance.subject() == Subject::Database {
            refuse_database(disturbance, fields, around, remarks);
        }
    }
}

fn disturbing(step: &Step) -> Option<(Disturbance, &StepFields)> {
    match step {
        Step::Disturb(disturbance, fields) => Some((*disturbance, fields)),
        _ => None,
    }
}

/// Why what a lab that stays stands on is not struck: what a killed run did to it, nobody would undo.
const RIGHTS_NO_SERVER: &str = "who puts instances right after a run, and no server";

/// One problem for all of them: there is no Redis, or it is not the run's own.
fn refuse_redis(steps: &[Step], around: &Around<'_>, remarks: &mut Remarks) {
    let of_redis = steps.iter().filter_map(disturbing).filter(|(one, _)| one.subject() == Subject::Redis);
    let all: Vec<(&str, Place)> = of_redis.map(|(one, fields)| (one.word(), fields.place.clone())).collect();
    let Some(((word, place), others)) = all.split_first() else { return };
    let strikes = match others.len() {
        0 => format!("`{word}` strikes Redis"),
        n => format!("`{word}` and {n} more steps strike Redis"),
    };
    match (around.target.strategy, around.lab) {
        (strategy, _) if !strategy.shared() => {
            let message = format!("{strikes}, and with strategy {} there is none", strategy.word());
            remarks.problem(place, message, "choose `--strategy redis`, or leave them out");
        }
        (_, Lab::Kept { name, .. }) => {
            let message = format!("{strikes}, and that of the lab `{name}` is its keeper's, {RIGHTS_NO_SERVER}");
            let help = "leave `--attach` out: a run that brings up its own lab may strike its Redis";
            remarks.problem(place, message, help);
        }
        (_, Lab::Own) => {}
    }
}

/// It is not the run's own, or nothing of the kind can be done to it.
fn refuse_database(disturbance: Disturbance, fields: &StepFields, around: &Around<'_>, remarks: &mut Remarks) {
    let (word, place, database) = (disturbance.word(), &fields.place, around.target.database);
    let strikes = format!("`{word}` strikes the database");
    if let Lab::Kept { name, .. } = around.lab {
        let help = "leave `--attach` out: a run that brings up its own lab may strike its database";
        let message = format!("{strikes}, and that of the lab `{name}` is its keeper's, {RIGHTS_NO_SERVER}");
        remarks.problem(place, message, help);
        return;
    }
    // What its words mean is said where the step is resolved.
    let mut unsaid = Remarks { problems: Vec::new(), notes: Vec::new() };
    if is_for_others(fields, database, &mut unsaid) {
        return;
    }
    if let Some(url) = &around.target.existing {
        let help = "leave the URL out: a run that makes its own database may strike it";
        remarks.problem(place, format!("{strikes}, and {url} is somebody else's"), help);
    } else if !fits(disturbance, database) {
        let words = disturbance.sheet().databases;
        let those = words.iter().map(|word| format!("`--database {word}`")).collect::<Vec<_>>().join(" or ");
        let message = format!("`{word}` cannot be done to {}", database.name());
        let list = words.join(", ");
        let help = format!("choose {those}, or write `database: [{list}]` in the step: it is then left out elsewhere");
        remarks.problem(place, message, help);
    }
}

fn planned(steps: &[StepPlan]) -> impl Iterator<Item = Disturbance> {
    steps.iter().filter_map(|step| step.disturbance.as_ref()).map(|planned| planned.disturbance)
}

/// Whether some step needs of what it strikes what its sheet says.
pub fn need(subject: Subject, steps: &[StepPlan], what: fn(&Sheet) -> bool) -> bool {
    planned(steps).any(|disturbance| disturbance.subject() == subject && what(disturbance.sheet()))
}

/// In a room, beside what the load writes: an empty database, and what its logs may take for a while.
fn room_of_an_empty(database: Database) -> u64 {
    match database {
        Database::Sqlite => 32 << 20,
        Database::Postgres | Database::MariaDb => 128 << 20,
    }
}

/// An operation's rows and sightings. SQLite has them in its write-ahead log once more; a server has indexes on both,
/// and what it keeps of earlier versions.
fn room_of_an_operation(database: Database) -> u64 {
    match database {
        Database::Sqlite => 3 * 2 * (120 + 60),
        Database::Postgres | Database::MariaDb => 3 * 512,
    }
}

/// What the time line needs around the database.
pub fn database_setup(steps: &[StepPlan], load: &LoadPlan, target: &TargetPlan) -> DatabaseSetup {
    let proxied = need(Subject::Database, steps, |sheet| sheet.proxied);
    let in_a_room = target.existing.is_none() && planned(steps).any(|disturbance| disturbance.sheet().in_a_room);
    if !in_a_room {
        return DatabaseSetup { proxied, ..DatabaseSetup::default() };
    }
    let operations = load.shape.operations_between(Duration::ZERO, load.duration()).ceil() as u64;
    let load_bytes = operations * room_of_an_operation(target.database);
    DatabaseSetup { proxied, room_bytes: room_of_an_empty(target.database) + load_bytes, load_bytes }
}
