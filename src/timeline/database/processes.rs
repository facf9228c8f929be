//! What the faults share that end the processes of a server: their end, their successors, and how both show.

use super::{END_PATIENCE, Proof, ProofOf, Struck, proof};
use crate::backends::{ControlError, Exit};

/// Waits until all of them are gone.
pub(super) async fn all_gone(at: &Struck<'_>) -> Result<Option<Exit>, ControlError> {
    at.database.exited(END_PATIENCE).await
}

pub(super) fn ended(at: &Struck<'_>, exit: Option<Exit>, what: &str, holds: fn(Exit) -> bool) -> Proof {
    let left = at.before.iter().filter(|process| process.is_alive()).count();
    let how = match exit {
        None => "no end seen".to_owned(),
        Some(Exit { signal: Some(signal), .. }) => format!("signal {signal}"),
        Some(Exit { code, .. }) => format!("exit code {}", code.map_or("unknown".into(), |c| c.to_string())),
    };
    let pid = at.before.first().map_or_else(|| "nobody".to_owned(), |first| format!("pid {}", first.pid));
    let seen = format!("{pid}: {how}; {left} of {} processes are left", at.before.len());
    proof(ProofOf::Mechanism, what, seen, exit.is_some_and(holds) && left == 0 && !at.before.is_empty())
}

/// Starts a server where there is none.
pub(super) async fn fill(at: &Struck<'_>) -> Result<(), ControlError> {
    match at.database.processes().first().is_some_and(|first| first.is_alive()) {
        true => Ok(()),
        false => at.database.start().await,
    }
}

/// Another process, born later, in place of the first one.
pub(super) fn another_serves(at: &Struck<'_>) -> Proof {
    let (old, now) = (at.before.first().copied(), at.database.processes().first().copied());
    let later = old.zip(now).is_some_and(|(old, new)| {
        new != old && new.start_ticks >= old.start_ticks && new.is_alive() && !old.is_alive()
    });
    let [old, new] = [old, now].map(|one| one.map_or_else(|| "nobody".to_owned(), |one| format!("pid {}", one.pid)));
    proof(ProofOf::Mechanism, "another process serves", format!("{old} → {new}"), later)
}

/// A living process, the same as before or, where that one died of what was done, another.
pub(super) fn one_serves(at: &Struck<'_>) -> Proof {
    let (before, now) = (at.before.first().copied(), at.database.processes().first().copied());
    let seen = match (before, now) {
        (Some(before), Some(now)) if before == now => format!("the same, pid {}", now.pid),
        (Some(before), Some(now)) => format!("the one before had ended of it: pid {} → pid {}", before.pid, now.pid),
        _ => "nobody".to_owned(),
    };
    proof(ProofOf::Heal, "the server goes on, or another does", seen, now.is_some_and(|now| now.is_alive()))
}
