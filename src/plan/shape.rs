//! The shape of a load: its rate over time, as stages one after the other. In each the rate is level, or changes
//! evenly from its first value to its last.
//!
//! In words, which are those of `--shape`: `ramp 100..1500 over 30s, hold 1500 for 1m`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::scenario::Period;

/// Levels that rise or fall by one amount are told as `steps` from this many on.
const STEPS_MIN: usize = 3;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Archived")]
pub struct Shape {
    /// At least one.
    pub stages: Vec<Stage>,
}

/// Operations per second, all lanes together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub from_rps: f64,
    pub to_rps: f64,
    pub lasts: Duration,
}

/// A shape in `plan.json`. The plans of runs before there were shapes have one rate and one duration.
#[derive(Deserialize)]
#[serde(untagged)]
enum Archived {
    Stages { stages: Vec<Stage> },
    Constant { rps: f64, duration: Duration },
}

impl From<Archived> for Shape {
    fn from(archived: Archived) -> Shape {
        match archived {
            Archived::Stages { stages } => Shape { stages },
            Archived::Constant { rps, duration } => Shape::constant(rps, duration),
        }
    }
}

impl Stage {
    pub fn level(rps: f64, lasts: Duration) -> Stage {
        Stage { from_rps: rps, to_rps: rps, lasts }
    }

    pub fn is_level(&self) -> bool {
        self.from_rps == self.to_rps
    }

    /// Operations from its beginning until `after`, which is not beyond its end: the area under the rate.
    pub fn operations_until(&self, after: Duration) -> f64 {
        let (after, lasts) = (after.as_secs_f64(), self.lasts.as_secs_f64());
        let slope = if lasts > 0.0 { (self.to_rps - self.from_rps) / lasts } else { 0.0 };
        self.from_rps * after + slope / 2.0 * after * after
    }

    pub fn operations(&self) -> f64 {
        (self.from_rps + self.to_rps) / 2.0 * self.lasts.as_secs_f64()
    }
}

impl Shape {
    pub fn constant(rps: f64, lasts: Duration) -> Shape {
        Shape { stages: vec![Stage::level(rps, lasts)] }
    }

    pub fn duration(&self) -> Duration {
        self.stages.iter().map(|stage| stage.lasts).sum()
    }

    pub fn peak_rps(&self) -> f64 {
        self.stages.iter().flat_map(|stage| [stage.from_rps, stage.to_rps]).fold(0.0, f64::max)
    }

    pub fn mean_rps(&self) -> f64 {
        match self.stages.as_slice() {
            [only] if only.is_level() => only.from_rps,
            _ => self.operations_between(Duration::ZERO, self.duration()) / self.duration().as_secs_f64(),
        }
    }

    /// The rate at a moment; after the end 0.
    pub fn rps_at(&self, moment: Duration) -> f64 {
        let found = self.spans().find(|(begin, stage)| moment < *begin + stage.lasts);
        found.map_or(0.0, |(begin, stage)| {
            let share = moment.saturating_sub(begin).as_secs_f64() / stage.lasts.as_secs_f64();
            stage.from_rps + (stage.to_rps - stage.from_rps) * share
        })
    }

    /// The area under the rate between two moments: not a whole number, as a rule.
    pub fn operations_between(&self, from: Duration, to: Duration) -> f64 {
        let until = |moment: Duration| -> f64 {
            let reached = |(begin, stage): (Duration, &Stage)| {
                stage.operations_until(moment.saturating_sub(begin).min(stage.lasts))
            };
            self.spans().map(reached).sum()
        };
        (until(to) - until(from)).max(0.0)
    }

    /// From when until when the rate stays what it is; a ramp has no such time.
    pub fn levels(&self) -> Vec<(Duration, Duration)> {
        let mut levels: Vec<(Duration, Duration, f64)> = Vec::new();
        for (begin, stage) in self.spans().filter(|(_, stage)| stage.is_level()) {
            match levels.last_mut() {
                Some((_, end, rps)) if (*end, *rps) == (begin, stage.from_rps) => *end += stage.lasts,
                _ => levels.push((begin, begin + stage.lasts, stage.from_rps)),
            }
        }
        levels.into_iter().map(|(begin, end, _)| (begin, end)).collect()
    }

    /// Each stage, and when it begins.
    pub fn spans(&self) -> impl Iterator<Item = (Duration, &Stage)> {
        self.stages.iter().scan(Duration::ZERO, |next, stage| {
            let begin = *next;
            *next += stage.lasts;
            Some((begin, stage))
        })
    }
}

impl fmt::Display for Shape {
    /// As `--shape` reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut comma) = (self.stages.as_slice(), "");
        while let Some(first) = rest.first() {
            let taken = steps(rest);
            match taken {
                _ if taken >= STEPS_MIN => {
                    let (from, to, by) =
                        (first.from_rps, rest[taken - 1].from_rps, (rest[1].from_rps - first.from_rps).abs());
                    write!(f, "{comma}steps {from}..{to} by {by} every {}", Period(first.lasts))?;
                    rest = &rest[taken..];
                }
                _ => {
                    write!(f, "{comma}{first}")?;
                    rest = &rest[1..];
                }
            }
            comma = ", ";
        }
        Ok(())
    }
}

/// How many of the first stages are levels of one length, each as far from the one before as the second from the
/// first.
fn steps(stages: &[Stage]) -> usize {
    let [first, second, ..] = stages else { return 1 };
    let by = second.from_rps - first.from_rps;
    let follows = |pair: &[Stage]| {
        let level = pair[0].is_level() && pair[1].is_level() && pair[0].lasts == pair[1].lasts;
        level && by != 0.0 && pair[1].from_rps - pair[0].from_rps == by
    };
    1 + stages.windows(2).take_while(|pair| follows(pair)).count()
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stage { from_rps, to_rps, lasts } = *self;
        match self.is_level() {
            true => write!(f, "hold {from_rps} for {}", Period(lasts)),
            false => write!(f, "ramp {from_rps}..{to_rps} over {}", Period(lasts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn ramp(from_rps: f64, to_rps: f64, seconds: u64) -> Stage {
        Stage { from_rps, to_rps, lasts: S(seconds) }
    }

    fn shape() -> Shape {
        let levels = [200.0, 400.0, 600.0].map(|rps| Stage::level(rps, S(10)));
        Shape { stages: [vec![ramp(0.0, 200.0, 20)], levels.to_vec(), vec![ramp(600.0, 100.0, 5)]].concat() }
    }

    #[test]
    fn a_shape_is_told_in_the_words_that_it_is_written_in() {
        let told = "ramp 0..200 over 20s, steps 200..600 by 200 every 10s, ramp 600..100 over 5s";
        assert_eq!(shape().to_string(), told);
        assert_eq!(Shape::constant(800.0, S(60)).to_string(), "hold 800 for 1m");
    }

    #[test]
    fn the_rate_follows_the_stages() {
        let at = |seconds| shape().rps_at(S(seconds));
        assert_eq!([at(0), at(10), at(20), at(49), at(50), at(55)], [0.0, 100.0, 200.0, 600.0, 600.0, 0.0]);
        assert_eq!((shape().peak_rps(), shape().duration()), (600.0, S(55)));
    }

    #[test]
    fn operations_are_the_area_under_the_rate() {
        assert_eq!(shape().operations_between(S(0), S(20)), 2000.0);
        assert_eq!(shape().operations_between(S(10), S(30)), 1500.0 + 2000.0);
        assert_eq!(shape().operations_between(S(50), S(500)), 1750.0);
    }

    #[test]
    fn ramps_are_no_levels_and_equal_neighbours_are_one() {
        assert_eq!(shape().levels(), [(S(20), S(30)), (S(30), S(40)), (S(40), S(50))]);
        let twice = Shape { stages: vec![Stage::level(5.0, S(1)); 2] };
        assert_eq!(twice.levels(), [(S(0), S(2))]);
    }

    #[test]
    fn the_plan_of_an_earlier_run_has_one_level() {
        let archived = r#"{"rps":800.0,"duration":{"secs":60,"nanos":0}}"#;
        assert_eq!(serde_json::from_str::<Shape>(archived).unwrap(), Shape::constant(800.0, S(60)));
        let own = serde_json::to_string(&shape()).unwrap();
        assert_eq!(serde_json::from_str::<Shape>(&own).unwrap(), shape());
    }
}
