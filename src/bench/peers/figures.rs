//! Medians over the rounds: one [`Figures`] for each tool in each case.

use serde::{Deserialize, Serialize};

use super::{Compared, Record, Told};

/// `None`: no run has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub runs: usize,
    /// User and system time of the generator, for a million requests that arrived at the server.
    pub cpu_seconds_per_million: Option<f64>,
    pub peak_rss_bytes: Option<f64>,
    /// At the server.
    pub requests: Option<f64>,
    pub requests_per_second: Option<f64>,
    /// Of the arrivals in each millisecond, at the server.
    pub variance_to_mean_per_ms: Option<f64>,
    /// The share of its core that the server took while requests came.
    pub server_cpu: Option<f64>,
    /// What the tool itself said.
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub errors: Option<f64>,
    pub own_lag_p99_ms: Option<f64>,
}

impl Figures {
    pub fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Figures {
        let records: Vec<_> = records.collect();
        let each = |figure: &dyn Fn(&Record) -> Option<f64>| median(records.iter().filter_map(|record| figure(record)));
        let told = |figure: &dyn Fn(&Told) -> Option<f64>| each(&|record| figure(&record.told));
        Figures {
            runs: records.len(),
            cpu_seconds_per_million: each(&|record| Some(record.cpu_seconds_per_million())),
            peak_rss_bytes: each(&|record| Some(record.peak_rss_bytes as f64)),
            requests: each(&|record| Some(record.server.requests as f64)),
            requests_per_second: each(&|record| record.server.requests_per_second),
            variance_to_mean_per_ms: each(&|record| record.server.variance_to_mean_per_ms),
            server_cpu: each(&Record::server_cpu),
            p99_ms: told(&|told| told.p99_ms),
            p999_ms: told(&|told| told.p999_ms),
            max_ms: told(&|told| told.max_ms),
            errors: told(&|told| told.errors.map(|errors| errors as f64)),
            own_lag_p99_ms: told(&|told| told.own_lag_p99_ms),
        }
    }
}

impl Record {
    fn cpu_seconds_per_million(&self) -> f64 {
        self.cpu_seconds / self.server.requests as f64 * 1e6
    }

    fn server_cpu(&self) -> Option<f64> {
        let (first, last) = (self.server.first_arrival_ns?, self.server.last_arrival_ns?);
        let span = last.since(first).as_secs_f64();
        (span > 0.0).then(|| self.server.thread_cpu_seconds / span)
    }
}

impl Compared {
    pub fn figures(&self, case: &str, tool: &str) -> Figures {
        Figures::of(self.records(case, tool))
    }
}

/// Of an even number, the mean of the two in the middle; `None` of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers::canned::{compared, record};

    #[test]
    fn a_median_is_the_one_in_the_middle() {
        let median = |values: &[f64]| median(values.iter().copied());
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 5.0, 7.0]), Some(6.0));
    }

    /// The rounds that count are those that ran; each figure is a median of its own.
    #[test]
    fn figures_are_medians_by_tool_and_case() {
        let figures = compared().figures("5k", "mxctl");
        assert_eq!((figures.runs, figures.requests), (3, Some(50_000.0)));
        assert!((figures.cpu_seconds_per_million.unwrap() - 27.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(compared().figures("5k", "vegeta").runs, 0);
        assert_eq!(compared().figures("5k", "nobody"), Figures::default());
    }

    /// 0.5 s of the thread while requests came for 10 s.
    #[test]
    fn the_servers_share_is_of_the_time_in_which_requests_came() {
        assert_eq!(record(1.0, 5_000.0, [1.0; 3]).server_cpu(), Some(0.05));
    }
}
