//! Redis is restarted in order: SIGTERM, its own shutdown, then a new process on the same port and data.

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::eye::Seen;
use super::info::Info;
use super::{Proof, RedisFault, Struck, Symptom, processes};
use crate::backends::{ControlError, Exit};

#[derive(Default)]
pub(super) struct Restart {
    exit: Option<Exit>,
}

#[async_trait]
impl RedisFault for Restart {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("connections are refused", |seen| *seen == Seen::ConnectionRefused)
    }

    fn facts(&self, before: &Info) -> Option<String> {
        before.persistence()
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.exit = processes::end(at, Signal::SIGTERM).await?;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let in_order = |exit: Exit| exit.code == Some(0);
        vec![processes::ended(at, self.exit, "the process ended after SIGTERM with exit code 0", in_order)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        processes::fill(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        processes::another_serves(at).await
    }
}
