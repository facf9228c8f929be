//! Disturbances as a table: what each cost, and how it ended.

use super::figures::{dash, hundredths, seconds, thousands};
use super::scaling::Title;
use crate::checks::{DisturbanceJudgement, Judgement};

pub const TITLES: [Title; 9] = [
    ("disturbance", false),
    ("at", true),
    ("lasted", true),
    ("at stake", true),
    ("refused", true),
    ("unknown", true),
    ("in band after", true),
    ("broken", true),
    ("verdict", false),
];

pub fn rows(judgement: &Judgement) -> Vec<[String; 9]> {
    judgement.disturbances.iter().map(cells).collect()
}

fn cells(one: &DisturbanceJudgement) -> [String; 9] {
    [
        one.id.clone(),
        one.at.map_or_else(dash, |at| seconds(at.as_duration())),
        one.lasted.map_or_else(dash, seconds),
        one.exposure.map_or_else(|| "not read".to_owned(), |tasks| format!("{} tasks", thousands(tasks))),
        thousands(one.cost.refused),
        thousands(one.cost.unknown),
        one.recovery.map_or_else(dash, |s| format!("{} s", hundredths(s))),
        one.broken.map_or_else(|| "void".to_owned(), thousands),
        one.verdict.word().to_owned(),
    ]
}
