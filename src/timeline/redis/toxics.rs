//! What the faults share that spoil what passes through the proxy.

use std::time::Duration;

use tokio::time::Instant;

use super::eye::{Eye, Seen};
use super::{EVERY, PATIENCE, Proof, ProofOf, Struck, proof};
use crate::backends::ControlError;
use crate::backends::proxy::{Direction, Passed, Toxic};
use crate::backends::redis_control::Change;

/// Every instance asks something of Redis within this.
const WATCHED: Duration = Duration::from_millis(250);

/// One toxic, in one direction or in both.
pub(super) struct Spoilt {
    changes: Vec<Change>,
    /// What the proxy had done before.
    before: Passed,
}

impl Spoilt {
    pub fn by(name: &str, directions: &[Direction], toxic: Toxic) -> Spoilt {
        let change = |direction: &Direction| Change::Toxic {
            name: format!("{name} {}", direction.word()),
            direction: *direction,
            toxic: toxic.clone(),
        };
        Spoilt { changes: directions.iter().map(change).collect(), before: Passed::default() }
    }

    pub async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.before = at.redis.passed();
        for change in &self.changes {
            at.redis.change(change).await?;
        }
        Ok(())
    }

    /// The proxy did it to somebody; and the server itself is well: what is struck is the way to it.
    pub async fn shows(&self, at: &Struck<'_>, what: &str, count: fn(&Passed) -> u64) -> Vec<Proof> {
        let deadline = Instant::now() + PATIENCE;
        let done = || count(&at.redis.passed()).saturating_sub(count(&self.before));
        // The instances are busy with it all the time: the first moment shows.
        while done() == 0 && Instant::now() < deadline {
            tokio::time::sleep(EVERY).await;
        }
        let (straight, took) = Eye::new(at.addr()).write().await;
        let well = straight == Seen::Stored;
        vec![
            proof(ProofOf::Mechanism, what, format!("{} times so far", done()), done() > 0),
            proof(ProofOf::Mechanism, "straight to it, a write is stored", format!("{straight}, {took:.1?}"), well),
        ]
    }

    pub async fn heal(&self, at: &Struck<'_>) -> Result<(), ControlError> {
        for change in &self.changes {
            at.redis.change_back(change).await?;
        }
        Ok(())
    }

    /// From now on nothing more is done to anybody.
    pub async fn passes_again(&self, at: &Struck<'_>) -> Vec<Proof> {
        let spoilt = |Passed { delayed, held, swallowed, reset, .. }| [delayed, held, swallowed, reset];
        let before = at.redis.passed();
        tokio::time::sleep(WATCHED).await;
        let still = spoilt(at.redis.passed()) != spoilt(before);
        let seen = if still { "it is still busy with it" } else { "it touches nothing" };
        vec![proof(ProofOf::Heal, "the proxy lets everything pass", seen, !still)]
    }
}
