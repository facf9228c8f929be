//! Redis dies without notice: SIGKILL, nobody listens for a while, then a new process on the same port and data.

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::eye::Seen;
use super::info::Info;
use super::{Proof, RedisFault, Struck, Symptom, processes};
use crate::backends::{ControlError, Exit};

#[derive(Default)]
pub(super) struct Kill {
    exit: Option<Exit>,
}

#[async_trait]
impl RedisFault for Kill {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("connections are refused", |seen| *seen == Seen::ConnectionRefused)
    }

    fn facts(&self, before: &Info) -> Option<String> {
        before.persistence()
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.exit = processes::end(at, Signal::SIGKILL).await?;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let by_sigkill = |exit: Exit| exit.signal == Some(Signal::SIGKILL as i32);
        vec![processes::ended(at, self.exit, "the process was ended by SIGKILL", by_sigkill)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        processes::fill(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        processes::another_serves(at).await
    }
}
