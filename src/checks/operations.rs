//! The ledger with one record an operation: what several attempts of one come to.
//!
//! In: a [`Ledger`], whose attempts stand in the order of operations. Out: for each operation the attempt that
//! decides its outcome, with the due and wake-up times of the first.

use crate::load::{Attempt, Ledger, Outcome};

/// Every operation of the ledger, in its order.
pub(super) fn operations(ledger: &Ledger) -> impl Iterator<Item = Attempt> + '_ {
    let mut attempts = ledger.attempts().peekable();
    std::iter::from_fn(move || {
        let mut operation = attempts.next()?;
        while let Some(again) = attempts.next_if(|next| next.op == operation.op) {
            operation = folded(operation, again);
        }
        Some(operation)
    })
}

/// The write operations alone.
pub(super) fn writes(ledger: &Ledger) -> impl Iterator<Item = Attempt> + '_ {
    operations(ledger).filter(|op| op.lane.writes())
}

/// One ack makes an operation Acked; without one, an attempt that may have arrived makes it Unknown; it is Refused
/// only where every attempt was.
fn folded(first: Attempt, again: Attempt) -> Attempt {
    if weight(again.outcome) <= weight(first.outcome) {
        return first;
    }
    Attempt { due: first.due, woke: first.woke, free: first.free, ..again }
}

fn weight(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::NotSent => 0,
        Outcome::Refused => 1,
        Outcome::Unknown => 2,
        Outcome::Acked => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::canned;
    use crate::clock::Offset;
    use crate::load::ledger::Soundness;

    fn outcome_of(outcomes: &[Outcome]) -> Outcome {
        let one = canned::healthy().evidence.ledger.attempts().next().unwrap();
        let attempts = outcomes.iter().zip(1..).map(|(&outcome, attempt)| Attempt { outcome, attempt, ..one });
        let ledger = Ledger::canned(attempts.collect(), Soundness::Sealed, Offset::ZERO);
        let all: Vec<Attempt> = operations(&ledger).collect();
        assert_eq!(all.len(), 1);
        all[0].outcome
    }

    #[test]
    fn an_unknown_attempt_outweighs_a_refused_one() {
        assert_eq!(outcome_of(&[Outcome::Unknown, Outcome::Refused]), Outcome::Unknown);
        assert_eq!(outcome_of(&[Outcome::Refused, Outcome::Unknown]), Outcome::Unknown);
    }

    #[test]
    fn one_ack_makes_an_operation_acked_and_only_refusals_make_it_refused() {
        assert_eq!(outcome_of(&[Outcome::Unknown, Outcome::Acked, Outcome::Refused]), Outcome::Acked);
        assert_eq!(outcome_of(&[Outcome::Refused, Outcome::Refused]), Outcome::Refused);
    }
}
