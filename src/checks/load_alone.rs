//! Judging load alone: the answers of a URL, and how punctually it was asked. No data is judged.
//!
//! In: the plan, and a ledger, or what a [`Census`](super::census::Census) counted. Out: a [`Judgement`] by the same
//! checks as any other, those of them that speak of load.

use super::census::Counted;
use super::conservation::Conserved;
use super::figures::Figures;
use super::{
    Case, Check, Evidence, Judgement, Strangers, Verdict, answers, conservation, gates, generator, guarded, interrupted,
};
use crate::load::Ledger;
use crate::load::latency::LaneHistograms;
use crate::load::ledger::Soundness;
use crate::plan::Plan;
use crate::timeline::Incidents;

/// What is known of a load that is over.
pub enum Basis {
    Ledger(Ledger),
    Counted(Box<Counted>),
}

/// The judgement, and the histograms that its percentiles are of.
pub struct LoadJudgement {
    pub judgement: Judgement,
    pub histograms: LaneHistograms,
}

const CHECKS: [(&str, Check); 5] = [
    ("interrupted", interrupted::check),
    ("conservation", conservation::check),
    ("generator", generator::check),
    ("answers", answers::check),
    ("gates", gates::check),
];

const NOT_ASSESSED: &str = "Data: what became of it in the target is not assessed; this was load alone";
const UNREAD: &str = "Strangers: what other processes took of this machine was not read: the load lasted less than a second, or \
                      nobody can see which process the target is";
const WITHOUT_LEDGER: &str = "Single requests: they were counted and not recorded (`--no-ledger`)";

pub fn judge_load(plan: &Plan, basis: Basis, incidents: Incidents) -> LoadJudgement {
    let (mut findings, mut not_assessed) = (Vec::new(), vec![NOT_ASSESSED.to_owned()]);
    let (evidence, figures) = match basis {
        Basis::Ledger(ledger) => {
            let evidence = evidence(ledger, incidents);
            let figures = Figures::of_load(plan, &evidence, &mut findings);
            (evidence, figures)
        }
        Basis::Counted(counted) => {
            not_assessed.push(WITHOUT_LEDGER.to_owned());
            let evidence = evidence(Ledger::canned(Vec::new(), Soundness::Sealed, counted.issued_until), incidents);
            let conserved = Conserved::counted(plan, &evidence, counted.counts);
            (evidence, Figures::counted(conserved, counted.timing, counted.pace))
        }
    };
    let strangers = guarded("strangers", &mut findings, || None, || Strangers::of(&evidence));
    not_assessed.extend(strangers.is_none().then(|| UNREAD.to_owned()));
    let figures = Figures { strangers, ..figures };
    let case = Case { plan, evidence: &evidence, figures: &figures, starts: &[], stops: &[], disturbances: &[] };
    for (name, check) in CHECKS {
        let found = guarded(name, &mut findings, Vec::new, || check(&case));
        findings.extend(found);
    }
    let judgement = Judgement {
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Inconclusive),
        findings,
        conservation: figures.conserved.counts,
        latency: figures.timing.lanes(),
        punctuality: Some(figures.punctuality(&evidence)),
        series: figures.timing.series.clone(),
        strangers,
        not_assessed,
        ..Judgement::empty()
    };
    LoadJudgement { judgement, histograms: figures.timing.histograms() }
}

fn evidence(ledger: Ledger, incidents: Incidents) -> Evidence {
    Evidence { ledger, interrupted: incidents.interrupted, incidents, state: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks::canned::{self, Canned};
    use crate::checks::census::Census;
    use crate::clock::Offset;
    use crate::load::ledger::{Part, Reason, Recorder};
    use crate::load::{Attempt, Outcome};
    use crate::plan::{Gate, GateMetric};
    use crate::timeline::incident::MachineReading;

    fn gate(metric: GateMetric, limit: f64) -> Gate {
        Gate { metric, phase: None, limit }
    }

    /// Others take so many processors for ten seconds.
    fn beside(others: f64) -> Incidents {
        let reading = |second: u64| MachineReading {
            at: Offset::from_duration(Duration::from_secs(second)),
            busy: Duration::from_secs_f64((1.0 + others) * second as f64),
            own: Duration::from_secs(second),
        };
        Incidents { machine: (0..=10).map(reading).collect(), ..Incidents::default() }
    }

    /// Of a gate, from the ledger, and from what was counted.
    fn verdicts(gate: Gate, others: f64, change: impl Fn(&mut Attempt)) -> [Verdict; 2] {
        let mut canned: Canned = canned::load_test();
        canned.plan.gates = vec![gate.clone()];
        canned.attempts(|attempts| attempts.iter_mut().for_each(change));
        let mut census = Census::new(&canned.plan.load, Part { run: canned.plan.run, shard: 0, shards: 1 });
        census.tell(&canned.evidence.ledger.attempts().collect::<Vec<_>>());
        let counted = Counted::sum(vec![census.close(canned.evidence.ledger.issued_until()).unwrap()]);
        [Basis::Ledger(canned.evidence.ledger), Basis::Counted(Box::new(counted))].map(|basis| {
            let judgement = judge_load(&canned.plan, basis, beside(others)).judgement;
            assert!((judgement.strangers.unwrap().mean - others).abs() < 1e-6);
            judgement.findings.iter().find(|finding| finding.check == gate.name()).unwrap().verdict
        })
    }

    #[test]
    fn a_limit_that_is_missed_beside_strangers_fails_no_url() {
        let slow = |others| verdicts(gate(GateMetric::P99, 0.0001), others, |_| ());
        assert_eq!(slow(0.0), [Verdict::Fail; 2]);
        assert_eq!(slow(0.9), [Verdict::Inconclusive; 2]);
        assert_eq!(verdicts(gate(GateMetric::P99, 0.1), 0.9, |_| ()), [Verdict::Pass; 2]);
    }

    #[test]
    fn where_nobody_listens_no_stranger_is_to_blame_counted_or_recorded() {
        let refused = |reason| {
            verdicts(gate(GateMetric::ErrorRate, 0.001), 0.9, move |attempt| {
                if attempt.op % 200 == 0 {
                    canned::refuse(attempt);
                    attempt.reason = reason;
                }
            })
        };
        assert_eq!(refused(Reason::ConnectRefused), [Verdict::Fail; 2]);
        assert_eq!(refused(Reason::NotStored), [Verdict::Inconclusive; 2]);
    }

    /// Four in a hundred.
    fn few(change: impl Fn(&mut Attempt)) -> impl Fn(&mut Attempt) {
        move |attempt| {
            if attempt.op % 25 == 0 {
                change(attempt);
            }
        }
    }

    #[test]
    fn a_slow_error_is_a_slow_answer_and_what_was_never_sent_is_none_that_was_quick() {
        let slow_error = few(|attempt| {
            (attempt.outcome, attempt.status) = (Outcome::Refused, 504);
            attempt.done = Some(attempt.due.plus(Duration::from_millis(1_900)));
        });
        assert_eq!(verdicts(gate(GateMetric::P99, 0.1), 0.0, slow_error), [Verdict::Fail; 2]);
        let never_sent = few(|attempt| {
            canned::not_sent(attempt);
            attempt.reason = Reason::LoadOver;
        });
        assert_eq!(verdicts(gate(GateMetric::P99, 0.1), 0.0, never_sent), [Verdict::Fail; 2]);
    }

    #[test]
    fn a_machine_that_was_not_read_is_said_to_be_unread() {
        let canned = canned::load_test();
        let judged = judge_load(&canned.plan, Basis::Ledger(canned.evidence.ledger), Incidents::default());
        assert_eq!(judged.judgement.strangers, None);
        assert!(judged.judgement.not_assessed.iter().any(|told| told == UNREAD));
    }
}
