//! Reports for tests and for `reports/sample/`: a PASS with ten stops, a FAIL with exhibits, an INCONCLUSIVE with
//! reasons, whose figures are invented and agree with each other; and a scale-out that passes, one that fails, and a
//! failure of Redis, which are what the checks make of canned evidence.

mod incidents;
mod judgement;

use std::time::Duration;

use jiff::Timestamp;

use super::{Ran, RunReport};
use crate::archive::Environment;
use crate::backends::{SettleEnd, SettleOutcome};
use crate::checks::canned::{self, Canned};
use crate::checks::{Judgement, Percentiles};
use crate::clock::Offset;
use crate::harness::{Harness, PhaseTook};
use crate::plan::*;

pub use incidents::{broken, incidents};
pub use judgement::{failing, inconclusive, passing};

pub fn reports() -> Vec<(&'static str, RunReport)> {
    let report = |plan: &Plan, judgement: Judgement, ran: Ran| {
        let incidents = incidents(&judgement.stops);
        let lived = ran.duration.is_some();
        RunReport { harness: lived.then(harness), ..RunReport::new(plan, &incidents, judgement, ran) }
    };
    let killed = Ran { duration: None, settle: None, ..ran() };
    vec![
        ("pass", report(&plan(), passing(), ran())),
        ("fail", report(&plan_in_memory(), failing(), ran())),
        ("inconclusive", report(&plan(), inconclusive(), killed)),
        ("scale-out-pass", judged(&canned::scale_out())),
        ("scale-out-fail", judged(&canned::fragmented())),
        ("redis-failure", judged(&canned::redis_failure())),
    ]
}

fn judged(run: &Canned) -> RunReport {
    let settle = run.evidence.state.as_ref().map(|state| state.settle.clone());
    RunReport::new(&run.plan, &run.evidence.incidents, run.judge(), Ran { settle, ..ran() })
}

/// The largest figures and the longest words that a run can show.
pub fn widen(report: &mut RunReport) {
    for stop in &mut report.judgement.stops {
        stop.id = stop.id.replace("-1", "-10");
        stop.victim = stop.victim.as_ref().map(|victim| victim.replace("-1", "-10") + "0");
        stop.at = Some(Offset(3_599_999_000_000));
        stop.exposure = stop.exposure.map(|n| n + 123_456);
        stop.drain = Some(Duration::from_millis(59_999));
        (stop.acks_after_sigterm, stop.acks_in_window) = (Some(123_456), 123_456);
        stop.exit = "signal 9 after its grace of 10 s".into();
    }
    for exhibit in &mut report.judgement.exhibits {
        (exhibit.key, exhibit.seq) = (i64::MAX as u64, 99_999);
        exhibit.acked = Some(Offset(3_599_999_000_000));
        exhibit.instance = Some("worker-10.10".into());
    }
    for lane in &mut report.judgement.latency {
        lane.response_ms = Percentiles { count: 48_000_000, p50: 1e5, p90: 1e5, p99: 1e6, p999: 1e6, max: 1e7 };
    }
}

pub fn ran() -> Ran {
    Ran {
        standing: None,
        environment: Some(environment()),
        duration: Some(Duration::from_millis(88_412)),
        settle: Some(SettleOutcome {
            end: SettleEnd::Quiet,
            drain: Duration::from_millis(1_204),
            waited: Duration::from_millis(9_404),
            probe_saw_something: true,
        }),
        interrupted: false,
        database: Some("target/expectation.db".into()),
        server: None,
    }
}

fn harness() -> Harness {
    let took =
        [("up", 1_904), ("load", 64_251), ("settle", 9_404), ("read back", 611), ("down", 12_020), ("judge", 222)];
    let phase = |(phase, ms): (&str, u64)| PhaseTook {
        phase: phase.into(),
        took: Duration::from_millis(ms),
        memory: Some(31 << 20),
    };
    Harness {
        phases: took.map(phase).to_vec(),
        memory: vec![(Offset::ZERO, 24 << 20), (Offset(60_000_000_000), 26 << 20)],
        memory_peak: Some(33 << 20),
    }
}

fn environment() -> Environment {
    Environment {
        mxctl: "0.1.0".into(),
        executable_sha256: Some("3f2a91c04b7e5d6690af1c2b8e7d4f3a5566778899aabbccddeeff0011223344".into()),
        system: Some("Debian GNU/Linux 12 (bookworm)".into()),
        kernel: Some("Linux 6.1.0 x86_64".into()),
        cpus: Some(2),
        memory_bytes: Some(8 << 30),
        started_at: Timestamp::constant(1_795_479_123, 0),
        arguments: ["mxctl", "chaos", "rolling-update"].map(String::from).to_vec(),
        servers: [("redis-server".to_owned(), "7.0.15".to_owned())].into(),
    }
}

pub fn plan() -> Plan {
    let slots = slots(&[(Role::Worker, 2), (Role::Api, 3)]);
    let gates = [(GateMetric::P99, Some(RunPhase::Steady), 0.1), (GateMetric::Recovery, None, 300.0)];
    Plan {
        name: "rolling-update-v5".into(),
        run: RunKey { number: 17, seed: 42 },
        lab: Lab::Own,
        url: None,
        timeline: vec![step(1, StopMode::Graceful, 10, &slots), step(2, StopMode::Hard, 35, &slots)],
        target: target(Strategy::Redis, slots),
        load: load(),
        settle: SettlePlan {
            quiet: Duration::from_millis(8_200),
            poll: Duration::from_millis(100),
            deadline: Duration::from_secs(30),
            hard_cap: Duration::from_secs(120),
        },
        claims: vec![Claim::F2],
        gates: gates.map(|(metric, phase, limit)| Gate { metric, phase, limit }).to_vec(),
        notes: Vec::new(),
        require_selftest: false,
        sabotage: None,
    }
}

pub fn plan_in_memory() -> Plan {
    let slots = slots(&[(Role::All, 3)]);
    let note = "workers: with a buffer in memory every instance writes its own rows, so steps on workers fall away";
    Plan {
        name: "rolling-update-v4".into(),
        run: RunKey { number: 18, seed: 42 },
        timeline: vec![step(1, StopMode::Hard, 10, &slots)],
        target: target(Strategy::InMemory, slots),
        notes: vec![note.into()],
        ..plan()
    }
}

fn slots(roles: &[(Role, u16)]) -> Vec<Slot> {
    roles.iter().flat_map(|(role, n)| (1..=*n).map(|number| Slot { role: *role, number })).collect()
}

fn target(strategy: Strategy, slots: Vec<Slot>) -> TargetPlan {
    TargetPlan {
        backend: Backend::Process,
        strategy,
        database: Database::Sqlite,
        existing: None,
        slots,
        worker: WorkerPlan {
            batch: 256,
            flush_interval: Duration::from_millis(200),
            lease: Duration::from_secs(5),
            redrive_scan: Duration::from_secs(1),
            max_attempts: 5,
            backoff_max: Duration::from_secs(2),
        },
        probe: ProbePlan {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(200),
            endpoint_lag: Duration::from_millis(400),
        },
        redis: RedisPlan {
            appendfsync: "always".into(),
            persistence: Persistence::Aof,
            proxied: false,
            replicated: false,
        },
        database_setup: DatabaseSetup::default(),
        witness: true,
        grace: Duration::from_secs(10),
        ready_within: Duration::from_secs(10),
        seeded_bug: None,
        clock_offsets: Vec::new(),
    }
}

fn load() -> LoadPlan {
    LoadPlan {
        shape: Shape::constant(800.0, Duration::from_secs(60)),
        mix: Mix { write_once: 800, hot_key: 150, read: 50, poison: 0, request: 0 },
        arrivals: Arrivals::Even,
        closed: None,
        read_keys: ReadKeys::All,
        hot_keys: 64,
        connections: 50,
        shards: 1,
        request_timeout: Duration::from_secs(2),
        grace: Duration::from_secs(4),
        own_lag_limit: Duration::from_millis(20),
        rate_floor: 0.99,
        rate_tolerance: Duration::from_millis(20),
        acked_floor: 0.9,
    }
}

fn step(number: u16, mode: StopMode, at: u64, slots: &[Slot]) -> StepPlan {
    let stop = |slot: &Slot| StopPlan {
        id: format!("{number}:rolling-update/{slot}"),
        slot: slot.clone(),
        mode,
        replaced: if mode == StopMode::Graceful { Replaced::Before } else { Replaced::After },
        hold: Some(if slot.role == Role::Api { PausePoint::OfferRegistered } else { PausePoint::WorkerLeased }),
        hold_within: Duration::from_secs(2),
        grace: Duration::from_secs(10),
        lasts: Duration::ZERO,
        window: Duration::from_secs(5),
        window_acks_min: 200,
    };
    StepPlan {
        id: format!("{number}:rolling-update"),
        kind: StepKind::RollingUpdate,
        at: Duration::from_secs(at),
        when: None,
        starts: Vec::new(),
        disturbance: None,
        stops: slots.iter().map(stop).collect(),
    }
}
