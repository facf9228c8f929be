//! What the faults share that end the process of Redis: its end, its successor, and how both show.

use nix::sys::signal::Signal;

use super::info::Info;
use super::{KILL_PATIENCE, Proof, ProofOf, Struck, proof};
use crate::backends::{ControlError, Exit};

/// Sends the signal, and waits for the end.
pub(super) async fn end(at: &Struck<'_>, signal: Signal) -> Result<Option<Exit>, ControlError> {
    at.redis.signal(signal)?;
    at.redis.exited(KILL_PATIENCE).await
}

pub(super) fn ended(at: &Struck<'_>, exit: Option<Exit>, what: &str, holds: fn(Exit) -> bool) -> Proof {
    let pid = at.process.pid;
    let seen = match exit {
        None => format!("pid {pid}: no end seen"),
        Some(Exit { signal: Some(signal), .. }) => format!("pid {pid}: signal {signal}"),
        Some(Exit { code, .. }) => format!("pid {pid}: exit code {}", code.map_or("unknown".into(), |c| c.to_string())),
    };
    proof(ProofOf::Mechanism, what, seen, exit.is_some_and(holds) && !at.process.is_alive())
}

/// Starts a process where there is none.
pub(super) async fn fill(at: &Struck<'_>) -> Result<(), ControlError> {
    match at.redis.process().is_alive() {
        true => Ok(()),
        false => at.redis.start().await,
    }
}

/// Another process, born later, and another server by its own word.
pub(super) async fn another_serves(at: &Struck<'_>) -> Vec<Proof> {
    let (old, new) = (at.process, at.redis.process());
    let born_later = new != old && new.start_ticks >= old.start_ticks && new.is_alive();
    let told = Info::read(at.addr()).await.unwrap_or_default();
    let (before, now) = (at.before.run_id(), told.run_id());
    let another = now != before && now != "?" && before != "?";
    vec![
        proof(ProofOf::Mechanism, "another process serves", format!("pid {} → pid {}", old.pid, new.pid), born_later),
        proof(ProofOf::Mechanism, "its run_id is another", format!("{before} → {now}"), another),
    ]
}
