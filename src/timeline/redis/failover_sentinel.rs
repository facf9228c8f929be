//! Sentinels fail over: the primary is killed, they find it down and promote its replica of their own accord, and whoever
//! connects is led to whom *they* name, as a client that asks them would be.
//!
//! ```text
//! sentinels know each other ─ writes wait ─ the replica has all ─ SIGKILL ─ they promote it ─ led there
//! ```
//!
//! # Why writes wait before the kill
//! Replication is asynchronous: an acknowledged write that the replica was not sent is lost with its primary, whatever
//! sentinels and the service do (that is `redis-failover-lagging`). Here nothing may be lost. A write that waits is not
//! done, and its client is told nothing: it is Unknown.
//!
//! # Why not for longer
//! What sentinels tell each other goes through the primary, and waits as writes do: they would find it down.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::failover::{of_replica, old_follows_new, role};
use super::info::Info;
use super::path::Path;
use super::sentinels::{Sentinels, Word};
use super::{Proof, ProofOf, RedisFault, Struck, Symptom, processes, proof};
use crate::backends::redis_control::{Change, DOWN_AFTER};
use crate::backends::{ControlError, Exit};

/// They tell each other of themselves every two seconds.
const KNOW_WITHIN: Duration = Duration::from_secs(15);
/// One election, and another one where nobody got enough voices.
const PROMOTED_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at how far the replica is.
const EVERY: Duration = Duration::from_millis(5);
/// Writes wait no longer than this, whatever becomes of the primary.
const PAUSE_MS_MAX: &str = "30000";

#[derive(Default)]
pub(super) struct FailoverSentinel {
    path: Path,
    sentinels: Sentinels,
    /// What the replica told of itself.
    replica: Info,
    /// Whom the sentinels named before, and whom afterwards.
    before: Option<Word>,
    after: Option<Word>,
    /// How far primary and replica were while writes waited.
    offsets: Option<(u64, u64)>,
    exit: Option<Exit>,
    led: Option<Change>,
}

fn hold_writes() -> Change {
    Change::command(&["CLIENT", "PAUSE", PAUSE_MS_MAX, "WRITE"], Some(&["CLIENT", "UNPAUSE"]))
}

/// Waits until the replica has all that the primary has; how far both are.
async fn caught_up(at: &Struck<'_>) -> Result<(u64, u64), ControlError> {
    let deadline = Instant::now() + DOWN_AFTER;
    let offset = |info: &Info| info.number("master_repl_offset");
    while Instant::now() < deadline {
        let primary = Info::read(at.addr()).await.ok().as_ref().and_then(offset);
        let replica = offset(&of_replica(at).await);
        if let Some(both) = primary.zip(replica).filter(|(primary, replica)| replica >= primary) {
            return Ok(both);
        }
        tokio::time::sleep(EVERY).await;
    }
    let what = "wait until the replica has all that the primary has".to_owned();
    Err(ControlError::TimedOut { what, within: DOWN_AFTER })
}

impl FailoverSentinel {
    async fn lead_to(&mut self, at: &Struck<'_>, primary: SocketAddr) -> Result<(), ControlError> {
        let lead = Change::LeadTo { primary };
        at.redis.change(&lead).await?;
        self.led = Some(lead);
        Ok(())
    }

    /// They promoted it, and nobody listened to them any more.
    async fn unheard(&self, at: &Struck<'_>) -> Option<SocketAddr> {
        let replica = at.redis.replica().filter(|replica| self.led.is_none() && *replica != at.addr())?;
        let told = Info::read(replica).await.ok()?;
        (told.get("role") == "master").then_some(replica)
    }

    fn had_all(&self, new: &Info) -> Proof {
        let promoted = new.number("second_repl_offset").map(|next| next.saturating_sub(1));
        let told = |offset: Option<u64>| offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
        let (primary, replica) = self.offsets.unzip();
        let seen = format!(
            "while writes waited, the primary was at offset {} and the replica at {}, which was promoted at {}",
            told(primary),
            told(replica),
            told(promoted)
        );
        let holds = primary.zip(replica).zip(promoted).is_some_and(|((p, r), promoted)| r >= p && promoted >= p);
        proof(ProofOf::Mechanism, "the replica had all that the primary had", seen, holds)
    }

    fn named(&self, at: &Struck<'_>) -> Proof {
        let told = |word: &Option<Word>| word.as_ref().map_or_else(|| "nobody".to_owned(), Word::to_string);
        let (all, alive) = self.sentinels.alive();
        let (before, after) = (told(&self.before), told(&self.after));
        let seen = format!("most of {all}, of which {alive} are alive, named {before}, and now name {after}");
        let both = self.before.as_ref().zip(self.after.as_ref());
        let holds = both.is_some_and(|(before, after)| after.epoch > before.epoch && after.primary == at.addr());
        proof(ProofOf::Mechanism, "sentinels name another primary, by an election", seen, holds)
    }

    fn promoted(&self, at: &Struck<'_>, new: &Info) -> Proof {
        let holds = new.get("role") == "master" && new.is_of(&self.replica) && !new.is_of(at.before);
        let seen = format!("{} → {}, instead of {}", self.replica.run_id(), role(new), at.before.run_id());
        proof(ProofOf::Mechanism, "the replica is the primary", seen, holds)
    }
}

#[async_trait]
impl RedisFault for FailoverSentinel {
    /// It is over as soon as somebody connects.
    fn symptom(&self) -> Option<Symptom> {
        None
    }

    fn through_proxy(&self) -> bool {
        true
    }

    async fn prepare(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.path = Path::open(at).await?;
        at.redis.change(&Change::Sentinels).await?;
        self.sentinels = Sentinels::of(at).await;
        self.before = self.sentinels.know(at, KNOW_WITHIN).await;
        if self.before.is_none() && !self.sentinels.is_empty() {
            let what = "wait until the sentinels know the primary, its replica and each other".to_owned();
            return Err(ControlError::TimedOut { what, within: KNOW_WITHIN });
        }
        Ok(())
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.replica = of_replica(at).await;
        at.redis.change(&hold_writes()).await?;
        self.offsets = Some(caught_up(at).await?);
        self.exit = processes::end(at, Signal::SIGKILL).await?;
        if let (Some(before), Some(_)) = (&self.before, self.exit) {
            self.after = self.sentinels.name_another(before, at, PROMOTED_WITHIN).await;
        }
        match &self.after {
            Some(word) => self.lead_to(at, word.primary).await,
            None => Ok(()),
        }
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let new = Info::read(at.addr()).await.unwrap_or_default();
        let by_sigkill = |exit: Exit| exit.signal == Some(Signal::SIGKILL as i32);
        let ended = processes::ended(at, self.exit, "the primary was ended by SIGKILL", by_sigkill);
        let met = self.path.write_on_open().await;
        let cut_off = met == "cut off";
        vec![
            ended,
            self.had_all(&new),
            self.named(at),
            self.promoted(at, &new),
            self.path.leads_to(at, &self.replica).await,
            proof(ProofOf::Symptom, "a connection that was open is cut off", met, cut_off),
        ]
    }

    /// What the sentinels did is looked at once they are gone: they can do no more.
    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.redis.change_back(&Change::Sentinels).await?;
        if let Some(promoted) = self.unheard(at).await {
            self.lead_to(at, promoted).await?;
        }
        match &self.led {
            Some(lead) => at.redis.change_back(lead).await?,
            None => processes::fill(at).await?,
        }
        at.redis.change_back(&hold_writes()).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let (all, alive) = self.sentinels.alive();
        let ended = format!("{alive} of {all} are alive");
        vec![old_follows_new(at).await, proof(ProofOf::Heal, "the sentinels have ended", ended, all > 0 && alive == 0)]
    }
}
