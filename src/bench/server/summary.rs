//! What the server saw, in figures, from its log.

use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::clock::Clock;
use crate::clock::Offset;
use crate::load::latency::{Durations, Percentiles};

/// Why the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was told to.
    Stopped,
    /// As many requests were answered as the script says.
    Requests,
    /// It had listened for as long as the script says.
    Duration,
}

/// Times in nanoseconds count from the server's start, as in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub ended: Ending,
    /// That were read; one without an answer was still open when its connection, or the server, ended.
    pub requests: u64,
    pub answered: u64,
    /// Of `requests`: answered 503, or to be answered so.
    pub errors: u64,
    /// What came and was no request; it is in no other figure.
    pub bad_requests: u64,
    pub connections: u32,
    pub first_arrival_ns: Option<Offset>,
    pub last_arrival_ns: Option<Offset>,
    /// Intervals between arrivals ÷ the time from the first to the last.
    pub requests_per_second: Option<f64>,
    /// Of the arrivals in each whole millisecond since the first, also those without any: 0 is a metronome, 1 Poisson.
    pub variance_to_mean_per_ms: Option<f64>,
    /// Milliseconds from arrival to answer, of what was answered: the server's own view.
    pub response: Percentiles,
    /// User and system time of the whole process, since it began.
    pub process_cpu_seconds: f64,
    /// Of the server's thread alone.
    pub thread_cpu_seconds: f64,
    /// Of the process; the log is in it.
    pub peak_rss_bytes: u64,
    pub log_bytes: u64,
    /// The zero of all times here, on the machine's CLOCK_MONOTONIC: a client on this machine can lay its own beside.
    pub start_monotonic_ns: u64,
}

/// What no log says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub connections: u32,
    pub bad_requests: u64,
    pub answered: u64,
}

impl Summary {
    /// To be called on the server's thread.
    pub(super) fn of(arrivals: &Arrivals, counts: Counts, clock: Clock, ended: Ending) -> Summary {
        let (process, thread) = (usage(UsageWho::RUSAGE_SELF), usage(UsageWho::RUSAGE_THREAD));
        let first = arrivals.iter().next().map(|arrival| arrival.arrived);
        let last = arrivals.iter().next_back().map(|arrival| arrival.arrived);
        Summary {
            ended,
            requests: arrivals.len() as u64,
            answered: counts.answered,
            errors: arrivals.iter().filter(|arrival| arrival.status == 503).count() as u64,
            bad_requests: counts.bad_requests,
            connections: counts.connections,
            first_arrival_ns: first,
            last_arrival_ns: last,
            requests_per_second: first.zip(last).and_then(|(first, last)| rate(arrivals.len(), last.since(first))),
            variance_to_mean_per_ms: dispersion(arrivals.iter().map(|arrival| arrival.arrived)),
            response: response(arrivals),
            process_cpu_seconds: cpu_seconds(&process),
            thread_cpu_seconds: cpu_seconds(&thread),
            peak_rss_bytes: process.max_rss() as u64 * 1024,
            log_bytes: (arrivals.len() * size_of::<super::Arrival>()) as u64,
            start_monotonic_ns: clock.zero_ns(),
        }
    }
}

fn usage(who: UsageWho) -> Usage {
    getrusage(who).expect("the kernel counts for whoever asks about himself")
}

fn cpu_seconds(usage: &Usage) -> f64 {
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn rate(requests: usize, span: Duration) -> Option<f64> {
    (!span.is_zero()).then(|| (requests - 1) as f64 / span.as_secs_f64())
}

fn response(arrivals: &Arrivals) -> Percentiles {
    let mut durations = Durations::default();
    for arrival in arrivals.iter() {
        if let Some(answered) = arrival.answered() {
            durations.record(answered.since(arrival.arrived));
        }
    }
    durations.percentiles()
}

const MS: u64 = 1_000_000;

/// Variance ÷ mean of the arrivals in each whole millisecond since the first of them. What came after the last whole
/// one counts in none. `None` where there is no whole one.
pub fn dispersion(arrivals: impl Iterator<Item = Offset>) -> Option<f64> {
    let mut arrivals = arrivals.peekable();
    let first = arrivals.peek()?.0;
    // Of the milliseconds that are over; and the one that is not.
    let (mut sum, mut squares, mut now, mut in_it) = (0.0, 0.0, 0, 0.0);
    for arrival in arrivals {
        let ms = (arrival.0 - first) / MS;
        if ms > now {
            (sum, squares, now, in_it) = (sum + in_it, squares + in_it * in_it, ms, 0.0);
        }
        in_it += 1.0;
    }
    let whole = now as f64;
    let mean = sum / whole;
    (now > 0).then(|| (squares / whole - mean * mean) / mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispersion_of(arrivals_us: impl Iterator<Item = u64>) -> f64 {
        dispersion(arrivals_us.map(|us| Offset(77 + us * 1000))).expect("more than a millisecond")
    }

    #[test]
    fn a_metronome_has_no_dispersion() {
        assert_eq!(dispersion_of((0..50_000).map(|n| n * 200)), 0.0);
    }

    #[test]
    fn bursts_have_the_dispersion_of_their_size() {
        // 50 at once every 10 ms: mean 5, mean square 250, so variance 225.
        let bursts = dispersion_of((0..50_000).map(|n| n / 50 * 10_000));
        assert!((bursts - 45.0).abs() < 0.1, "{bursts}");
    }

    #[test]
    fn independent_arrivals_have_a_dispersion_of_one() {
        // Uniform over 20 s at 5 a millisecond, from the house's hash.
        let mut arrivals: Vec<u64> = (0..100_000).map(|n| crate::content::mix(n) % 20_000_000).collect();
        arrivals.sort_unstable();
        let poisson = dispersion_of(arrivals.into_iter());
        assert!((poisson - 1.0).abs() < 0.05, "{poisson}");
    }

    #[test]
    fn empty_milliseconds_count() {
        // One a millisecond for 10 ms, then none for 10: mean 1/2, mean square 1/2.
        let with_a_pause = dispersion_of((0..10).map(|n| n * 1000).chain([20_000]));
        assert!((with_a_pause - 0.5).abs() < 1e-9, "{with_a_pause}");
    }

    #[test]
    fn what_is_shorter_than_a_millisecond_has_none() {
        assert_eq!(dispersion(std::iter::empty()), None);
        assert_eq!(dispersion([Offset(5), Offset(900_000)].into_iter()), None);
    }

    #[test]
    fn figures_are_those_of_the_log() {
        let mut arrivals = Arrivals::new();
        for n in 0..1001_u64 {
            let index = arrivals.arrived(Offset(MS * (100 + n)), 1, if n < 10 { 503 } else { 200 });
            if n > 0 {
                arrivals.answered(index, Offset(MS * (102 + n)));
            }
        }
        let counts = Counts { connections: 3, bad_requests: 1, answered: 1000 };
        let summary = Summary::of(&arrivals, counts, Clock::starting_now(), Ending::Requests);
        assert_eq!((summary.requests, summary.answered, summary.errors), (1001, 1000, 10));
        assert_eq!(
            (summary.first_arrival_ns, summary.last_arrival_ns),
            (Some(Offset(100 * MS)), Some(Offset(1100 * MS)))
        );
        assert_eq!((summary.requests_per_second, summary.variance_to_mean_per_ms), (Some(1000.0), Some(0.0)));
        assert_eq!(summary.response.count, 1000);
        assert!((summary.response.max - 2.0).abs() < 0.01, "{:?}", summary.response);
        assert!(summary.peak_rss_bytes > 1 << 20 && summary.process_cpu_seconds >= summary.thread_cpu_seconds);
    }

    #[test]
    fn a_server_that_nobody_asked_has_no_rate() {
        let summary = Summary::of(&Arrivals::new(), Counts::default(), Clock::starting_now(), Ending::Stopped);
        assert_eq!((summary.first_arrival_ns, summary.requests_per_second), (None, None));
        let read: Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
        assert_eq!(read, summary);
    }
}
