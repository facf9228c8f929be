//! Applied, and the answer lost: Redis does what a script says, and the connection ends before its answer arrives. Whoever
//! asked cannot know.

use async_trait::async_trait;

use super::eye::{Eye, Seen};
use super::toxics::Spoilt;
use super::{Proof, ProofOf, RedisFault, Struck, Symptom, proof};
use crate::backends::ControlError;
use crate::backends::proxy::{Direction, Toxic};

pub(super) struct DropReply(Spoilt);

impl Default for DropReply {
    fn default() -> Self {
        // EVAL and EVALSHA: every offer, poll and ack is one, and so are our own writes.
        DropReply(Spoilt::by("drop-reply", &[Direction::ToClient], Toxic::SwallowAnswerTo("EVAL")))
    }
}

#[async_trait]
impl RedisFault for DropReply {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_network("cut off", |seen| *seen == Seen::Broken)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.inject(at).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let mut all = self.0.shows(at, "the proxy loses answers", |passed| passed.swallowed).await;
        // Numbered from 1, on the path of the instances.
        let before = Eye::applied(at.addr()).await;
        let asked = match at.redis.proxy() {
            Some(path) => Eye::after(path, before.unwrap_or(0)).write().await.0,
            None => Seen::NoAnswer,
        };
        let after = Eye::applied(at.addr()).await;
        let seen = format!("the write was {asked}, and the server went from {before:?} to {after:?}");
        let holds = asked == Seen::Broken && before.is_some() && after > before;
        all.push(proof(ProofOf::Mechanism, "an own write is applied without an answer", seen, holds));
        all
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.heal(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.0.passes_again(at).await
    }
}
