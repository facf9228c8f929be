//! Three judgements over the canned plans.

use std::time::Duration;

use super::plan;
use crate::checks::*;
use crate::clock::Offset;
use crate::load::Lane;
use crate::plan::{Role, RunPhase, StopMode, StopPlan};

pub fn passing() -> Judgement {
    let lost_nothing = "10 of 10 exposed stops lost nothing (with 95 % confidence fewer than 26 % of such stops do)";
    Judgement {
        verdict: Verdict::Pass,
        findings: vec![
            passed("integrity", "0 of 45,588 acknowledged write operations lost, stranded, stale or torn"),
            passed("conservation", "48,000 operations due, each with one outcome"),
            passed("generator", "100 % sent within 20 ms of due; own lag p99 0.31 ms of 20 ms"),
            passed("F2", lost_nothing),
            passed("p99.steady", "p99 8.98 ms of 100 ms"),
            passed("recovery", "0.9 s of 300 s"),
        ],
        conservation: Conservation { due: 48_000, acked: 47_988, refused: 0, unknown: 12, not_sent: 0 },
        classes: classes(&[
            (Class::Applied, 38_452),
            (Class::Superseded, 7_136),
            (Class::Recovered, 11),
            (Class::Unresolved, 1),
        ]),
        exhibits: Vec::new(),
        order: Some(OrderCounts { duplicates: 118, reordered: 3, dropped_as_superseded: 2_412 }),
        starts: Vec::new(),
        checkpoints: Vec::new(),
        efficiency: Vec::new(),
        stops: plan().stops().zip(0..).map(|(stop, i)| proven_stop(i, stop)).collect(),
        disturbances: Vec::new(),
        latency: latency([38_400, 7_200, 2_400]),
        punctuality: None,
        series: vec![second(0), second(1)],
        strangers: Some(Strangers { mean: 0.04, peak: 0.31, disturbed: 0.0 }),
        count_by_hand: Some(by_hand(17, 3 * (38_388 + 11))),
        not_assessed: vec!["broker loss: no fault of this plan strikes the broker".into()],
    }
}

pub fn failing() -> Judgement {
    let lost = "1,312 acknowledged write operations lost: acknowledged, and in no row and no queue";
    let mut findings = passing().findings;
    findings[0] = finding("integrity", Verdict::Fail, lost, &[]);
    let why = ["a buffer in memory dies with its process: a hard stop loses what it holds"];
    findings[3] = finding("F2", Verdict::Fail, "3 of 3 exposed stops lost acknowledged writes: 412, 455 and 445", &why);
    Judgement {
        verdict: Verdict::Fail,
        findings,
        classes: classes(&[
            (Class::Lost, 1_312),
            (Class::Applied, 37_140),
            (Class::Superseded, 7_136),
            (Class::Recovered, 2),
            (Class::Unresolved, 10),
        ]),
        exhibits: (0..12).map(exhibit).collect(),
        order: Some(OrderCounts { duplicates: 0, reordered: 0, dropped_as_superseded: 2_377 }),
        stops: (1..=3).map(lossy_stop).collect(),
        count_by_hand: Some(by_hand(18, 3 * (37_076 + 2))),
        ..passing()
    }
}

/// mxctl was killed in mid-run, before the last stop, and the run was judged from its archive.
pub fn inconclusive() -> Judgement {
    let doubt = |check, summary, details: &[&str]| finding(check, Verdict::Inconclusive, summary, details);
    let recovered = ["recovered after a crash: 31,204 attempts, 9 of them open"];
    let idle = ["2:rolling-update/api-2: exposure 0", "2:rolling-update/api-3: never fired"];
    Judgement {
        verdict: Verdict::Inconclusive,
        findings: vec![
            doubt("integrity", "no class can be counted: the ledger is torn, the final state is missing", &recovered),
            passed("conservation", "48,000 operations due, each with one outcome"),
            doubt("generator", "31,204 of 48,000 operations sent within 20 ms of due (65.01 %), below 99 %", &[]),
            doubt("F2", "8 of 10 stops prove anything", &idle),
            doubt("p99.steady", "rests on the generator's health", &[]),
        ],
        conservation: Conservation { due: 48_000, acked: 31_195, refused: 0, unknown: 9, not_sent: 16_796 },
        classes: void_classes(),
        order: None,
        stops: stops_of_a_killed_run(),
        latency: latency([24_963, 4_681, 1_560]),
        count_by_hand: None,
        ..passing()
    }
}

fn passed(check: &str, summary: &str) -> Finding {
    finding(check, Verdict::Pass, summary, &[])
}

fn finding(check: &str, verdict: Verdict, summary: &str, details: &[&str]) -> Finding {
    let details = details.iter().map(|detail| (*detail).to_owned()).collect();
    Finding { check: check.into(), verdict, summary: summary.into(), details }
}

fn classes(counts: &[(Class, u64)]) -> Vec<ClassCount> {
    let count = |class: Class| ClassCount {
        class,
        count: counts.iter().find(|(c, _)| *c == class).map_or(0, |(_, n)| *n),
        fails: class.fails(),
        rests_on: class.rests_on().into(),
        void: None,
    };
    Class::ALL.map(count).to_vec()
}

fn void_classes() -> Vec<ClassCount> {
    let mut classes = classes(&[(Class::NotSent, 16_796)]);
    for count in &mut classes {
        count.void = match count.rests_on.as_str() {
            "ledger" => None,
            on if on.contains("ledger") => Some("the ledger is torn: recovered after a crash".into()),
            _ => Some("state/final.json is not there: the run ended before it was written".into()),
        };
    }
    classes
}

fn proven_stop(i: u64, stop: &StopPlan) -> StopJudgement {
    let (api, graceful) = (stop.slot.role == Role::Api, stop.mode == StopMode::Graceful);
    StopJudgement {
        id: stop.id.clone(),
        mode: stop.mode,
        verdict: Verdict::Pass,
        victim: Some(format!("{}.{}", stop.slot, if graceful { 1 } else { 2 })),
        at: Some(Offset((10_060 + 2_417 * i) * 1_000_000)),
        exposure: Some(if api { 1 } else { 118 + 23 * i }),
        exposure_unit: if api { "offers in flight" } else { "leased tasks" }.into(),
        exit: if graceful { "exit 0" } else { "signal 9" }.into(),
        drain: Some(Duration::from_millis(if graceful { 400 + 31 * i } else { 3 })),
        acks_after_sigterm: (api && graceful).then_some(41 + i),
        acks_in_window: 7_980 + i,
        failed: Some(if graceful { 0 } else { 1 + i % 3 }),
        reasons: Vec::new(),
        proof: vec![("a new process serves the slot: pid 4711 → 4801".into(), true)],
    }
}

fn stops_of_a_killed_run() -> Vec<StopJudgement> {
    let mut stops = passing().stops;
    stops[8] = StopJudgement {
        exposure: Some(0),
        verdict: Verdict::Inconclusive,
        reasons: vec!["exposure 0: it held nothing when it was struck, so surviving it proves nothing".into()],
        proof: vec![("a new process serves the slot: pid 4720 → 4720".into(), false)],
        ..stops[8].clone()
    };
    stops[9] = StopJudgement {
        verdict: Verdict::Inconclusive,
        victim: None,
        at: None,
        exposure: None,
        exit: "never fired".into(),
        drain: None,
        acks_in_window: 0,
        failed: None,
        reasons: vec!["it never fired: the run ended before its turn".into()],
        proof: Vec::new(),
        ..stops[9].clone()
    };
    stops
}

fn lossy_stop(number: u64) -> StopJudgement {
    let (lost, exposure) = [(412, 431), (455, 470), (445, 462)][number as usize - 1];
    StopJudgement {
        id: format!("1:rolling-update/all-{number}"),
        mode: StopMode::Hard,
        verdict: Verdict::Fail,
        victim: Some(format!("all-{number}.1")),
        at: Some(Offset((10_060 + 3_211 * number) * 1_000_000)),
        exposure: Some(exposure),
        exposure_unit: "acked, unwritten operations".into(),
        exit: "signal 9".into(),
        drain: Some(Duration::from_millis(3)),
        acks_after_sigterm: None,
        acks_in_window: 7_990,
        failed: Some(52),
        reasons: vec![format!("{lost} operations that it acknowledged are lost")],
        proof: vec![("ended by SIGKILL: signal 9".into(), true)],
    }
}

fn exhibit(n: u64) -> Exhibit {
    Exhibit {
        class: Class::Lost,
        op: Some(10_490 + 3 * n),
        key: (18 << 32) + 8_456 + n,
        seq: 1,
        presets: vec![1, 2, 3],
        instance: Some("all-1.1".into()),
        acked: Some(Offset((13_114 + 4 * n) * 1_000_000)),
        last_seen: "acknowledged by all-1.1, not in the database at the checkpoint of 1:rolling-update/all-1, never \
                    seen again"
            .into(),
    }
}

fn by_hand(run: u64, rows: u64) -> CountByHand {
    let (first, last) = ((run << 32) + 64, (run << 32) + u64::from(u32::MAX));
    let query = format!(
        "select count(*) from equipment_expectation_summary where game_character_id between {first} and {last}"
    );
    CountByHand { query, expected: rows, counted: rows, software: Some("SQLite 3.46.0".into()) }
}

fn second(second: u64) -> SeriesPoint {
    SeriesPoint {
        second,
        due: 800,
        acked: 800,
        refused: 0,
        unknown: 0,
        not_sent: 0,
        response_ms_p50: 2.04,
        response_ms_p99: 8.98,
        depth: Some(256),
    }
}

/// Operations of each lane: two thirds steady, a sixth in faults, a sixth in recoveries.
fn latency(operations: [u64; 3]) -> Vec<LaneLatency> {
    Lane::ALL.into_iter().zip(operations).flat_map(|(lane, n)| lane_latency(lane, n)).collect()
}

fn lane_latency(lane: Lane, n: u64) -> [LaneLatency; 4] {
    let of = |phase, count, response: [f64; 5]| LaneLatency {
        lane,
        phase,
        response_ms: percentiles(count, response),
        service_ms: percentiles(count, response.map(|ms| ms - 0.08)),
        waited_ms: percentiles(count, [0.0, 0.0, 0.0, 0.0, 1.12]),
        woke_late_ms: percentiles(count, [0.07, 0.15, 0.31, 0.92, 2.84]),
    };
    let (fault, recovery) = (n / 6, n / 6);
    [
        of(None, n, [2.11, 4.6, 12.44, 61.2, 612.03]),
        of(Some(RunPhase::Steady), n - fault - recovery, [2.04, 4.28, 8.98, 21.7, 44.1]),
        of(Some(RunPhase::Fault), fault, [3.47, 7.28, 41.3, 402.5, 612.03]),
        of(Some(RunPhase::Recovery), recovery, [2.2, 4.91, 15.26, 38.8, 97.51]),
    ]
}

fn percentiles(count: u64, [p50, p90, p99, p999, max]: [f64; 5]) -> Percentiles {
    let ms = |value: f64| (value * 1000.0).round() / 1000.0;
    Percentiles { count, p50: ms(p50), p90: ms(p90), p99: ms(p99), p999: ms(p999), max: ms(max) }
}
