//! The database dies without notice: SIGKILL of every process, nobody listens for a while, then a new process recovers
//! what was committed.

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::{DatabaseFault, Proof, Seen, Struck, Symptom, processes};
use crate::backends::{ControlError, Exit};

#[derive(Default)]
pub(super) struct Kill {
    exit: Option<Exit>,
}

#[async_trait]
impl DatabaseFault for Kill {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("connections are refused", |seen| *seen == Seen::ConnectionRefused)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.signal(Signal::SIGKILL)?;
        self.exit = processes::all_gone(at).await?;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let by_sigkill = |exit: Exit| exit.signal == Some(Signal::SIGKILL as i32);
        vec![processes::ended(at, self.exit, "the server was ended by SIGKILL", by_sigkill)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        processes::fill(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        vec![processes::another_serves(at)]
    }
}
