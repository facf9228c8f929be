//! Runs that nobody ran, for tests of what is made of them.

use super::{Compared, Outcome, Record, Run, Told};
use crate::bench::server::{Ending, Summary};
use crate::clock::Offset;
use crate::load::latency::Percentiles;

/// Of 10 s.
pub fn record(cpu_seconds: f64, rps: f64, [p99, p999, max]: [f64; 3]) -> Record {
    let (first, last) = (Offset(1_000_000_000), Offset(11_000_000_000));
    let server = Summary {
        ended: Ending::Stopped,
        requests: (rps * 10.0) as u64,
        answered: (rps * 10.0) as u64,
        errors: 0,
        bad_requests: 0,
        connections: 50,
        first_arrival_ns: Some(first),
        last_arrival_ns: Some(last),
        requests_per_second: Some(rps),
        variance_to_mean_per_ms: Some(1.25),
        response: Percentiles::default(),
        process_cpu_seconds: 0.6,
        thread_cpu_seconds: 0.5,
        peak_rss_bytes: 9_000_000,
        log_bytes: 1_200_000,
        start_monotonic_ns: 0,
    };
    let told = Told {
        requests: Some(server.requests),
        errors: Some(0),
        p99_ms: Some(p99),
        p999_ms: Some(p999),
        max_ms: Some(max),
        own_lag_p99_ms: None,
        verdict: None,
    };
    Record {
        seconds: 10.1,
        cpu_seconds,
        peak_rss_bytes: 12_000_000,
        exit_code: Some(0),
        told,
        server,
        strangers: Some(0.01),
    }
}

fn run(round: u32, case: &str, tool: &str, outcome: Outcome) -> Run {
    let (case, tool) = (case.to_owned(), tool.to_owned());
    Run { round, command: vec![tool.clone()], case, tool, outcome }
}

/// Three rounds at 5k; one at the most, where vegeta has none, and one of each of two truth cases.
pub fn compared() -> Compared {
    let ran = |round, case: &str, tool: &str, record| run(round, case, tool, Outcome::Ran(Box::new(record)));
    let quick = [1.5, 2.0, 3.0];
    let mut runs = Vec::new();
    for (round, cpu) in [(1, 1.35), (2, 1.30), (3, 1.90)] {
        let mut mxctl = record(cpu, 5000.0, quick);
        mxctl.told.own_lag_p99_ms = Some(1.1);
        mxctl.told.verdict = Some("PASS".to_owned());
        runs.push(ran(round, "5k", "mxctl", mxctl));
        runs.push(ran(round, "5k", "mxctl --no-ledger", record(1.25, 5000.0, quick)));
        runs.push(ran(round, "5k", "wrk2", record(1.2, 4990.0, quick)));
        runs.push(run(round, "5k", "vegeta", Outcome::Failed("read its JSON: EOF; it said: nothing".to_owned())));
    }
    runs.push(ran(1, "max", "mxctl --no-ledger", record(9.9, 95_000.0, quick)));
    runs.push(ran(1, "max", "wrk2", record(9.8, 100_000.0, quick)));
    runs.push(ran(1, "CO1", "mxctl", record(0.9, 1000.0, [799.0, 979.5, 1001.0])));
    runs.push(ran(1, "CO1", "wrk2", record(0.9, 1000.0, [790.0, 960.0, 998.0])));
    runs.push(ran(1, "CO3", "mxctl", record(0.9, 1000.0, [2700.0, 2990.0, 3001.0])));
    runs.push(ran(1, "CO3", "wrk2", record(0.9, 1000.0, [16.0, 18.0, 20.0])));
    Compared { runs }
}
