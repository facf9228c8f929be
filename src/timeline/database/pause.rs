//! The database hangs: SIGSTOP of every process of the server, so that connections are accepted and nobody answers, then
//! SIGCONT.

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::{DatabaseFault, FREEZE_PATIENCE, Proof, ProofOf, Seen, Struck, Symptom, proof};
use crate::backends::{ControlError, ProcessIdentity};

pub(super) struct Pause;

/// `6 processes in state TTTTTT`.
fn told(processes: &[ProcessIdentity]) -> String {
    let states: String = processes.iter().map(|process| process.state().unwrap_or('-')).collect();
    format!("{} processes in state {states}", processes.len())
}

#[async_trait]
impl DatabaseFault for Pause {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("nobody answers", |seen| *seen == Seen::NoAnswer)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.signal(Signal::SIGSTOP)?;
        at.database.frozen(FREEZE_PATIENCE).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let all = at.database.processes();
        let still = !all.is_empty() && all.iter().all(|process| process.is_frozen());
        vec![proof(ProofOf::Mechanism, "every process of it stands still (state T)", told(&all), still)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.signal(Signal::SIGCONT)
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let all = at.database.processes();
        let same = at.first().is_ok_and(|first| all.first() == Some(&first) && first.is_alive());
        let runs = same && !all.iter().any(|process| process.is_frozen());
        vec![proof(ProofOf::Heal, "the same server went on", told(&all), runs)]
    }
}
