//! What this generator is to reach, beside what it reached.
//!
//! # Why the ledger is on
//! Whatever judges runs with it, so its cost is inside the figures that are compared; only the fastest pace, a closed
//! loop, has none.

use serde::{Deserialize, Serialize};

use super::Compared;
use super::case::TRUTH;
use super::figures::Figures;
use super::tools::{LEDGER, NO_LEDGER};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    pub about: String,
    /// `None`: it was not measured here.
    pub reached: Option<f64>,
    pub unit: Unit,
    pub bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Times,
    /// A share of one.
    Share,
    Megabytes,
    Milliseconds,
    /// A number, as it is.
    Plain,
}

/// The goal, and beyond what it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtMost { goal: f64, fails: f64 },
    AtLeast { goal: f64, fails: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// Short of the goal, and not beyond the limit.
    Missed,
    Fails,
    NotMeasured,
}

impl Goal {
    pub fn outcome(&self) -> Outcome {
        let Some(reached) = self.reached else { return Outcome::NotMeasured };
        let (goal, fails) = match self.bound {
            Bound::AtMost { goal, fails } => (reached <= goal, reached > fails),
            Bound::AtLeast { goal, fails } => (reached >= goal, reached < fails),
        };
        match (goal, fails) {
            (true, _) => Outcome::Ok,
            (false, false) => Outcome::Missed,
            // What is no number has reached nothing.
            (false, true) => Outcome::Fails,
        }
    }
}

fn at_most(about: impl Into<String>, reached: Option<f64>, unit: Unit, [goal, fails]: [f64; 2]) -> Goal {
    Goal { about: about.into(), reached, unit, bound: Bound::AtMost { goal, fails } }
}

fn at_least(about: impl Into<String>, reached: Option<f64>, unit: Unit, [goal, fails]: [f64; 2]) -> Goal {
    Goal { about: about.into(), reached, unit, bound: Bound::AtLeast { goal, fails } }
}

/// All of them, also those that were not measured.
pub fn goals(compared: &Compared) -> Vec<Goal> {
    let mut goals = cpu(compared);
    goals.extend(fastest(compared));
    goals.extend(at_5k(compared));
    goals.push(memory(compared));
    goals.extend(truth(compared));
    goals
}

fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(one? / other?).filter(|ratio| ratio.is_finite())
}

fn cpu(compared: &Compared) -> Vec<Goal> {
    let cpu = |case: &str, tool: &str| compared.figures(case, tool).cpu_seconds_per_million;
    let against = |case: &str, peer: &str, bounds| {
        let about = format!("CPU per request at {case}, against {peer}");
        at_most(about, ratio(cpu(case, LEDGER), cpu(case, peer)), Unit::Times, bounds)
    };
    let ledger = ratio(cpu("5k", LEDGER), cpu("5k", NO_LEDGER)).map(|ratio| ratio - 1.0);
    vec![
        against("20k", "wrk2", [1.0, 1.15]),
        against("5k", "wrk2", [1.15, 1.3]),
        against("5k", "oha", [0.70, 0.85]),
        against("5k", "vegeta", [0.40, 0.5]),
        at_most("cost of the ledger at 5k, in CPU", ledger, Unit::Share, [0.10, 0.20]),
    ]
}

fn fastest(compared: &Compared) -> Vec<Goal> {
    let rate = |tool: &str| compared.figures("max", tool).requests_per_second;
    let against = |peer: &str, bounds| {
        at_least(format!("requests/s at most, against {peer}"), ratio(rate(NO_LEDGER), rate(peer)), Unit::Times, bounds)
    };
    vec![against("wrk2", [0.95, 0.85]), against("oha", [1.4, 1.2])]
}

fn at_5k(compared: &Compared) -> Vec<Goal> {
    let figures = compared.figures("5k", LEDGER);
    let off = figures.requests_per_second.map(|rate| (rate / 5000.0 - 1.0).abs());
    vec![
        at_most("rate kept at 5k, off by", off, Unit::Share, [0.001, 0.005]),
        at_most("variance/mean of arrivals per ms at 5k", figures.variance_to_mean_per_ms, Unit::Plain, [1.5, 3.0]),
        at_most("own lag p99 at 5k", figures.own_lag_p99_ms, Unit::Milliseconds, [1.2, 2.0]),
    ]
}

fn memory(compared: &Compared) -> Goal {
    let tools = [LEDGER, NO_LEDGER];
    let figures = compared.cases().into_iter().flat_map(|case| tools.map(|tool| compared.figures(case, tool)));
    let peak = figures.filter_map(|figures| figures.peak_rss_bytes).reduce(f64::max);
    at_most("peak RSS, in any case", peak.map(|bytes| bytes / 1e6), Unit::Megabytes, [15.0, 30.0])
}

fn truth(compared: &Compared) -> Vec<Goal> {
    let each = TRUTH.map(|case| {
        let truth = case.truth();
        let off = worst_off(&compared.figures(case.name, LEDGER), [truth.p99, truth.p999, truth.max]);
        at_most(format!("{}: furthest from the truth", case.name), off, Unit::Share, [0.03, 0.05])
    });
    each.into()
}

/// How far off p99, p99.9 and the maximum are: a share of the truth, below zero where too little is told.
pub fn off(figures: &Figures, truth: [f64; 3]) -> [Option<f64>; 3] {
    let told = [figures.p99_ms, figures.p999_ms, figures.max_ms];
    [0, 1, 2].map(|i| told[i].map(|told| told / truth[i] - 1.0))
}

/// `None` where one of them is not told: a third of the truth is none.
fn worst_off(figures: &Figures, truth: [f64; 3]) -> Option<f64> {
    off(figures, truth).into_iter().try_fold(0.0, |worst: f64, off| Some(worst.max(off?.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::canned::compared;

    fn outcome(bound: Bound, reached: f64) -> Outcome {
        Goal { about: String::new(), reached: Some(reached), unit: Unit::Plain, bound }.outcome()
    }

    #[test]
    fn between_the_goal_and_the_limit_it_is_missed() {
        let most = Bound::AtMost { goal: 1.0, fails: 2.0 };
        assert_eq!(
            [1.0, 1.5, 2.0].map(|reached| outcome(most, reached)),
            [Outcome::Ok, Outcome::Missed, Outcome::Missed]
        );
        assert_eq!(outcome(most, 2.1), Outcome::Fails);
        let least = Bound::AtLeast { goal: 2.0, fails: 1.0 };
        assert_eq!(
            [2.0, 1.0, 0.9].map(|reached| outcome(least, reached)),
            [Outcome::Ok, Outcome::Missed, Outcome::Fails]
        );
    }

    #[test]
    fn what_nobody_measured_is_reached_by_nobody() {
        let goals = goals(&Compared { runs: Vec::new() });
        assert!(goals.iter().all(|goal| goal.outcome() == Outcome::NotMeasured), "{goals:#?}");
        assert_eq!(goals.len(), 14);
    }

    #[test]
    fn each_goal_is_held_against_its_own_figures() {
        let goals = goals(&compared());
        let reached = |goal: &Goal| goal.reached.map_or_else(|| "–".to_owned(), |reached| format!("{reached:.4}"));
        let told = goals.iter().map(|goal| format!("{} {} {:?}", goal.about, reached(goal), goal.outcome()));
        insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_tool_that_says_no_p999_is_not_near_the_truth() {
        let figures = Figures { p99_ms: Some(792.0), max_ms: Some(1000.0), ..Figures::default() };
        let off = off(&figures, [800.0, 980.0, 1000.0]);
        assert!((off[0].unwrap() + 0.01).abs() < 1e-9 && off[1].is_none() && off[2] == Some(0.0), "{off:?}");
        assert_eq!(worst_off(&figures, [800.0, 980.0, 1000.0]), None);
    }
}
