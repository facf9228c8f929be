//! Observations that show that a stop took effect, shared by the faults that stop processes.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Scene;
use super::incident::{Proof, ProofOf, StopRecord};
use crate::backends::{Exit, Instance};
use crate::clock::Offset;

const CONNECT_PATIENCE: Duration = Duration::from_millis(500);

fn mechanism(what: &str, seen: String, holds: bool) -> Proof {
    Proof { of: ProofOf::Mechanism, what: what.to_owned(), seen, holds }
}

fn symptom(what: &str, seen: String, holds: bool) -> Proof {
    Proof { of: ProofOf::Symptom, what: what.to_owned(), seen, holds }
}

fn exit_in_words(exit: Option<Exit>) -> String {
    match exit {
        None => "no end seen".to_owned(),
        Some(Exit { signal: Some(signal), .. }) => {
            Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
        }
        Some(Exit { code, .. }) => {
            format!("exit code {}", code.map_or_else(|| "unknown".to_owned(), |c| c.to_string()))
        }
    }
}

/// It got SIGTERM and came to its end: by itself, or by SIGKILL after the grace (which is reported beside it).
pub(super) fn ended_by_itself(record: &StopRecord) -> Proof {
    let holds = record.signalled.is_some() && record.exit.is_some();
    mechanism("the process ended after SIGTERM", exit_in_words(record.exit), holds)
}

pub(super) fn ended_by_sigkill(record: &StopRecord) -> Proof {
    let holds = record.exit.is_some_and(|exit| exit.signal == Some(Signal::SIGKILL as i32));
    mechanism("the process was ended by SIGKILL", exit_in_words(record.exit), holds)
}

pub(super) fn was_frozen(record: &StopRecord) -> Proof {
    let seen = record.frozen.map_or_else(|| "no".to_owned(), |at| format!("state T at {at}"));
    mechanism("it stood still while it was read", seen, record.frozen.is_some())
}

/// The victim's process is gone, and another one, born later, fills the slot.
pub(super) fn replaced(scene: &Scene<'_>, record: &StopRecord) -> Proof {
    let what = "another process fills the slot";
    let old = &record.victim;
    let Some(new) = scene.processes.in_slot(&old.slot) else {
        return mechanism(what, "the slot is empty".to_owned(), false);
    };
    let holds = new.id != old.id
        && new.process != old.process
        && new.process.start_ticks >= old.process.start_ticks
        && !old.process.is_alive();
    mechanism(what, format!("{} (pid {}) → {} (pid {})", old.name, old.process.pid, new.name, new.process.pid), holds)
}

pub(super) fn readiness_went_off(at: Option<Offset>, record: &StopRecord) -> Proof {
    let what = "readiness went off after SIGTERM";
    let after = at.zip(record.signalled).map(|(off, signalled)| off.since(signalled));
    let seen = after.map_or_else(|| "no probe saw it".to_owned(), |after| format!("seen {after:.1?} after it"));
    symptom(what, seen, at.is_some())
}

/// Nobody listens at the victim's address any more.
pub(super) async fn refuses_connections(victim: &Instance) -> Proof {
    let connect = tokio::time::timeout(CONNECT_PATIENCE, tokio::net::TcpStream::connect(victim.addr)).await;
    let (seen, holds) = match connect {
        Ok(Ok(_)) => ("a connection was accepted".to_owned(), false),
        Ok(Err(e)) => (e.kind().to_string(), e.kind() == io::ErrorKind::ConnectionRefused),
        Err(_) => ("no answer".to_owned(), false),
    };
    symptom(&format!("{} refuses connections", victim.addr), seen, holds)
}
