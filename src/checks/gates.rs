//! Gates: limits that the scenario or the command line sets on latency, errors and recovery, for the whole run or
//! for a phase.
//!
//! In: response times and outcomes per phase. Out: a finding a gate, under the gate's own name: PASS within its limit,
//! FAIL beyond it, INCONCLUSIVE without data, and INCONCLUSIVE wherever a floor that it rests on was missed: a
//! figure that was measured under another load than the one asked for is no figure of the target's. The same holds for a
//! limit that was missed while other processes used the machine, unless refused connections alone miss it: a slow instance
//! still listens; and for one that was missed only by what waited for a connection, where Little's law asks for as many
//! as there were: more of them might have kept it. (A target that stalls keeps few busy on average, and stays accused.)
//! So it does for one of latency that was missed only by how late we woke ourselves (`own_lag`), and for one that was missed
//! while a thread of ours had no processor time left: who hears late measures itself.
//! What counts writes rests on the witness alone: neither
//! a late generator nor a busy machine makes a duplicate.

use super::measured::Measured;
use super::recovery;
use super::strangers::Strangers;
use super::{Case, Finding, OrderCounts, answers, generator, own_lag};
use crate::plan::{Gate, GateMetric};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let missed = missed_floors(case);
    case.plan.gates.iter().map(|gate| judged(case, gate, &missed)).collect()
}

fn judged(case: &Case, gate: &Gate, missed: &[&str]) -> Finding {
    let name = gate.name();
    let measured = measured(case, gate);
    let missed = if gate.metric.counts_writes() { &[] } else { missed };
    if !missed.is_empty() {
        let figure = match &measured {
            Measured::Value(value) | Measured::AtLeast(value) => show(gate, *value),
            Measured::Nothing(why) => why.clone(),
        };
        return Finding::inconclusive(&name, format!("{figure}; void, as {}", missed.join(" and ")));
    }
    let limit = show(gate, gate.limit);
    match measured {
        Measured::Nothing(why) => Finding::inconclusive(&name, why),
        Measured::Value(value) if value <= gate.limit => {
            Finding::pass(&name, format!("{}, within {limit}", show(gate, value)))
        }
        Measured::Value(value) if gate.metric.counts_writes() => {
            Finding::fail(&name, format!("{}, limit {limit}", show(gate, value)))
        }
        Measured::Value(value) => missed_limit(case, gate, format!("{}, limit {limit}", show(gate, value))),
        Measured::AtLeast(value) if value > gate.limit => {
            missed_limit(case, gate, format!("more than {}, limit {limit}", show(gate, value)))
        }
        Measured::AtLeast(value) => {
            let seen = show(gate, value);
            Finding::inconclusive(&name, format!("not over when the load ended, {seen} on; limit {limit}"))
        }
    }
}

/// On a machine that strangers used, too, nobody knows whose the figure is; but where nobody listens, nobody was slow.
fn missed_limit(case: &Case, gate: &Gate, summary: String) -> Finding {
    let name = &gate.name();
    if let Some((why, remedy)) = own_lag::excuse(case, gate) {
        return Finding::inconclusive(name, format!("{summary}; void, as {why}")).because(vec![remedy]);
    }
    if let Some(strained) = case.figures.punctuality(case.evidence).strained().filter(|_| may_be_strain(case, gate)) {
        let remedy = generator::threads_remedy("for that", &case.plan.load);
        return Finding::inconclusive(name, format!("{summary}; void, as {strained}")).because(vec![remedy]);
    }
    if let (Some(why), true) = (generator::too_few_connections(case), kept_but_for_waiting(case, gate)) {
        return Finding::inconclusive(name, format!("{summary}; void, as {why}"));
    }
    let strangers = case.figures.strangers.filter(|strangers| strangers.excuse(case.plan));
    match strangers.filter(|_| refused_connections(case, gate) <= gate.limit) {
        Some(Strangers { mean, peak, .. }) => {
            let why = format!("other processes took {mean:.2} processors of the machine, {peak:.2} at most");
            Finding::inconclusive(name, format!("{summary}; void, as {why}"))
        }
        None => Finding::fail(name, summary).because(reasons(case, gate)),
    }
}

/// Of which kind errors were, where a limit of them was missed.
fn reasons(case: &Case, gate: &Gate) -> Vec<String> {
    let told = (gate.metric == GateMetric::ErrorRate).then(|| case.figures.timing.reasons.in_words());
    told.flatten().map(|told| format!("in the whole run, {told}")).into_iter().collect()
}

/// Whether a thread of ours without time to send and to hear can have missed this limit.
fn may_be_strain(case: &Case, gate: &Gate) -> bool {
    match gate.metric {
        GateMetric::P50 | GateMetric::P99 | GateMetric::P999 => true,
        GateMetric::ErrorRate => kept_but_for_waiting(case, gate),
        GateMetric::Recovery | GateMetric::Duplicates | GateMetric::Reordered => false,
    }
}

/// Whether the target kept the limit in all that was given to a connection.
fn kept_but_for_waiting(case: &Case, gate: &Gate) -> bool {
    match gate.metric {
        GateMetric::P50 | GateMetric::P99 | GateMetric::P999 => {
            let services = case.figures.timing.services(gate.phase).percentiles();
            services.of(gate.metric).is_some_and(|seconds| seconds <= gate.limit)
        }
        GateMetric::ErrorRate => {
            let counts = case.figures.timing.outcomes(gate.phase);
            let given = (counts.refused + counts.unknown) as f64 / counts.due.max(1) as f64;
            given <= gate.limit && case.figures.pace.counts.no_instance == 0
        }
        GateMetric::Recovery | GateMetric::Duplicates | GateMetric::Reordered => false,
    }
}

/// The floors whose miss voids every figure of the target's.
fn missed_floors(case: &Case) -> Vec<&'static str> {
    let floors = [
        (answers::holds(case), "too few operations were acknowledged"),
        (case.figures.conserved.holds() && case.figures.soundness.ledger.is_none(), "the ledger is not whole"),
        (case.figures.pace.carries_gates(&case.plan.load), "the generator did not ask what the plan asks for"),
    ];
    floors.into_iter().filter(|(holds, _)| !holds).map(|(_, why)| why).collect()
}

fn measured(case: &Case, gate: &Gate) -> Measured {
    match gate.metric {
        GateMetric::P50 => percentile(case, gate, 2),
        GateMetric::P99 => percentile(case, gate, 100),
        GateMetric::P999 => percentile(case, gate, 1000),
        GateMetric::ErrorRate => error_rate(case, gate),
        GateMetric::Recovery => recovery::measured(case),
        GateMetric::Duplicates => seen_by_witness(case, |order| order.duplicates),
        GateMetric::Reordered => seen_by_witness(case, |order| order.reordered),
    }
}

/// Without a sound witness a count of writes is not observable, which is not 0.
fn seen_by_witness(case: &Case, pick: fn(&OrderCounts) -> u64) -> Measured {
    match &case.figures.order {
        Some(order) => Measured::Value(pick(order) as f64),
        None => Measured::Nothing("not observable: there is no witness that could be relied on".to_owned()),
    }
}

/// A percentile of fewer values than its own denominator is only their maximum: no data.
fn percentile(case: &Case, gate: &Gate, needed: u64) -> Measured {
    let responses = case.figures.timing.responses(gate.phase).percentiles();
    match responses.count {
        count if count < needed => {
            Measured::Nothing(format!("{count} response times {}, fewer than the {needed} that it takes", when(gate)))
        }
        _ => Measured::Value(responses.of(gate.metric).expect("only limits of latency are set on a percentile")),
    }
}

fn error_rate(case: &Case, gate: &Gate) -> Measured {
    let counts = case.figures.timing.outcomes(gate.phase);
    match counts.due {
        0 => Measured::Nothing(format!("nothing was due {}", when(gate))),
        due => Measured::Value(counts.errors() as f64 / due as f64),
    }
}

/// The share of what was due that found nobody listening, where the gate is one of errors.
fn refused_connections(case: &Case, gate: &Gate) -> f64 {
    if gate.metric != GateMetric::ErrorRate {
        return 0.0;
    }
    let timing = &case.figures.timing;
    timing.nobody_listened(gate.phase) as f64 / timing.outcomes(gate.phase).due.max(1) as f64
}

fn when(gate: &Gate) -> String {
    gate.phase.map_or_else(|| "in the run".to_owned(), |phase| format!("in phase {}", phase.word()))
}

fn show(gate: &Gate, value: f64) -> String {
    match gate.metric {
        GateMetric::P50 | GateMetric::P99 | GateMetric::P999 => format!("{:.1} ms", value * 1e3),
        GateMetric::ErrorRate => format!("{:.3} %", value * 100.0),
        GateMetric::Recovery => format!("{value:.1} s"),
        GateMetric::Duplicates => format!("{value} writes seen more than once"),
        GateMetric::Reordered => format!("{value} writes seen after a newer one of their row"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned::{self, Canned};
    use crate::load::{Attempt, Outcome};
    use crate::plan::RunPhase;
    use crate::readback::{Sighting, Source};
    use crate::strain::Strain;

    fn verdict_of(gate: Gate, change: impl FnOnce(&mut Canned)) -> Verdict {
        let mut canned = canned::healthy();
        canned.plan.gates = vec![gate.clone()];
        change(&mut canned);
        canned.judge().finding(&gate.name()).verdict
    }

    fn gate(metric: GateMetric, phase: Option<RunPhase>, limit: f64) -> Gate {
        Gate { metric, phase, limit }
    }

    fn slow_in_faults(canned: &mut Canned) {
        let phases = super::super::phases::Phases::of(&canned.plan, &canned.evidence.incidents);
        canned.attempts(|attempts| {
            for a in attempts.iter_mut().filter(|a| phases.at(a.due) == RunPhase::Fault) {
                a.done = Some(a.due.plus(Duration::from_millis(300)));
            }
        });
    }

    #[test]
    fn a_figure_within_its_limit_passes_and_one_beyond_it_fails() {
        for metric in [GateMetric::P50, GateMetric::P99, GateMetric::P999] {
            assert_eq!(verdict_of(gate(metric, None, 0.1), |_| ()), Verdict::Pass);
            assert_eq!(verdict_of(gate(metric, None, 0.0001), |_| ()), Verdict::Fail);
        }
    }

    #[test]
    fn a_gate_is_judged_in_its_own_phase() {
        assert_eq!(verdict_of(gate(GateMetric::P99, Some(RunPhase::Steady), 0.1), slow_in_faults), Verdict::Pass);
        assert_eq!(verdict_of(gate(GateMetric::P99, Some(RunPhase::Fault), 0.1), slow_in_faults), Verdict::Fail);
    }

    #[test]
    fn a_gate_without_data_is_inconclusive() {
        let no_faults = |canned: &mut Canned| canned.evidence.incidents.steps.clear();
        for metric in [GateMetric::P99, GateMetric::ErrorRate, GateMetric::Recovery] {
            assert_eq!(verdict_of(gate(metric, Some(RunPhase::Fault), 9.0), no_faults), Verdict::Inconclusive);
        }
    }

    #[test]
    fn an_unknown_counts_in_the_latency_gate_at_the_time_out() {
        let unknowns = |canned: &mut Canned| {
            canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % 40 == 0).for_each(canned::forget));
        };
        assert_eq!(verdict_of(gate(GateMetric::P99, None, 1.9), unknowns), Verdict::Fail);
    }

    #[test]
    fn refused_unknown_and_not_sent_all_count_as_errors() {
        let limit = gate(GateMetric::ErrorRate, None, 0.001);
        assert_eq!(verdict_of(limit.clone(), |_| ()), Verdict::Pass);
        for change in [canned::refuse, canned::forget, canned::not_sent] {
            let spoilt = |canned: &mut Canned| {
                canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % 200 == 0).for_each(change));
            };
            assert_eq!(verdict_of(limit.clone(), spoilt), Verdict::Fail);
        }
    }

    #[test]
    fn writes_that_the_witness_saw_twice_or_out_of_order_fail_their_gates_whatever_the_generator_did() {
        for (metric, seq) in [(GateMetric::Duplicates, 0), (GateMetric::Reordered, 1)] {
            let gate = gate(metric, None, 0.0);
            assert_eq!(verdict_of(gate.clone(), |_| ()), Verdict::Pass, "{metric:?}");
            let again = |canned: &mut Canned| {
                canned.plan.load.rate_floor = 2.0;
                canned.sightings(|sightings| {
                    let newest = sightings.iter().max_by_key(|seen| seen.new_seq).copied().expect("hot keys");
                    let order = sightings.iter().map(|seen| seen.order).max().unwrap_or(0) + 1;
                    sightings.push(Sighting { order, new_seq: newest.new_seq - seq, ..newest });
                });
            };
            assert_eq!(verdict_of(gate.clone(), again), Verdict::Fail, "{metric:?}");
            let blind = |canned: &mut Canned| canned.state().witness = Source::Gap { why: "no such table".into() };
            assert_eq!(verdict_of(gate, blind), Verdict::Inconclusive, "{metric:?}");
        }
    }

    #[test]
    fn a_missed_floor_voids_a_gate_whatever_its_figure() {
        let errors = |canned: &mut Canned| {
            canned.attempts(|attempts| attempts.iter_mut().for_each(|a| a.outcome = Outcome::Unknown));
        };
        assert_eq!(verdict_of(gate(GateMetric::ErrorRate, None, 0.001), errors), Verdict::Inconclusive);
        let late = |canned: &mut Canned| {
            canned.attempts(|attempts| {
                for a in attempts.iter_mut().filter(|a| a.op % 20 == 0) {
                    a.woke = a.due.plus(Duration::from_millis(500));
                    (a.free, a.sent, a.done) = (a.woke, Some(a.woke), Some(a.woke.plus(Duration::from_millis(1))));
                }
            });
        };
        assert_eq!(verdict_of(gate(GateMetric::P99, None, 0.1), late), Verdict::Inconclusive);
        assert_eq!(verdict_of(gate(GateMetric::P99, None, 0.1), Canned::tear), Verdict::Inconclusive);
    }

    #[test]
    fn a_limit_that_only_waiting_missed_accuses_nobody_where_connections_were_too_few() {
        let verdict = |connections, service_ms| {
            let slow = |canned: &mut Canned| {
                canned.plan.load.connections = connections;
                canned.plan.target.slots.retain(|slot| slot.number == 1);
                canned.attempts(|attempts| {
                    for a in attempts.iter_mut() {
                        a.free = a.woke.plus(Duration::from_millis(500));
                        (a.sent, a.done) = (Some(a.free), Some(a.free.plus(Duration::from_millis(service_ms))));
                    }
                });
            };
            verdict_of(gate(GateMetric::P99, None, 0.1), slow)
        };
        assert_eq!(verdict(1, 20), Verdict::Inconclusive, "two would have been busy");
        assert_eq!(verdict(1, 200), Verdict::Fail, "the answers alone took too long");
        assert_eq!(verdict(50, 20), Verdict::Fail, "there were enough: it stalled");
    }

    #[test]
    fn a_limit_that_was_missed_while_a_thread_of_ours_had_no_time_left_accuses_nobody() {
        let strained = |gate: &Gate, saturated_ms, change: &dyn Fn(&mut Attempt)| {
            verdict_of(gate.clone(), |canned| {
                let saturated = Duration::from_millis(saturated_ms);
                canned.evidence.incidents.strain = Some(Strain { lasted: Duration::from_secs(60), saturated });
                canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % 40 == 0).for_each(change));
            })
        };
        let (p99, errors) = (gate(GateMetric::P99, None, 0.1), gate(GateMetric::ErrorRate, None, 0.001));
        let slow = |a: &mut Attempt| a.done = Some(a.due.plus(Duration::from_millis(300)));
        assert_eq!(strained(&p99, 2_000, &slow), Verdict::Inconclusive);
        assert_eq!(strained(&p99, 0, &slow), Verdict::Fail);
        assert_eq!(strained(&p99, 60_000, &|_| ()), Verdict::Pass, "kept in spite of it");
        assert_eq!(strained(&errors, 2_000, &canned::refuse), Verdict::Fail, "an answer is an answer");
    }

    #[test]
    fn a_missed_limit_of_errors_says_what_they_were() {
        let mut canned = canned::healthy();
        let errors = gate(GateMetric::ErrorRate, None, 0.001);
        canned.plan.gates = vec![errors.clone()];
        canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % 200 == 0).for_each(canned::refuse));
        let details = canned.judge().finding(&errors.name()).details.concat();
        assert!(details.starts_with("in the whole run, not acknowledged: ") && details.contains(" × "), "{details}");
    }

    #[test]
    fn a_target_without_any_instance_in_rotation_fails_its_error_gate() {
        let away = |canned: &mut Canned| {
            canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % 20 == 0).for_each(canned::not_sent));
        };
        assert_eq!(verdict_of(gate(GateMetric::ErrorRate, None, 0.001), away), Verdict::Fail);
    }
}
