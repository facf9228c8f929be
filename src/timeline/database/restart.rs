//! The database is restarted in order: its own fast shutdown, then a new process on the same port and data.

use async_trait::async_trait;

use super::{DatabaseFault, Proof, Seen, Struck, Symptom, processes};
use crate::backends::{ControlError, Exit};

#[derive(Default)]
pub(super) struct Restart {
    exit: Option<Exit>,
}

#[async_trait]
impl DatabaseFault for Restart {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("connections are refused", |seen| *seen == Seen::ConnectionRefused)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.end_in_order()?;
        self.exit = processes::all_gone(at).await?;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let in_order = |exit: Exit| exit.code == Some(0);
        vec![processes::ended(at, self.exit, "the server ended in order, with exit code 0", in_order)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        processes::fill(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        vec![processes::another_serves(at)]
    }
}
