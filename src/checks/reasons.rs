//! Reasons: why what was not acknowledged was not.
//!
//! In: operations, as they ended. Out: the most frequent reasons in words, so that a report says which status a target
//! answers with, though nobody kept single requests.

use std::collections::BTreeMap;

use crate::load::ledger::Reason;
use crate::load::{Attempt, Outcome};

/// So many are named; the others are counted.
const NAMED: usize = 3;

/// Operations that were not acknowledged, by reason and HTTP status.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons(BTreeMap<(Reason, u16), u64>);

impl Reasons {
    pub fn record(&mut self, operation: &Attempt) {
        if operation.outcome != Outcome::Acked {
            *self.0.entry((operation.reason, operation.status)).or_default() += 1;
        }
    }

    /// Another shard's, on top.
    pub fn add(&mut self, other: &Reasons) {
        other.0.iter().for_each(|(why, count)| *self.0.entry(*why).or_default() += count);
    }

    /// `12 × status 404, 3 × no answer in time`; `None`: everything was acknowledged.
    pub fn in_words(&self) -> Option<String> {
        let mut all: Vec<_> = self.0.iter().map(|(why, count)| (*count, *why)).collect();
        all.sort_by_key(|(count, why)| (std::cmp::Reverse(*count), *why));
        let (named, others) = all.split_at(all.len().min(NAMED));
        let named = named.iter().map(|(count, (reason, status))| format!("{count} × {}", words(*reason, *status)));
        let others: u64 = others.iter().map(|(count, _)| count).sum();
        let told: Vec<String> = named.chain((others > 0).then(|| format!("{others} for other reasons"))).collect();
        (!told.is_empty()).then(|| format!("not acknowledged: {}", told.join(", ")))
    }
}

fn words(reason: Reason, status: u16) -> String {
    let words = match reason {
        Reason::Answer => return format!("status {status}"),
        Reason::NotStored => return format!("status {status}, not stored"),
        Reason::ConnectRefused => "no connection (refused, or not in time)",
        Reason::TimedOut => "no answer in time",
        Reason::Reset => "the connection ended under the request",
        Reason::BadAnswer => "an answer that was cut off, or is no HTTP that says where it ends",
        Reason::WrongEcho => "an answer to another request",
        Reason::Open => "still open at the end",
        Reason::NoInstance => "no instance in rotation",
        Reason::LoadOver => "never sent, for want of a free connection",
        Reason::NotProcessed => "not processed, as the target said",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;

    #[test]
    fn the_most_frequent_are_named_and_the_others_counted() {
        let mut reasons = Reasons::default();
        assert_eq!(reasons.in_words(), None);
        let mut ended = |times, reason, status| {
            let canned = canned::load_test();
            let any = canned.evidence.ledger.attempts().next().expect("a load has some");
            let outcome = if status == 202 { Outcome::Acked } else { Outcome::Unknown };
            (0..times).for_each(|_| reasons.record(&Attempt { reason, status, outcome, ..any }));
        };
        ended(9, Reason::Answer, 202);
        ended(2, Reason::TimedOut, 0);
        ended(5, Reason::Answer, 500);
        ended(3, Reason::Answer, 404);
        ended(1, Reason::Reset, 0);
        ended(1, Reason::Open, 0);
        let told = "not acknowledged: 5 × status 500, 3 × status 404, 2 × no answer in time, 2 for other reasons";
        assert_eq!(reasons.in_words().as_deref(), Some(told));
    }
}
