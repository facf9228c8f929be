//! What a rate must keep to be good: `p99=50ms,error=0.1%`.
//!
//! In: the words of `--slo`. Out: gates of a run, and how many requests it takes to tell whether they hold.

use std::fmt;
use std::time::Duration;

use crate::load::latency::LaneHistograms;
use crate::plan::{Gate, GateMetric};
use crate::report::figures::hundredths;
use crate::scenario::{Percent, Period, Written, Wrong, share_in_percent};

use super::interval::{self, Interval};

/// Values that must be expected beyond a quantile: with ten, its order-statistic interval has an upper end, at
/// `nq + 1.96 √10`.
const BEYOND: f64 = 10.0;

/// Wilson's interval of no error in n ends at 3.84/n: from so many over the limit on it can show that a limit is kept.
const ERROR_FREE: f64 = 4.0;

/// At least one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo(Vec<Gate>);

/// How a limit stands to what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// The whole interval is within it.
    Kept,
    /// The whole interval is beyond it.
    Missed,
    /// The interval holds it: the figure itself is within it, or not.
    Open { within: bool },
}

impl Slo {
    /// As gates of a run.
    pub fn gates(&self) -> &[Gate] {
        &self.0
    }

    pub fn limits_errors(&self) -> bool {
        self.0.iter().any(|gate| gate.metric == GateMetric::ErrorRate)
    }

    /// Requests that it takes before each limit can be told to be kept.
    pub fn requests_needed(&self) -> f64 {
        self.0.iter().map(needed).fold(0.0, f64::max)
    }
}

fn needed(gate: &Gate) -> f64 {
    match (quantile(gate.metric), gate.limit > 0.0) {
        (Some(q), _) => BEYOND / (1.0 - q),
        (None, true) => ERROR_FREE / gate.limit,
        // That there are no errors at all cannot be shown by however many requests.
        (None, false) => 0.0,
    }
}

/// `None`: the share of errors.
fn quantile(metric: GateMetric) -> Option<f64> {
    match metric {
        GateMetric::P50 => Some(0.5),
        GateMetric::P99 => Some(0.99),
        GateMetric::P999 => Some(0.999),
        _ => None,
    }
}

/// What was measured of a limit, in its unit (seconds, or a share).
pub fn measured(gate: &Gate, histograms: &LaneHistograms, (errors, due): (u64, u64)) -> Option<Interval> {
    let seconds = |ns: Interval| Interval { low: ns.low / 1e9, point: ns.point / 1e9, high: ns.high / 1e9 };
    match quantile(gate.metric) {
        Some(q) => interval::quantile(&histograms.response.0, q).map(seconds),
        None => interval::share(errors, due),
    }
}

pub fn stands(gate: &Gate, measured: Interval) -> Stands {
    let Interval { low, point, high } = measured;
    match gate.limit {
        // No sample shows that nothing ever fails.
        limit if limit == 0.0 && point == 0.0 => Stands::Kept,
        limit if high <= limit => Stands::Kept,
        limit if low > limit => Stands::Missed,
        limit => Stands::Open { within: point <= limit },
    }
}

/// `p99 82.1 ms, limit 50 ms`.
pub fn missed_in_words(gate: &Gate, measured: Interval) -> String {
    match quantile(gate.metric) {
        Some(_) => {
            let (value, limit) = (hundredths(measured.point * 1e3), Period(Duration::from_secs_f64(gate.limit)));
            format!("{} {value} ms, limit {limit}", gate.metric.word())
        }
        None => format!("errors {:.3} %, limit {} %", measured.point * 100.0, share_in_percent(gate.limit)),
    }
}

impl Written for Slo {
    const EXAMPLE: &'static str = "p99=50ms,error=0.1%";

    fn read(text: &str) -> Result<Self, Wrong> {
        let gates = text.split(',').map(limit).collect::<Result<Vec<Gate>, Wrong>>()?;
        let repeated = gates.iter().enumerate().find(|(i, gate)| gates[..*i].iter().any(|g| g.metric == gate.metric));
        match repeated {
            Some((_, gate)) => Err(Wrong {
                message: format!("`{}` is written twice", gate.metric.word()),
                help: "keep one".to_owned(),
            }),
            None => Ok(Slo(gates)),
        }
    }
}

fn limit(part: &str) -> Result<Gate, Wrong> {
    let help = || format!("write limits such as `{}`: p50, p99, p99.9 and error may have one", Slo::EXAMPLE);
    let Some((name, limit)) = part.split_once('=') else {
        return Err(Wrong { message: format!("`{part}` has no `=`"), help: help() });
    };
    let latency = |metric| Period::read(limit.trim()).map(|period| (metric, period.0.as_secs_f64()));
    let (metric, limit) = match name.trim() {
        "p50" => latency(GateMetric::P50)?,
        "p99" => latency(GateMetric::P99)?,
        "p99.9" => latency(GateMetric::P999)?,
        "error" | "error_rate" => (GateMetric::ErrorRate, Percent::read(limit.trim())?.share()),
        other => return Err(Wrong { message: format!("`{other}` is nothing to keep to"), help: help() }),
    };
    Ok(Gate { metric, phase: None, limit })
}

impl fmt::Display for Slo {
    /// As it could be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |gate: &Gate| match quantile(gate.metric) {
            Some(_) => format!("{}={}", gate.metric.word(), Period(Duration::from_secs_f64(gate.limit))),
            None => format!("error={}%", share_in_percent(gate.limit)),
        };
        f.write_str(&self.0.iter().map(told).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slo(text: &str) -> Slo {
        Slo::read(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message))
    }

    #[test]
    fn limits_are_read_and_told_as_they_are_written() {
        for text in ["p99=50ms,error=0.1%", "p50=5ms", "p99.9=1.5s,p99=250ms", "error=0%"] {
            assert_eq!(slo(text).to_string(), text);
        }
        assert_eq!(slo(" p99 = 50ms , error_rate=1%").to_string(), "p99=50ms,error=1%");
        for wrong in ["", "p99", "p99=50", "p98=5ms", "error=0.1", "p99=5ms,p99=6ms", "p99=0ms"] {
            assert!(Slo::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_step_has_enough_requests_for_the_limit_that_needs_most() {
        let needed = |text| slo(text).requests_needed().round();
        assert_eq!([needed("p99=50ms"), needed("p99.9=50ms"), needed("p50=1ms")], [1_000.0, 10_000.0, 20.0]);
        assert_eq!([needed("p99=50ms,error=0.1%"), needed("error=0%")], [4_000.0, 0.0]);
    }

    #[test]
    fn an_interval_across_the_limit_leaves_it_open() {
        let gate = &slo("p99=50ms").0[0];
        let of = |low, point, high| stands(gate, Interval { low, point, high });
        assert_eq!(of(0.01, 0.02, 0.05), Stands::Kept);
        assert_eq!(of(0.051, 0.06, f64::INFINITY), Stands::Missed);
        assert_eq!(of(0.04, 0.049, 0.06), Stands::Open { within: true });
        assert_eq!(of(0.04, 0.051, 0.06), Stands::Open { within: false });
    }
}
