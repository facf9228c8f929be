//! The settling part of a plan.

use std::time::Duration;

use crate::plan::{SettlePlan, WorkerPlan};
use crate::scenario::{Period, Place, Scenario};

use super::target::period;
use super::{Remarks, defaults};

pub fn resolve(scenario: &Scenario, worker: &WorkerPlan, remarks: &mut Remarks) -> SettlePlan {
    let settle = &scenario.settle;
    let quiet = worker.flush_interval + worker.lease + worker.redrive_scan + worker.backoff_max;
    let defaults = defaults::settle(quiet);
    let plan = SettlePlan {
        deadline: period(&settle.deadline, defaults.deadline),
        hard_cap: period(&settle.hard_cap, defaults.hard_cap),
        ..defaults
    };
    if settle.deadline.is_readable() && settle.hard_cap.is_readable() {
        check_order(scenario, &plan, remarks);
    }
    plan
}

/// quiet < deadline ≤ hard cap: otherwise no wait could end as "quiet", or none as "stuck".
fn check_order(scenario: &Scenario, plan: &SettlePlan, remarks: &mut Remarks) {
    let words = |d: Duration| Period(d).to_string();
    let (settle, nowhere) = (&scenario.settle, Place::Named("settle".to_owned()));
    if plan.deadline <= plan.quiet {
        let place = settle.deadline.place().or(scenario.target.lease.place()).unwrap_or(&nowhere);
        let message = format!("the deadline ({}) is over before anything can count as quiet", words(plan.deadline));
        let help =
            format!("write more than {}: flush interval + lease + redrive scan + longest back-off", words(plan.quiet));
        remarks.problem(place, message, help);
    }
    if plan.hard_cap < plan.deadline {
        let place = settle.hard_cap.place().or(settle.deadline.place()).unwrap_or(&nowhere);
        let message =
            format!("the hard cap ({}) comes before the deadline ({})", words(plan.hard_cap), words(plan.deadline));
        remarks.problem(place, message, "write a hard cap that is no shorter than the deadline");
    }
}
