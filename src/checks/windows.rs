//! Windows: what the ledger shows around each stop.
//!
//! In: the plan's stops, the timeline's record of each, the ledger. Out: for each stop its acks, the load's pace, the
//! requests that its victim left without an answer, and what a victim with a buffer of its own had not written yet.

use super::generator::Pace;
use super::spans::{self, Span, struck, touches};
use super::{Evidence, operations};
use crate::clock::Offset;
use crate::load::{Attempt, Outcome};
use crate::plan::{Plan, StopMode, StopPlan};
use crate::timeline::{Exposure, Incidents, StopRecord};

/// What the ledger shows around one stop.
#[derive(Debug, Clone)]
pub(super) struct StopFigures {
    pub id: String,
    window: Span,
    pub pace: Pace,
    /// Of writes, as the next one.
    pub acks: u64,
    pub acks_after_sigterm: u64,
    /// Requests to the victim that were not acknowledged, from the stop's begin on, until a paused one was ready again.
    pub failed: u64,
    /// Unknowns sent to the victim that the stop does not explain.
    pub unexplained: u64,
    /// Acked by the victim before the checkpoint, and not in it.
    pub unwritten: u64,
}

/// The figures of every planned stop that was recorded.
pub(super) fn figures(plan: &Plan, evidence: &Evidence) -> Vec<StopFigures> {
    let recorded =
        |planned| Some(Watcher::of(plan, planned, evidence.incidents.stop(&planned.id)?, &evidence.incidents));
    let mut watchers: Vec<Watcher> = plan.stops().filter_map(recorded).collect();
    for operation in operations::operations(&evidence.ledger) {
        for watcher in &mut watchers {
            watcher.see(&operation);
        }
    }
    watchers.into_iter().map(|watcher| watcher.figures).collect()
}

/// Follows the ledger through the window of one stop.
struct Watcher<'a> {
    plan: &'a Plan,
    record: &'a StopRecord,
    /// From the blow until the load generator surely knew that the victim was gone, or until it went on.
    open: Span,
    /// Nothing that is sent later is the stop's doing.
    over: Offset,
    /// Whatever was open then may have no answer for another reason than the stop.
    disturbed: Vec<Span>,
    figures: StopFigures,
}

impl<'a> Watcher<'a> {
    fn of(plan: &'a Plan, planned: &StopPlan, record: &'a StopRecord, incidents: &Incidents) -> Self {
        let struck = struck(record);
        let figures = StopFigures {
            id: planned.id.clone(),
            window: (struck.minus(planned.window), struck.plus(planned.window)),
            pace: Pace::default(),
            acks: 0,
            acks_after_sigterm: 0,
            failed: 0,
            unexplained: 0,
            unwritten: 0,
        };
        let over = if planned.mode == StopMode::Pause { record.healed } else { None }.unwrap_or(Offset(u64::MAX));
        let disturbed = incidents.disturbances().map(spans::disturbed).collect();
        Watcher { plan, record, open: (struck, ejected(plan, record, incidents)), over, disturbed, figures }
    }

    fn see(&mut self, operation: &Attempt) {
        let (from, to) = self.figures.window;
        if (from..to).contains(&operation.due) {
            self.figures.pace.record(operation, self.plan.load.rate_tolerance);
            self.figures.acks += u64::from(is_acked_write(operation));
        }
        if operation.instance == self.record.victim.id {
            self.see_at_victim(operation);
        }
    }

    fn see_at_victim(&mut self, operation: &Attempt) {
        let ended_in_it = operation.done.is_none_or(|done| done >= self.record.began)
            && operation.sent.unwrap_or(operation.due) < self.over;
        self.figures.failed += u64::from(operation.outcome != Outcome::Acked && ended_in_it);
        match operation.outcome {
            Outcome::Acked => {
                let after =
                    self.record.signalled.is_some_and(|signalled| operation.sent.is_some_and(|s| s > signalled));
                self.figures.acks_after_sigterm += u64::from(after && operation.lane.writes());
                self.figures.unwritten += u64::from(self.unwritten(operation));
            }
            Outcome::Unknown => {
                let disturbed = self.disturbed.iter().any(|span| touches(operation, *span));
                let unexplained = !was_open(operation, self.open) && operation.due < self.over && !disturbed;
                self.figures.unexplained += u64::from(unexplained);
            }
            Outcome::Refused | Outcome::NotSent => {}
        }
    }

    fn unwritten(&self, operation: &Attempt) -> bool {
        let Exposure::Unwritten(checkpoint) = &self.record.exposure else { return false };
        let Some(applied) = checkpoint.applied.read() else { return false };
        let before = operation.done.is_some_and(|done| done <= checkpoint.at);
        operation.lane.makes_rows() && before && !applied.has(operation.key, operation.seq.into())
    }
}

/// A read puts nothing at stake: it is no ack that a stop could break.
fn is_acked_write(operation: &Attempt) -> bool {
    operation.outcome == Outcome::Acked && operation.lane.writes()
}

/// A request that was open at some moment between the blow and the ejection may well have no answer.
fn was_open(operation: &Attempt, (struck, ejected): Span) -> bool {
    operation.sent.is_none_or(|sent| sent <= ejected) && operation.done.is_none_or(|done| done >= struck)
}

/// When the victim was out of rotation, or went on. A shard may still write to it until it has seen the table change,
/// which a probe's interval bounds generously.
fn ejected(plan: &Plan, record: &StopRecord, incidents: &Incidents) -> Offset {
    let struck = struck(record);
    let mut ejections = incidents.ejections.iter().filter(|ejection| ejection.id == record.victim.id);
    let ejection = ejections.find(|ejection| ejection.at >= struck).map(|ejection| ejection.at);
    let gone = ejection.or(record.exit.map(|exit| exit.at)).unwrap_or(struck);
    record.resumed.map_or(gone, |resumed| gone.max(resumed)).plus(plan.target.probe.interval)
}
