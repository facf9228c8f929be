//! The way to Redis is gone, and nobody is told: nothing passes in either direction. What was sent meanwhile arrives when
//! it is over, as TCP sends it again after a partition: Redis does late what its client has given up.

use async_trait::async_trait;

use super::eye::Seen;
use super::toxics::Spoilt;
use super::{Proof, RedisFault, Struck, Symptom};
use crate::backends::ControlError;
use crate::backends::proxy::{Direction, Toxic};

pub(super) struct Blackhole(Spoilt);

impl Default for Blackhole {
    fn default() -> Self {
        Blackhole(Spoilt::by("blackhole", &[Direction::ToServer, Direction::ToClient], Toxic::Blackhole))
    }
}

#[async_trait]
impl RedisFault for Blackhole {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_network("nobody answers", |seen| *seen == Seen::NoAnswer)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.inject(at).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.0.shows(at, "the proxy holds back what passes", |passed| passed.held).await
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.heal(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.0.passes_again(at).await
    }
}
