//! Generator health: was the load that was asked for really asked?
//!
//! In: the ledger's own times. Out: INCONCLUSIVE where the generator woke late, or too few operations were sent within
//! the tolerance of their due time. In every tool the generator's own lateness looks like the target's.
//!
//! # Why what the target delays is told apart
//! An operation that found no instance in rotation, or no free connection, was not sent in time, so it misses the
//! asked rate, and a run that misses it cannot pass. But the generator did its part, and response times count from
//! when an operation was due: such a miss does not void the gates, or a target that is wholly away could never fail
//! its error gate, nor a slow one its latency gate.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Case, Evidence, Finding, Percentiles, operations};
use crate::clock::Offset;
use crate::load::latency::Durations;
use crate::load::ledger::Reason;
use crate::load::{Attempt, Outcome};
use crate::plan::{LoadPlan, Plan};

/// How punctual the generator was, in operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Punctuality {
    pub due: u64,
    /// Sent within the tolerance of their due time.
    pub on_time: u64,
    /// Of the others: no instance was in rotation.
    pub no_instance: u64,
    /// Of the others: we woke too late.
    pub woke_late: u64,
    /// Of the others: no connection was free in time.
    pub no_connection: u64,
    /// Of all: open when the load's grace was over; each counts at its age.
    pub open_at_end: u64,
    /// How late we woke.
    pub lag_ms_p99: f64,
    /// When the last acknowledgement came.
    pub last_acked: Offset,
    /// The share of the load in which a thread that sends had no processor time left; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturated: Option<f64>,
    /// Response times, how late we woke taken off; `None`: a run of before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_lag_ms: Option<Percentiles>,
}

/// A p99 is the worst hundredth: so much of the time can be all of it.
const SATURATION_TOLERATED: f64 = 0.01;

impl Punctuality {
    /// Why times that were measured, and what waited for a connection, may be our own doing: a thread that has no time left
    /// hears answers late.
    pub fn strained(&self) -> Option<String> {
        let share = self.saturated.filter(|share| *share > SATURATION_TOLERATED)?;
        Some(format!("a thread of mxctl's that sends had no processor time left in {:.0} % of the load", share * 100.0))
    }
}

/// The same, while it is being counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// All but the own lag.
    pub counts: Punctuality,
    lag: Durations,
}

impl Pace {
    pub fn of(plan: &Plan, evidence: &Evidence) -> Self {
        let mut pace = Pace::default();
        for operation in operations::operations(&evidence.ledger) {
            pace.record(&operation, plan.load.rate_tolerance);
        }
        pace
    }

    pub fn record(&mut self, operation: &Attempt, tolerance: Duration) {
        self.lag.record(lag(operation));
        self.count(operation, tolerance);
    }

    /// All but the own lag, which whoever counts has already.
    pub fn count(&mut self, operation: &Attempt, tolerance: Duration) {
        self.counts.due += 1;
        self.counts.open_at_end += u64::from(matches!(operation.reason, Reason::Open | Reason::LoadOver));
        if let (Outcome::Acked, Some(done)) = (operation.outcome, operation.done) {
            self.counts.last_acked = self.counts.last_acked.max(done);
        }
        if on_time(operation, tolerance) {
            self.counts.on_time += 1;
        } else if operation.reason == Reason::NoInstance {
            self.counts.no_instance += 1;
        } else if lag(operation) > tolerance {
            self.counts.woke_late += 1;
        } else {
            self.counts.no_connection += 1;
        }
    }

    /// With the own lags of what was counted.
    pub fn with_lags(self, lag: Durations) -> Pace {
        Pace { lag, ..self }
    }

    /// Another shard's, on top.
    pub fn add(&mut self, other: &Pace) {
        self.counts.due += other.counts.due;
        self.counts.on_time += other.counts.on_time;
        self.counts.no_instance += other.counts.no_instance;
        self.counts.woke_late += other.counts.woke_late;
        self.counts.no_connection += other.counts.no_connection;
        self.counts.open_at_end += other.counts.open_at_end;
        self.counts.last_acked = self.counts.last_acked.max(other.counts.last_acked);
        self.lag.add(&other.lag);
    }

    pub fn told(&self) -> Punctuality {
        Punctuality { lag_ms_p99: self.lag.percentiles().p99, ..self.counts }
    }

    pub fn lag_p99(&self) -> Duration {
        Duration::from_secs_f64(self.lag.percentiles().p99 / 1e3)
    }

    /// The share of what was due that was sent in time.
    pub fn share(&self) -> f64 {
        self.counts.on_time as f64 / self.counts.due.max(1) as f64
    }

    pub fn keeps_rate(&self, load: &LoadPlan) -> bool {
        self.counts.due > 0 && self.share() >= load.rate_floor
    }

    pub fn wakes_in_time(&self, load: &LoadPlan) -> bool {
        self.counts.due > 0 && self.lag_p99() <= load.own_lag_limit
    }

    /// Whether figures of the target may rest on this load.
    pub fn carries_gates(&self, load: &LoadPlan) -> bool {
        let asked = (self.counts.due - self.counts.woke_late) as f64 / self.counts.due.max(1) as f64;
        self.wakes_in_time(load) && asked >= load.rate_floor
    }

    /// What an open loop does with operations that found every connection busy, where there were some.
    pub fn waited(&self, load: &LoadPlan) -> Vec<String> {
        let said = (self.counts.no_connection > 0).then(|| {
            format!(
                "{} operations waited more than {:?} for a free connection; what waits is sent as soon as one is free, \
                 all at once after a stall",
                self.counts.no_connection, load.rate_tolerance
            )
        });
        said.into_iter().collect()
    }

    /// What would have made it punctual.
    fn remedies(&self, load: &LoadPlan, instances: usize, service: Duration, strained: Option<String>) -> Vec<String> {
        let (mut remedies, late) = (Vec::new(), !self.keeps_rate(load));
        if !self.wakes_in_time(load) || (late && self.counts.woke_late > 0) {
            remedies.push(threads_remedy("for what woke late", load));
        }
        match strained {
            Some(strained) if late => remedies.push(threads_remedy(&strained, load)),
            _ if late && self.counts.no_connection > 0 && load.closed.is_none() => {
                remedies.push(connections_remedy(load, instances, service));
            }
            _ => {}
        }
        if late && self.counts.no_instance > 0 {
            remedies.push(
                "for want of an instance: none that was in rotation took connections; see the target's log".to_owned(),
            );
        }
        remedies
    }

    /// What keeps this load from being the one that was asked for, one sentence each.
    pub fn problems(&self, load: &LoadPlan) -> Vec<String> {
        let mut problems = Vec::new();
        if self.counts.due == 0 {
            problems.push("nothing was due".to_owned());
            return problems;
        }
        if !self.wakes_in_time(load) {
            problems.push(format!(
                "own lag p99 is {:.1?}, above its limit of {:?}",
                self.lag_p99(),
                load.own_lag_limit
            ));
        }
        if !self.keeps_rate(load) {
            problems.push(format!(
                "{:.2} % of what was due was sent within {:?} of its time, below the floor of {} % (too late: {} as we \
                 woke late, {} for want of a free connection; {} found no instance in rotation)",
                self.share() * 100.0,
                load.rate_tolerance,
                load.rate_floor * 100.0,
                self.counts.woke_late,
                self.counts.no_connection,
                self.counts.no_instance
            ));
        }
        problems
    }
}

pub(super) fn threads_remedy(why: &str, load: &LoadPlan) -> String {
    let threads = if load.shards == 1 { "1 thread sent".to_owned() } else { format!("{} threads sent", load.shards) };
    format!("{why}: {threads}; more `--threads` where processors are free, or another machine")
}

/// What a remedy asks for beyond the mean: arrivals and answers are never quite even.
const CONNECTIONS_SPARE: f64 = 1.5;
/// More of them no plan may ask for.
const CONNECTIONS_MAX: u64 = 10_000;

/// By Little's law (L = λW): so many are busy on average where answers take as long as they took.
fn connections_remedy(load: &LoadPlan, instances: usize, service: Duration) -> String {
    let busy = load.shape.peak_rps() * service.as_secs_f64() / instances.max(1) as f64;
    let enough = (busy * CONNECTIONS_SPARE).ceil() as u64;
    let keeps = format!(
        "for want of a connection: answers took {service:.1?} on average, which at this rate keeps {busy:.0} connections to an \
         instance busy (Little's law)"
    );
    match enough {
        CONNECTIONS_MAX.. => {
            format!("{keeps}: the target, or this machine, is at its limit; a lower rate, or another machine")
        }
        _ if enough > load.connections.into() => format!("{keeps}; `--connections {enough}` carries it while they do"),
        _ => format!("{keeps}, and there were {}: the target stalled meanwhile", load.connections),
    }
}

/// Why what waited for a connection may have waited for want of ours: even answers as quick as the quickest tenth keep as
/// many as there are busy (Little's law), so nobody knows what more of them would have carried. A target that stalled, or
/// grew slow under load, has quicker ones.
pub(super) fn too_few_connections(case: &Case) -> Option<String> {
    let (load, services) = (&case.plan.load, case.figures.timing.services(None));
    let quick = Duration::from_nanos(services.0.value_at_quantile(0.1));
    let there = u64::from(load.connections) * instances(case) as u64;
    let busy = load.shape.peak_rps() * quick.as_secs_f64();
    let short = load.closed.is_none() && case.figures.pace.counts.no_connection > 0 && busy >= there as f64;
    short.then(|| {
        format!("answers in {quick:.1?}, the quickest tenth, keep {busy:.0} connections busy at this rate, and there were {there}")
    })
}

/// Those that answer requests when the load begins.
fn instances(case: &Case) -> usize {
    match case.plan.url {
        Some(_) => 1,
        None => case.plan.target.slots.iter().filter(|slot| slot.role.answers_requests()).count(),
    }
}

/// On average.
fn service(case: &Case) -> Duration {
    Duration::from_nanos(case.figures.timing.histograms().service.0.mean() as u64)
}

/// How late we woke for it.
pub(super) fn lag(operation: &Attempt) -> Duration {
    operation.woke.since(operation.due)
}

/// A refused connect was asked for in time though no byte was sent.
pub(super) fn on_time(operation: &Attempt, tolerance: Duration) -> bool {
    let asked = operation.sent.unwrap_or(operation.free);
    operation.outcome != Outcome::NotSent && asked.since(operation.due) <= tolerance
}

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let (pace, load) = (&case.figures.pace, &case.plan.load);
    let mut problems = pace.problems(load);
    let late = case.figures.stops.iter().filter(|stop| stop.pace.counts.due > 0 && !stop.pace.wakes_in_time(load));
    problems.extend(late.map(|stop| {
        let (lag, limit) = (stop.pace.lag_p99(), load.own_lag_limit);
        format!("own lag p99 was {lag:.1?} in the window of {}, above the limit of {limit:?}", stop.id)
    }));
    let late = case.figures.disturbances.iter().filter(|one| one.pace.counts.due > 0 && !one.pace.wakes_in_time(load));
    problems.extend(late.map(|one| {
        let (lag, limit) = (one.pace.lag_p99(), load.own_lag_limit);
        format!("own lag p99 was {lag:.1?} around {}, above the limit of {limit:?}", one.id)
    }));
    let figures = format!(
        "{:.2} % sent within {:?}, own lag p99 {:.1?}",
        pace.share() * 100.0,
        load.rate_tolerance,
        pace.lag_p99()
    );
    match problems.is_empty() {
        true => vec![Finding::pass("generator", figures).because(pace.waited(load))],
        false => {
            let summary = format!("the generator did not ask what the plan asks for: {figures}");
            problems.extend(pace.waited(load));
            let strained = case.figures.punctuality(case.evidence).strained();
            problems.extend(pace.remedies(load, instances(case), service(case), strained));
            vec![Finding::inconclusive("generator", summary).because(problems)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Verdict;
    use crate::checks::canned::{self, Canned};

    fn verdict(change: impl FnOnce(&mut Canned)) -> Verdict {
        let mut canned = canned::healthy();
        change(&mut canned);
        let judgement = canned.judge();
        assert_ne!(judgement.verdict, Verdict::Fail, "lateness of our own accuses nobody");
        judgement.finding("generator").verdict
    }

    /// Wakes late for this share of operations, and sends at once then.
    fn late(canned: &mut Canned, one_in: u64, by: Duration) {
        canned.attempts(|attempts| {
            for a in attempts.iter_mut().filter(|a| a.op % one_in == 0) {
                (a.woke, a.free) = (a.due.plus(by), a.due.plus(by));
                (a.sent, a.done) = (Some(a.free), Some(a.free.plus(Duration::from_millis(2))));
            }
        });
    }

    #[test]
    fn a_punctual_generator_passes() {
        assert_eq!(verdict(|_| ()), Verdict::Pass);
    }

    #[test]
    fn own_lag_beyond_its_limit_is_inconclusive_though_the_rate_is_kept() {
        assert_eq!(verdict(|c| late(c, 50, Duration::from_millis(30))), Verdict::Inconclusive);
        let mut canned = canned::load_test();
        (canned.plan.load.rate_tolerance, canned.plan.load.own_lag_limit) =
            (Duration::from_secs(1), Duration::from_millis(20));
        late(&mut canned, 50, Duration::from_millis(30));
        let pace = Pace::of(&canned.plan, &canned.evidence);
        assert!(pace.keeps_rate(&canned.plan.load) && !pace.wakes_in_time(&canned.plan.load));
        assert!((29..32).contains(&pace.lag_p99().as_millis()), "{:?}", pace.lag_p99());
        assert_eq!(canned.judge().finding("generator").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn waiting_for_a_connection_misses_the_asked_rate_and_is_no_lag_of_our_own() {
        let mut canned = canned::healthy();
        canned.attempts(|attempts| {
            for a in attempts.iter_mut().filter(|a| a.op % 50 == 0) {
                (a.free, a.sent) = (a.due.plus(Duration::from_millis(40)), Some(a.due.plus(Duration::from_millis(40))));
                a.done = Some(a.due.plus(Duration::from_millis(42)));
            }
        });
        let pace = Pace::of(&canned.plan, &canned.evidence);
        assert!(pace.wakes_in_time(&canned.plan.load) && !pace.keeps_rate(&canned.plan.load));
        assert_eq!(pace.counts.woke_late, 0);
        assert_eq!(canned.judge().finding("generator").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn what_waited_for_a_connection_is_told_whether_the_rate_was_kept_or_not() {
        for (one_in, verdict) in [(100, Verdict::Pass), (50, Verdict::Inconclusive)] {
            let mut canned = canned::healthy();
            let mut waited = 0;
            canned.attempts(|attempts| {
                for a in attempts.iter_mut().filter(|a| a.op % one_in == 0) {
                    a.free = a.due.plus(Duration::from_millis(40));
                    (a.sent, a.done) = (Some(a.free), Some(a.free.plus(Duration::from_millis(2))));
                    waited += 1;
                }
            });
            let finding = canned.judge().finding("generator").clone();
            let said = format!(
                "{waited} operations waited more than 20ms for a free connection; what waits is sent as soon as one is free, \
                 all at once after a stall"
            );
            assert_eq!(finding.verdict, verdict);
            assert_eq!(finding.details.iter().filter(|detail| **detail == said).count(), 1, "{:#?}", finding.details);
        }
        assert!(canned::healthy().judge().finding("generator").details.is_empty());
    }

    #[test]
    fn an_empty_rotation_and_busy_connections_miss_the_rate_and_do_not_void_the_gates() {
        let busy = |a: &mut Attempt| {
            a.free = a.due.plus(Duration::from_millis(300));
            (a.sent, a.done) = (Some(a.free), Some(a.free.plus(Duration::from_millis(2))));
        };
        for change in [canned::not_sent, busy] {
            let mut canned = canned::healthy();
            canned.attempts(|attempts| attempts.iter_mut().filter(|a| a.op % 20 == 0).for_each(change));
            let pace = Pace::of(&canned.plan, &canned.evidence);
            assert!(!pace.keeps_rate(&canned.plan.load) && pace.carries_gates(&canned.plan.load));
        }
    }

    #[test]
    fn a_stall_of_half_a_second_exactly_at_a_stop_is_inconclusive() {
        let mut canned = canned::healthy();
        let struck = canned.struck(canned::LAST_STOP);
        canned.attempts(|attempts| {
            let until = struck.plus(Duration::from_millis(500));
            for a in attempts.iter_mut().filter(|a| (struck..until).contains(&a.due)) {
                (a.woke, a.free) = (until, until);
                (a.sent, a.done) = (Some(until), Some(until.plus(Duration::from_millis(2))));
            }
        });
        let judgement = canned.judge();
        assert_eq!(judgement.finding("generator").verdict, Verdict::Inconclusive);
        assert_eq!(judgement.finding("F2").verdict, Verdict::Inconclusive);
    }

    /// Of the finding, and nothing but them.
    fn remedies(change: impl FnOnce(&mut Canned)) -> String {
        let mut canned = canned::load_test();
        change(&mut canned);
        let details = canned.judge().finding("generator").details.clone();
        details.into_iter().filter(|detail| detail.starts_with("for ")).collect()
    }

    #[test]
    fn what_woke_late_asks_for_threads_or_another_machine() {
        let told = remedies(|canned| late(canned, 20, Duration::from_millis(500)));
        assert!(told.contains("1 thread sent; more `--threads` where processors are free"), "{told}");
        assert!(!told.contains("--connections"), "{told}");
        assert_eq!(remedies(|_| ()), "");
    }

    #[test]
    fn want_of_a_connection_asks_for_as_many_as_little_s_law_says() {
        let waits = |service: u64| {
            move |canned: &mut Canned| {
                canned.plan.load.connections = 2;
                canned.attempts(|attempts| {
                    for a in attempts.iter_mut() {
                        a.free = a.woke.plus(Duration::from_millis(100));
                        (a.sent, a.done) = (Some(a.free), Some(a.free.plus(Duration::from_millis(service))));
                    }
                });
            }
        };
        let told = remedies(waits(200));
        assert!(told.contains("`--connections ") && !told.contains("--threads"), "{told}");
        assert!(remedies(waits(1)).contains("there were 2: the target stalled"), "{}", remedies(waits(1)));
    }

    #[test]
    fn a_refused_connect_was_asked_for_in_time() {
        let mut canned = canned::healthy();
        let op = canned.once(4);
        canned.attempt(op, |a| (a.outcome, a.reason, a.sent) = (Outcome::Refused, Reason::ConnectRefused, None));
        let attempt = canned.evidence.ledger.attempts().nth(op as usize).unwrap();
        assert!(on_time(&attempt, canned.plan.load.rate_tolerance));
    }
}
