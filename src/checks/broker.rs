//! Broker: did what was acknowledged pass through the shared buffer that the plan names?
//!
//! In: what the broker's own push script counted, how many keys its server holds, and the acknowledged writes. Out: PASS
//! where it counted them all; FAIL where no push ever arrived: the service acknowledged from somewhere else (a misspelt
//! strategy that became the buffer in memory); INCONCLUSIVE where it counted fewer, or nothing was acknowledged. Nothing
//! for a private buffer.
//!
//! # Why the server's keys are counted
//! A probe that looks at a wrong key sees nothing either. But then the server holds other keys, and the probe is what is
//! wrong: that is for [`soundness`](super::soundness) to say. A server without any key, in which nothing was seen from
//! begin to end, was not used.

use super::{Case, Finding};
use crate::readback::{FinalState, QueueState};

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let Some(state) = case.evidence.state.as_ref().filter(|_| case.plan.target.strategy.shared()) else {
        return Vec::new();
    };
    let Some(queue) = state.queue.read() else { return Vec::new() };
    let soundness = &case.figures.soundness;
    if let Some(why) = soundness.records.as_ref().or(soundness.ledger.as_ref()) {
        return vec![Finding::inconclusive("broker", format!("how many tasks were acknowledged is not known: {why}"))];
    }
    let tasks = 3 * case.figures.classes.acked;
    let told = format!("{tasks} tasks were acknowledged, and the broker counted {} pushed", queue.accepted);
    vec![match queue.accepted {
        counted if counted >= tasks && tasks > 0 => Finding::pass("broker", told),
        0 if tasks > 0 && never_used(state, queue) => {
            let strategy = case.plan.target.strategy.word();
            Finding::fail("broker", format!("{told}, nor does it hold any key: the service did not use {strategy}"))
        }
        _ => Finding::inconclusive("broker", told),
    }]
}

fn never_used(state: &FinalState, queue: &QueueState) -> bool {
    !state.settle.probe_saw_something && queue.items.is_empty() && queue.keys == Some(0)
}

#[cfg(test)]
mod tests {
    use crate::checks::canned::{self, Canned};
    use crate::checks::{Judgement, Verdict};

    fn judged(change: impl FnOnce(&mut Canned)) -> Judgement {
        let mut canned = canned::healthy();
        change(&mut canned);
        canned.judge()
    }

    fn unused(canned: &mut Canned, keys: u64) {
        canned.blind_the_probe();
        canned.queue(|queue| queue.keys = Some(keys));
    }

    #[test]
    fn as_many_pushes_as_acknowledged_tasks_agree() {
        assert_eq!(judged(|_| ()).finding("broker").verdict, Verdict::Pass);
    }

    #[test]
    fn a_broker_that_was_never_used_fails_what_was_acknowledged_from_elsewhere() {
        let judgement = judged(|canned| unused(canned, 0));
        assert_eq!(judgement.finding("broker").verdict, Verdict::Fail);
        assert_eq!(judgement.verdict, Verdict::Fail);
    }

    #[test]
    fn a_probe_on_a_wrong_key_accuses_nobody() {
        let judgement = judged(|canned| unused(canned, 4));
        assert_eq!(judgement.finding("broker").verdict, Verdict::Inconclusive);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        let judgement = judged(|canned| canned.blind_the_probe());
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "nor where nobody counted the keys");
    }

    #[test]
    fn fewer_pushes_than_acknowledged_tasks_are_no_pass() {
        let judgement = judged(|canned| canned.queue(|queue| queue.accepted = 3));
        assert_eq!(judgement.finding("broker").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_torn_ledger_does_not_say_how_many_there_must_be() {
        let judgement = judged(|canned| {
            canned.tear();
            unused(canned, 0);
        });
        assert_eq!(judgement.finding("broker").verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_private_buffer_has_no_broker() {
        assert!(canned::in_memory().judge().findings.iter().all(|finding| finding.check != "broker"));
    }
}
