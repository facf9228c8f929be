//! What is run: a pace on a server that answers at once, or a truth case on one that stalls.

use std::time::Duration;

use crate::bench::server::{Script, Window};
use crate::bench::truth::{Asked, of_script};
use crate::load::latency::Percentiles;
use crate::scenario::{Written, Wrong};

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Requests a second.
    Rate(u32),
    /// As fast as the connections allow: a closed loop.
    Max,
}

impl Pace {
    /// `5k`, `800`, `max`.
    pub fn name(self) -> String {
        match self {
            Pace::Rate(rps) if rps % 1000 == 0 => format!("{}k", rps / 1000),
            Pace::Rate(rps) => rps.to_string(),
            Pace::Max => "max".to_owned(),
        }
    }
}

impl Written for Pace {
    const EXAMPLE: &'static str = "5k";

    fn read(text: &str) -> Result<Self, Wrong> {
        let (digits, unit) = text.strip_suffix('k').map_or((text, 1), |digits| (digits, 1000));
        match digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit)) {
            _ if text == "max" => Ok(Pace::Max),
            Some(rps) if rps > 0 => Ok(Pace::Rate(rps)),
            _ => Err(Wrong {
                message: format!("`{text}` is no rate"),
                help: "write requests a second, such as `5000` or `5k`, or `max`".to_owned(),
            }),
        }
    }
}

/// A server that stalls, and what an honest client says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruthCase {
    pub name: &'static str,
    pub about: &'static str,
    pub rps: u32,
    pub lasts: Duration,
    pub stall: Window,
}

/// The cases in which generators were found to leave out what a stall kept from being sent (coordinated omission).
pub const TRUTH: [TruthCase; 3] = [
    TruthCase::of("CO1", "a stall in the middle of the run", 20, 14, 1),
    TruthCase::of("CO2", "the same early, where some calibrate", 20, 5, 1),
    TruthCase::of("CO3", "a stall that outlasts the run", 10, 9, 3),
];

impl TruthCase {
    const fn of(name: &'static str, about: &'static str, lasts_s: u64, stall_at_s: u64, stall_s: u64) -> TruthCase {
        let stall = Window { at: Duration::from_secs(stall_at_s), lasts: Duration::from_secs(stall_s) };
        TruthCase { name, about, rps: 1000, lasts: Duration::from_secs(lasts_s), stall }
    }

    /// By name, whatever its case.
    pub fn named(name: &str) -> Option<TruthCase> {
        TRUTH.into_iter().find(|case| case.name.eq_ignore_ascii_case(name))
    }

    /// From the schedule alone.
    pub fn truth(&self) -> Percentiles {
        let script = Script { stalls: vec![self.stall], ..Script::default() };
        of_script(Asked { rps: self.rps.into(), lasts: self.lasts }, &script)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Pace(Pace),
    Truth(TruthCase),
}

impl Case {
    pub fn name(&self) -> String {
        match self {
            Case::Pace(pace) => pace.name(),
            Case::Truth(case) => case.name.to_owned(),
        }
    }

    pub fn pace(&self) -> Pace {
        match self {
            Case::Pace(pace) => *pace,
            Case::Truth(case) => Pace::Rate(case.rps),
        }
    }

    /// A truth case lasts as long as it takes.
    pub fn lasts(&self, asked: Duration) -> Duration {
        match self {
            Case::Pace(_) => asked,
            Case::Truth(case) => case.lasts,
        }
    }

    pub fn stall(&self) -> Option<Window> {
        match self {
            Case::Pace(_) => None,
            Case::Truth(case) => Some(case.stall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_read_as_it_is_named() {
        for (text, pace) in [("5k", Pace::Rate(5000)), ("800", Pace::Rate(800)), ("max", Pace::Max)] {
            assert_eq!((Pace::read(text).unwrap(), pace.name()), (pace, text.to_owned()));
        }
        for wrong in ["", "0", "k", "-5", "fast", "5m", "9999999k"] {
            assert!(Pace::read(wrong).is_err(), "{wrong}");
        }
    }

    /// What was measured of other tools stands in tables: the cases must stay those.
    #[test]
    fn the_truth_of_each_case_is_the_known_one() {
        let rounded = |case: TruthCase| {
            let Percentiles { p99, p999, max, .. } = case.truth();
            [p99, p999, max].map(|ms| (ms / 10.0).round() as u64 * 10)
        };
        assert_eq!(TRUTH.map(rounded), [[800, 980, 1000], [800, 980, 1000], [2900, 2990, 3000]]);
        assert_eq!(TruthCase::named("co3"), Some(TRUTH[2]));
    }
}
