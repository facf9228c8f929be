//! Scaling: instances started under load, checkpoints, and the efficiency curve (evidence E1). As tables for the terminal;
//! in Markdown, which must be short, the first two are sentences.

use super::figures::{dash, hundredths, seconds, thousands};
use crate::checks::{CheckpointJudgement, Judgement, Plateau, StartJudgement};

/// A column's title, and whether it is aligned right.
pub type Title = (&'static str, bool);

pub const STARTS: [Title; 7] = [
    ("start", false),
    ("instance", false),
    ("at", true),
    ("backlog", true),
    ("ready after", true),
    ("acks", true),
    ("verdict", false),
];

pub const CHECKPOINTS: [Title; 7] = [
    ("checkpoint of", false),
    ("frozen", false),
    ("at", true),
    ("frozen for", true),
    ("deadline", true),
    ("looked at", true),
    ("not there", false),
];

pub const EFFICIENCY: [Title; 11] = [
    ("from", true),
    ("to", true),
    ("answering", true),
    ("in all", true),
    ("offered/s", true),
    ("acked/s", true),
    ("p50 ms", true),
    ("p99 ms", true),
    ("CPU s/s", true),
    ("CPU s/1,000", true),
    ("efficiency", true),
];

pub const EFFICIENCY_TITLE: &str = "Efficiency (E1)";

/// What the last columns of the curve mean.
pub const EFFICIENCY_NOTE: &str = "CPU: processor time of all instances together, a second and for 1,000 acknowledged \
                                   operations; efficiency: operations for a second of it, relative to the first line";

pub fn starts(judgement: &Judgement) -> Vec<[String; 7]> {
    let cells = |start: &StartJudgement| {
        [
            start.id.clone(),
            start.instance.clone().unwrap_or_else(|| "none".to_owned()),
            start.at.map_or_else(dash, |at| seconds(at.as_duration())),
            start.backlog.map_or_else(|| "not read".to_owned(), thousands),
            start.took.map_or_else(dash, seconds),
            start.acks.map_or_else(dash, thousands),
            start.verdict.word().to_owned(),
        ]
    };
    judgement.starts.iter().map(cells).collect()
}

pub fn checkpoints(judgement: &Judgement) -> Vec<[String; 7]> {
    let cells = |checkpoint: &CheckpointJudgement| {
        [
            checkpoint.stop.clone(),
            checkpoint.victim.clone(),
            seconds(checkpoint.at.as_duration()),
            checkpoint.frozen_for.map_or_else(dash, seconds),
            seconds(checkpoint.deadline),
            thousands(checkpoint.looked_at),
            missing(checkpoint),
        ]
    };
    judgement.checkpoints.iter().map(cells).collect()
}

/// `6 of all-2.1`; a void checkpoint shows no count.
fn missing(checkpoint: &CheckpointJudgement) -> String {
    let of = |(name, count): &(String, u64)| format!("{} of {name}", thousands(*count));
    match (&checkpoint.void, checkpoint.missing.as_slice()) {
        (Some(why), _) => format!("void: {why}"),
        (None, []) => "0".to_owned(),
        (None, missing) => missing.iter().map(of).collect::<Vec<_>>().join(", "),
    }
}

/// `Started under load: all-2.1 at 10.000 s (backlog 60, ready after 0.800 s, PASS).`
pub fn started(judgement: &Judgement) -> String {
    let told = starts(judgement).into_iter().map(|[id, instance, at, backlog, took, _, verdict]| {
        let who = if instance == "none" { format!("{id}: none") } else { instance };
        format!("{who} at {at} (backlog {backlog}, ready after {took}, {verdict})")
    });
    sentence("Started under load", told)
}

/// `Checkpoints: 2:pause/all-2 at 28.200 s, 8.100 s after the freeze, of 1,916 operations not there: 6 of all-2.1.`
pub fn looked(judgement: &Judgement) -> String {
    let told = checkpoints(judgement).into_iter().map(|[stop, _, at, frozen_for, _, looked_at, missing]| {
        format!("{stop} at {at}, {frozen_for} after the freeze, of {looked_at} operations not there: {missing}")
    });
    sentence("Checkpoints", told)
}

/// Nothing of nothing.
fn sentence(what: &str, told: impl Iterator<Item = String>) -> String {
    match told.collect::<Vec<_>>().join("; ") {
        told if told.is_empty() => told,
        told => format!("{what}: {told}."),
    }
}

pub fn efficiency(judgement: &Judgement) -> Vec<[String; 11]> {
    let cells = |plateau: &Plateau| {
        [
            seconds(plateau.from.as_duration()),
            seconds(plateau.to.as_duration()),
            thousands(plateau.answering),
            thousands(plateau.instances),
            hundredths(plateau.offered),
            hundredths(plateau.acked),
            hundredths(plateau.response_ms_p50),
            hundredths(plateau.response_ms_p99),
            plateau.cpu.map_or_else(dash, hundredths),
            plateau.cpu_per_1000.map_or_else(dash, hundredths),
            plateau.efficiency.map_or_else(dash, hundredths),
        ]
    };
    judgement.efficiency.iter().map(cells).collect()
}
