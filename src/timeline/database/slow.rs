//! The way to the database is slow: every answer arrives later, so that a batch takes many times as long.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::eye::{of_answer, say};
use super::{DatabaseFault, EVERY, PATIENCE, Proof, ProofOf, Seen, Struck, Symptom, proof};
use crate::backends::ControlError;
use crate::backends::database_control::Change;
use crate::backends::proxy::{Direction, Toxic};

/// Every worker asks something of the database within this.
const WATCHED: Duration = Duration::from_millis(250);

pub(super) struct Slow {
    delay: Duration,
    /// What the proxy had delayed before.
    before: u64,
}

impl Slow {
    pub fn of(delay: Duration) -> Slow {
        Slow { delay, before: 0 }
    }

    fn change(&self) -> Change {
        let (name, direction) = ("slow".to_owned(), Direction::ToClient);
        Change::Toxic { name, direction, toxic: Toxic::Latency(self.delay) }
    }
}

#[async_trait]
impl DatabaseFault for Slow {
    fn symptom(&self) -> Option<Symptom> {
        let symptom = Symptom::of_network("", |seen| *seen == Seen::Stored);
        let what = format!("stored, and not before {:?}", self.delay);
        symptom.map(|symptom| Symptom { what, takes: self.delay, ..symptom })
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.before = at.database.passed().delayed;
        at.database.change(&self.change()).await
    }

    /// The proxy does it to somebody; and the database itself is well: what is slow is the way to it.
    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let deadline = Instant::now() + PATIENCE;
        let done = || at.database.passed().delayed.saturating_sub(self.before);
        while done() == 0 && Instant::now() < deadline {
            tokio::time::sleep(EVERY).await;
        }
        let asked = Instant::now();
        let straight = of_answer(say(&at.database.source(), "select 1".to_owned(), PATIENCE).await);
        let (well, took) = (straight == Seen::Stored, asked.elapsed());
        let told = if well { "answered".to_owned() } else { straight.to_string() };
        vec![
            proof(ProofOf::Mechanism, "the proxy delays answers", format!("{} times so far", done()), done() > 0),
            proof(ProofOf::Mechanism, "straight to it, a question is answered", format!("{told}, {took:.1?}"), well),
        ]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.change_back(&self.change()).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let before = at.database.passed().delayed;
        tokio::time::sleep(WATCHED).await;
        let still = at.database.passed().delayed != before;
        let seen = if still { "it is still busy with it" } else { "it touches nothing" };
        vec![proof(ProofOf::Heal, "the proxy lets everything pass", seen, !still)]
    }
}
