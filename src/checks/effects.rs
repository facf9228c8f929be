//! Effects: what the ledger shows around each disturbance.
//!
//! In: the plan's disturbances, the timeline's record of each, the ledger. Out: for each its acks before, during and
//! after, the load's pace, and what it cost.

use super::generator::Pace;
use super::spans::{self, Span, touches};
use super::{Conservation, Evidence, latency, operations};
use crate::clock::Offset;
use crate::load::{Attempt, Outcome};
use crate::plan::{DisturbancePlan, Plan};
use crate::timeline::Incidents;

/// What the ledger shows around one disturbance.
#[derive(Debug, Clone)]
pub(super) struct DisturbanceFigures {
    pub id: String,
    /// From the act until it was undone.
    pub during: Span,
    /// The windows before and after it; the second ends where the next disturbance begins.
    pub before: Span,
    pub after: Span,
    /// Nothing could be stored in what was struck.
    pub outage: Option<Span>,
    pub cost: Conservation,
    pub acks_before: u64,
    pub acks_after: u64,
    pub acks_during: u64,
    pub pace: Pace,
}

/// The figures of every planned disturbance that was recorded.
pub(super) fn figures(plan: &Plan, evidence: &Evidence) -> Vec<DisturbanceFigures> {
    let mut all: Vec<DisturbanceFigures> = plan.disturbances().filter_map(|p| of(p, &evidence.incidents)).collect();
    let begins: Vec<Offset> = all.iter().map(|figures| figures.during.0).collect();
    for figures in &mut all {
        let next = begins.iter().copied().filter(|begin| *begin > figures.during.0).min();
        figures.after.1 = figures.after.1.min(next.unwrap_or(Offset(u64::MAX)));
    }
    for operation in operations::operations(&evidence.ledger) {
        for figures in &mut all {
            figures.see(&operation, plan);
        }
    }
    all
}

fn of(planned: &DisturbancePlan, incidents: &Incidents) -> Option<DisturbanceFigures> {
    let record = incidents.disturbance(&planned.id)?;
    let during = spans::disturbed(record);
    let outage = planned.disturbance.sheet().takes_no_write.then_some(record.done.zip(record.undone)).flatten();
    Some(DisturbanceFigures {
        id: planned.id.clone(),
        during,
        before: (during.0.minus(planned.window), during.0),
        after: (during.1, during.1.plus(planned.window)),
        outage,
        cost: Conservation::default(),
        acks_before: 0,
        acks_after: 0,
        acks_during: 0,
        pace: Pace::default(),
    })
}

impl DisturbanceFigures {
    fn see(&mut self, operation: &Attempt, plan: &Plan) {
        let within = |(from, to): Span| (from..to).contains(&operation.due);
        if within((self.before.0, self.after.1)) {
            self.pace.record(operation, plan.load.rate_tolerance);
        }
        if within((self.during.0, self.after.1)) || touches(operation, self.during) {
            latency::count(&mut self.cost, operation.outcome);
        }
        if operation.outcome == Outcome::Acked && operation.lane.writes() {
            self.acks_before += u64::from(within(self.before));
            self.acks_after += u64::from(within(self.after));
            self.acks_during += u64::from(self.outage.is_some_and(|outage| lies_in(operation, outage)));
        }
    }
}

/// Asked and answered within it.
fn lies_in(operation: &Attempt, (from, to): Span) -> bool {
    operation.sent.is_some_and(|sent| sent >= from) && operation.done.is_some_and(|done| done <= to)
}
