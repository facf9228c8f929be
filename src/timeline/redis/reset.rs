//! The way to Redis breaks: connections are reset, open ones and new ones.

use async_trait::async_trait;

use super::eye::Seen;
use super::toxics::Spoilt;
use super::{Proof, RedisFault, Struck, Symptom};
use crate::backends::ControlError;
use crate::backends::proxy::{Direction, Toxic};

pub(super) struct Reset(Spoilt);

impl Default for Reset {
    fn default() -> Self {
        Reset(Spoilt::by("reset", &[Direction::ToClient], Toxic::Reset))
    }
}

#[async_trait]
impl RedisFault for Reset {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_network("cut off", |seen| *seen == Seen::Broken)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.inject(at).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.0.shows(at, "the proxy resets connections", |passed| passed.reset).await
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.heal(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.0.passes_again(at).await
    }
}
