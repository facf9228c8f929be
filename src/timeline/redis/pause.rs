//! Redis hangs: SIGSTOP, so that connections are accepted and nobody answers, then SIGCONT.

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::eye::Seen;
use super::info::Info;
use super::{FREEZE_PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, proof};
use crate::backends::ControlError;

pub(super) struct Pause;

fn state(at: &Struck<'_>) -> String {
    at.process.state().map_or_else(|| "gone".to_owned(), |state| format!("pid {} in state {state}", at.process.pid))
}

#[async_trait]
impl RedisFault for Pause {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("nobody answers", |seen| *seen == Seen::NoAnswer)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.redis.signal(Signal::SIGSTOP)?;
        at.redis.frozen(FREEZE_PATIENCE).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        vec![proof(ProofOf::Mechanism, "the process stands still (state T)", state(at), at.process.is_frozen())]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.redis.signal(Signal::SIGCONT)
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let runs = at.process.is_alive() && !at.process.is_frozen() && at.redis.process() == at.process;
        let told = Info::read(at.addr()).await.unwrap_or_default();
        let (before, now) = (at.before.run_id(), told.run_id());
        vec![
            proof(ProofOf::Heal, "the same process went on", state(at), runs),
            proof(ProofOf::Heal, "its run_id is the same", format!("{before} → {now}"), now == before && now != "?"),
        ]
    }
}
