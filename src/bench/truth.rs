//! What an honest open-loop client must report of a server that stalls.
//!
//! In: when operations were due, and when the server answered, by its script or by its log. Out: the percentiles of
//! response time (answered − due).
//!
//! # Why
//! An operation is due whatever the server does (Gil Tene, "How NOT to Measure Latency"): one that was due d seconds
//! before the end of a stall took d seconds, whether a connection was free to send it or not. A client that reports
//! less left some out.

use std::time::Duration;

use crate::bench::server::{Arrival, Arrivals, Schedule, Script};
use crate::clock::Offset;
use crate::load::latency::Percentiles;

/// A fixed rate, from zero on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    pub rps: f64,
    pub lasts: Duration,
}

impl Asked {
    /// When each operation is due.
    fn due(self) -> impl Iterator<Item = Offset> {
        let total = (self.rps * self.lasts.as_secs_f64()).round() as u64;
        (0..total).map(move |index| Offset((index as f64 / self.rps * 1e9).round() as u64))
    }
}

/// By the script alone: a server that takes no time but what it is told to take. The first request arrives when it is
/// due. Of refusals it knows nothing: what is refused has no response time.
pub fn of_script(asked: Asked, script: &Script) -> Percentiles {
    let schedule = Schedule::of(script, Offset::ZERO);
    let response = |due: Offset| schedule.leaves(due.plus(script.delay)).since(due);
    percentiles(asked.due().map(response).collect())
}

/// By the log: it shows also what the server, or the machine, took beyond the script. The first operation was due when
/// it arrived, and operations were answered in the order in which they were due. `None` where fewer were answered than
/// were asked for: of the others nobody knows.
pub fn of_log(asked: Asked, arrivals: &Arrivals) -> Option<Percentiles> {
    let zero = arrivals.iter().next()?.arrived;
    let mut answered: Vec<Offset> = arrivals.iter().filter_map(Arrival::answered).collect();
    answered.sort_unstable();
    let responses: Vec<Duration> =
        asked.due().zip(&answered).map(|(due, answered)| answered.since(zero.plus(due.as_duration()))).collect();
    (responses.len() == asked.due().count()).then(|| percentiles(responses))
}

/// Exact: nearest rank.
fn percentiles(mut responses: Vec<Duration>) -> Percentiles {
    responses.sort_unstable();
    let ms = |response: Option<&Duration>| response.map_or(0.0, |response| response.as_secs_f64() * 1e3);
    let at = |quantile: f64| ms(responses.get((quantile * responses.len() as f64).ceil() as usize - 1));
    match responses.len() {
        0 => Percentiles::default(),
        count => Percentiles {
            count: count as u64,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(responses.last()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::server::Window;
    use crate::scenario::Written;

    fn truth(rps: f64, seconds: u64, stall: &str) -> Percentiles {
        let script = Script { stalls: vec![Window::read(stall).unwrap()], ..Script::default() };
        of_script(Asked { rps, lasts: Duration::from_secs(seconds) }, &script)
    }

    fn assert_near(told: f64, truth: f64) {
        assert!((told - truth).abs() <= truth * 0.002, "{told} is not {truth}");
    }

    /// CO1: a stall of 1 s in the middle of a run. One in twenty operations was due in it.
    #[test]
    fn a_stall_in_the_middle_shows_in_every_operation_that_was_due_in_it() {
        let Percentiles { count, p50, p99, p999, max, .. } = truth(1000.0, 20, "14s:1s");
        assert_eq!((count, p50), (20_000, 0.0));
        assert_near(p99, 800.0);
        assert_near(p999, 980.0);
        assert_near(max, 1000.0);
    }

    /// CO2: the same early in a run, where some clients calibrate, or warm up.
    #[test]
    fn when_it_stalls_makes_no_difference() {
        assert_eq!(truth(1000.0, 20, "5s:1s"), truth(1000.0, 20, "14s:1s"));
    }

    /// CO3: a stall that outlasts the run. What was due in it is answered after the run's end, and counts.
    #[test]
    fn a_stall_beyond_the_end_counts_in_full() {
        let Percentiles { p99, p999, max, .. } = truth(1000.0, 10, "9s:3s");
        assert_near(p99, 2900.0);
        assert_near(p999, 2990.0);
        assert_near(max, 3000.0);
    }

    #[test]
    fn a_delay_is_in_every_response() {
        let script = Script { delay: Duration::from_millis(5), ..Script::default() };
        let told = of_script(Asked { rps: 100.0, lasts: Duration::from_secs(1) }, &script);
        assert_eq!((told.count, told.p50, told.max), (100, 5.0, 5.0));
    }

    #[test]
    fn nothing_asked_is_nothing_told() {
        let nothing = Asked { rps: 100.0, lasts: Duration::ZERO };
        assert_eq!(of_script(nothing, &Script::default()), Percentiles::default());
    }

    /// A client with one connection sends one request into the stall, and the rest after it. What they were due for
    /// does not change by that.
    #[test]
    fn the_log_tells_the_truth_about_requests_that_were_held_back() {
        let asked = Asked { rps: 1000.0, lasts: Duration::from_secs(20) };
        let mut log = "arrived_ns,answered_ns,connection,status\n".to_owned();
        for ms in 0..20_000_u64 {
            let (arrived, answered) = match ms {
                14_000 => (ms, 15_000),
                14_001..15_000 => (15_000, 15_000),
                _ => (ms, ms),
            };
            log += &format!("{},{},1,200\n", 7_000_000 + arrived * 1_000_000, 7_000_000 + answered * 1_000_000);
        }
        let told = of_log(asked, &Arrivals::read(log.as_bytes()).unwrap()).unwrap();
        assert_eq!(told, truth(1000.0, 20, "14s:1s"));
    }

    #[test]
    fn of_what_was_never_answered_nothing_is_known() {
        let log = "arrived_ns,answered_ns,connection,status\n0,1,1,200\n10,,1,200\n";
        let two = Asked { rps: 2.0, lasts: Duration::from_secs(1) };
        assert_eq!(of_log(two, &Arrivals::read(log.as_bytes()).unwrap()), None);
    }
}
