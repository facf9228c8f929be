//! Observations that show that a stop took effect, shared by the faults that stop processes.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::TcpStream;

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

/// Its own shutdown came to its end, with everything given away.
pub(super) fn drained(record: &StopRecord) -> Proof {
    let by_itself = record.exit.is_some_and(|exit| exit.code == Some(0)) && !record.killed_after_grace;
    let holds = record.signalled.is_some() && by_itself;
    mechanism("the process drained after SIGTERM and ended with exit code 0", exit_in_words(record.exit), holds)
}

pub(super) fn slot_is_empty(scene: &Scene<'_>, record: &StopRecord) -> Proof {
    let there = scene.processes.in_slot(&record.victim.slot);
    let seen = there.as_ref().map_or_else(|| "nobody".to_owned(), |there| format!("{} fills it", there.name));
    mechanism("the slot is empty", seen, there.is_none() && record.victim.is_gone())
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
    let later = old.process.zip(new.process).is_some_and(|(old, new)| new != old && new.start_ticks >= old.start_ticks);
    let holds = new.id != old.id && later && old.is_gone();
    let [old, new] = [old, &new].map(|instance| format!("{} ({})", instance.name, instance.process_in_words()));
    mechanism(what, format!("{old} → {new}"), holds)
}

pub(super) fn readiness_went_off(at: Option<Offset>, record: &StopRecord) -> Proof {
    let what = "readiness went off after SIGTERM";
    let after = at.zip(record.signalled).map(|(off, signalled)| off.since(signalled));
    let seen = after.map_or_else(|| "no probe saw it".to_owned(), |after| format!("seen {after:.1?} after it"));
    symptom(what, seen, at.is_some())
}

/// Its state was `T` whenever it was looked at: when it was struck, just before the checkpoint was read, and after it.
pub(super) fn stood_still(states: &[(Offset, Option<char>)]) -> Proof {
    let seen: Vec<String> = states.iter().map(|(at, state)| format!("{} at {at}", state.unwrap_or('-'))).collect();
    let holds = states.len() == 3 && states.iter().all(|(_, state)| *state == Some('T'));
    mechanism("it stood still (state T) until its checkpoint was read", seen.join(", "), holds)
}

pub(super) fn did_not_answer(record: &StopRecord, answered: Option<bool>) -> Proof {
    let seen = match answered {
        None => "no probe began and ended meanwhile",
        Some(true) => "a readiness probe was answered",
        Some(false) => "a readiness probe failed",
    };
    symptom(&format!("{} did not answer while frozen", record.victim.addr), seen.to_owned(), answered == Some(false))
}

/// The same process, and it runs again.
pub(super) fn goes_on(record: &StopRecord) -> Proof {
    let (process, state) = (record.victim.process, record.victim.state());
    let holds = record.resumed.is_some() && state.is_some_and(|state| state != 'T');
    let seen = match process.zip(state) {
        None => format!("{} is gone", record.victim.process_in_words()),
        Some((process, state)) => {
            format!("pid {}, born at tick {}, in state {state}", process.pid, process.start_ticks)
        }
    };
    mechanism("the same process went on after SIGCONT", seen, holds)
}

pub(super) fn ready_again(record: &StopRecord, at: Option<Offset>) -> Proof {
    let after = at.zip(record.resumed).map(|(ready, resumed)| ready.since(resumed));
    let seen = after.map_or_else(|| "no good probe".to_owned(), |after| format!("a good probe {after:.1?} after it"));
    symptom("readiness came back after SIGCONT", seen, after.is_some())
}

/// A living process that no other instance of this run has or had.
pub(super) fn process_of_its_own(scene: &Scene<'_>, instance: &Instance) -> Proof {
    let roster = scene.deployment.roster();
    let shared = roster.iter().find(|other| other.id != instance.id && other.process == instance.process);
    let holds = shared.is_none() && instance.is_alive();
    let state = instance.state().unwrap_or('-');
    let seen = format!("{} ({}) in state {state}", instance.name, instance.process_in_words());
    mechanism("a process of its own fills the slot", seen, holds)
}

pub(super) async fn accepts_connections(instance: &Instance) -> Proof {
    let (seen, holds) = match connect(instance).await {
        Ok(Ok(_)) => ("a connection was accepted".to_owned(), true),
        Ok(Err(e)) => (e.kind().to_string(), false),
        Err(_) => ("no answer".to_owned(), false),
    };
    mechanism(&format!("it listens at {}", instance.addr), seen, holds)
}

pub(super) fn in_rotation(scene: &Scene<'_>, instance: &Instance) -> Proof {
    let table = scene.deployment.endpoints().in_rotation();
    let holds = table.iter().any(|endpoint| endpoint.id == instance.id);
    symptom("requests are routed to it", format!("{} instances in rotation", table.len()), holds)
}

/// It answers a probe that began after it was first found ready.
pub(super) async fn answers_probes(scene: &Scene<'_>, instance: &Instance) -> Proof {
    let probe = &scene.plan.target.probe;
    let answered = scene.processes.probed(instance.id, (probe.interval + probe.timeout) * 5).await;
    let seen = match &answered {
        Ok(true) => "ready".to_owned(),
        Ok(false) => "not ready".to_owned(),
        Err(e) => e.to_string(),
    };
    symptom("it answers readiness probes", seen, matches!(answered, Ok(true)))
}

type Connected = Result<io::Result<TcpStream>, tokio::time::error::Elapsed>;

async fn connect(instance: &Instance) -> Connected {
    tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(instance.addr)).await
}

/// Whether nobody listens at its address.
pub(super) async fn refuses(instance: &Instance) -> bool {
    matches!(connect(instance).await, Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused)
}

/// Nobody listens at the victim's address any more.
pub(super) async fn refuses_connections(victim: &Instance) -> Proof {
    let (seen, holds) = match connect(victim).await {
        Ok(Ok(_)) => ("a connection was accepted".to_owned(), false),
        Ok(Err(e)) => (e.kind().to_string(), e.kind() == io::ErrorKind::ConnectionRefused),
        Err(_) => ("no answer".to_owned(), false),
    };
    symptom(&format!("{} refuses connections", victim.addr), seen, holds)
}
