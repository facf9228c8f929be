//! The way to Redis is slow: every answer arrives later.

use std::time::Duration;

use async_trait::async_trait;

use super::eye::Seen;
use super::toxics::Spoilt;
use super::{Proof, RedisFault, Struck, Symptom};
use crate::backends::ControlError;
use crate::backends::proxy::{Direction, Toxic};

pub(super) struct Latency {
    pub delay: Duration,
    spoilt: Spoilt,
}

impl Latency {
    pub fn of(delay: Duration) -> Self {
        Latency { delay, spoilt: Spoilt::by("latency", &[Direction::ToClient], Toxic::Latency(delay)) }
    }
}

#[async_trait]
impl RedisFault for Latency {
    fn symptom(&self) -> Option<Symptom> {
        let symptom = Symptom::of_network("", |seen| *seen == Seen::Stored);
        let what = format!("stored, and not before {:?}", self.delay);
        symptom.map(|symptom| Symptom { what, takes: self.delay, ..symptom })
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.spoilt.inject(at).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.spoilt.shows(at, "the proxy delays answers", |passed| passed.delayed).await
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.spoilt.heal(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.spoilt.passes_again(at).await
    }
}
