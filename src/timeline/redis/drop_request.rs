//! Lost on its way: what a script asks never reaches Redis, and whoever asked waits in vain. Nobody who waits can know, and
//! unlike behind a [`blackhole`](super::blackhole) it never arrives.

use async_trait::async_trait;

use super::eye::{Eye, Seen};
use super::toxics::Spoilt;
use super::{Proof, ProofOf, RedisFault, Struck, Symptom, proof};
use crate::backends::ControlError;
use crate::backends::proxy::{Direction, Toxic};

pub(super) struct DropRequest(Spoilt);

impl Default for DropRequest {
    fn default() -> Self {
        // EVAL and EVALSHA: every offer, poll and ack is one, and so are our own writes.
        DropRequest(Spoilt::by("drop-request", &[Direction::ToServer], Toxic::SwallowRequestWith("EVAL")))
    }
}

#[async_trait]
impl RedisFault for DropRequest {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_network("nobody answers", |seen| *seen == Seen::NoAnswer)
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.inject(at).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let mut all = self.0.shows(at, "the proxy loses requests", |passed| passed.swallowed).await;
        // Numbered from 1, on the path of the instances.
        let before = Eye::applied(at.addr()).await;
        let asked = match at.redis.proxy() {
            Some(path) => Eye::after(path, before.unwrap_or(0)).write().await.0,
            None => Seen::ConnectionRefused,
        };
        let after = Eye::applied(at.addr()).await;
        let seen = format!("the write was {asked}, and the server went from {before:?} to {after:?}");
        let holds = asked == Seen::NoAnswer && before.is_some() && after == before;
        all.push(proof(ProofOf::Mechanism, "an own write is not applied, and has no answer", seen, holds));
        all
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.0.heal(at).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        self.0.passes_again(at).await
    }
}
