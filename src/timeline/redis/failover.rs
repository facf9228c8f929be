//! Another Redis becomes the primary: its replica is promoted, and the old one made a replica of that. Whoever connects is led
//! to the new one; whoever is connected meets READONLY, and has to connect again.
//!
//! # Why writes wait meanwhile, and what is lost
//! No write is taken by both, so what is lost is what the replica did not have. One that has caught up has everything; one that
//! lags lacks what it was not sent, though each of those writes was acknowledged: its primary waits for no replica.

use async_trait::async_trait;
use tokio::time::Instant;

use super::info::Info;
use super::path::Path;
use super::{EVERY, PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, eventually, proof};
use crate::backends::redis_control::Change;
use crate::backends::{ControlError, QueueSource};
use crate::readback::queue::{Look, Queue};

/// Tasks that are in the primary's buffer and not in the replica's when it is promoted.
const AT_STAKE: u64 = 30;

pub(super) struct Failover {
    lags: bool,
    path: Path,
    /// What the replica told of itself.
    replica: Info,
    /// The buffer on both, just before.
    looks: Option<(Look, Look)>,
    /// How far the primary was before writes began to wait.
    offset: Option<u64>,
}

impl Failover {
    pub fn to_one_that_caught_up() -> Failover {
        Failover { lags: false, path: Path::default(), replica: Info::default(), looks: None, offset: None }
    }

    pub fn to_one_that_lags() -> Failover {
        Failover { lags: true, ..Failover::to_one_that_caught_up() }
    }

    /// How far the new one had come when it was promoted, of how far the old one was; and whether that old one could go on
    /// from there, or had more than the new one, and had to begin anew.
    fn offsets(&self, new: &Info) -> Proof {
        let promoted = new.number("second_repl_offset").map(|next| next.saturating_sub(1));
        let syncs = |name| new.number(name).zip(self.replica.number(name)).map_or(0, |(now, then)| now - then.min(now));
        let (resumed, anew) = (syncs("sync_partial_ok"), syncs("sync_full"));
        let told = |offset: Option<u64>| offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
        let seen = format!(
            "promoted at offset {}, the old one had been at {}; {resumed} resumed, {anew} began anew",
            told(promoted),
            told(self.offset)
        );
        let both = promoted.zip(self.offset);
        match self.lags {
            false => {
                let holds = both.is_some_and(|(promoted, old)| promoted >= old) && resumed > 0 && anew == 0;
                proof(ProofOf::Mechanism, "the replica had all that the old primary had", seen, holds)
            }
            true => {
                let holds = both.is_some_and(|(promoted, old)| promoted < old) && anew > 0;
                proof(ProofOf::Mechanism, "the replica lacked what the old primary had", seen, holds)
            }
        }
    }

    fn at_stake(&self) -> Option<Proof> {
        let seen = match &self.looks {
            Some((primary, replica)) => format!(
                "{} tasks were pushed, {} of them waiting, and the replica knew of {}",
                primary.accepted, primary.depth.ready, replica.accepted
            ),
            None => "the buffer could not be read on both".to_owned(),
        };
        let holds = self.looks.as_ref().is_some_and(|(primary, replica)| missing(primary, replica) > 0);
        self.lags
            .then(|| proof(ProofOf::Mechanism, "tasks that wait on the primary are not on the replica", seen, holds))
    }
}

/// Of the tasks that wait on the primary, those that the replica was not sent: the newest ones.
fn missing(primary: &Look, replica: &Look) -> u64 {
    primary.accepted.saturating_sub(replica.accepted).min(primary.depth.ready)
}

/// Looks at the buffer on both until enough of it is not on the replica.
async fn until_enough_is_missing(at: &Struck<'_>) -> Option<(Look, Look)> {
    let QueueSource::Redis { key, .. } = at.scene.deployment.sources().queue else { return None };
    let queue = |addr| Queue::new(&format!("redis://{addr}"), &key).ok();
    let (mut primary, mut replica) = (queue(at.addr())?, queue(at.redis.replica()?)?);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let behind = replica.look().await.ok()?;
        let ahead = primary.look().await.ok()?;
        if missing(&ahead, &behind) >= AT_STAKE || Instant::now() >= deadline {
            return Some((ahead, behind));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Of the replica; nothing, where there is none.
pub(super) async fn of_replica(at: &Struck<'_>) -> Info {
    match at.redis.replica() {
        Some(addr) => Info::read(addr).await.unwrap_or_default(),
        None => Info::default(),
    }
}

pub(super) fn follows(info: &Info) -> bool {
    info.get("role") == "slave" && info.get("master_link_status") == "up"
}

pub(super) fn role(info: &Info) -> String {
    format!("role {}, link {}", info.get("role"), info.get("master_link_status"))
}

pub(super) async fn old_follows_new(at: &Struck<'_>) -> Proof {
    let what = "the old primary follows the new one";
    let Some(old) = at.redis.replica() else { return proof(ProofOf::Heal, what, "there is none", false) };
    let (seen, holds) = eventually(old, PATIENCE, follows, role).await;
    proof(ProofOf::Heal, what, seen, holds)
}

#[async_trait]
impl RedisFault for Failover {
    /// It is over as soon as somebody connects.
    fn symptom(&self) -> Option<Symptom> {
        None
    }

    fn through_proxy(&self) -> bool {
        true
    }

    async fn prepare(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.path = Path::open(at).await?;
        if self.lags {
            at.redis.change(&Change::Lag).await?;
            self.looks = until_enough_is_missing(at).await;
        } else if let Some(replica) = at.redis.replica() {
            eventually(replica, PATIENCE, follows, role).await;
        }
        Ok(())
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.replica = of_replica(at).await;
        self.offset = Info::read(at.addr()).await.ok().and_then(|info| info.number("master_repl_offset"));
        at.redis.change(&Change::Failover { caught_up: !self.lags }).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        if let Some(old) = at.redis.replica() {
            // Until its link is up nobody knows whether it had to begin anew; that is what is proven next.
            eventually(old, PATIENCE, follows, role).await;
        }
        let (new, old) = (Info::read(at.addr()).await.unwrap_or_default(), of_replica(at).await);
        let swapped = new.get("role") == "master"
            && new.is_of(&self.replica)
            && old.get("role") == "slave"
            && old.is_of(at.before);
        let roles = format!("{} → {}, {} → {}", self.replica.run_id(), role(&new), at.before.run_id(), role(&old));
        let led = self.path.leads_to(at, &self.replica).await;
        let (met, what) = (self.path.write_on_open().await, "a connection that was open is refused writes");
        let refused = met == "READONLY";
        let mut all = vec![
            proof(ProofOf::Mechanism, "the replica is the primary, and the primary a replica", roles, swapped),
            led,
            self.offsets(&new),
        ];
        all.extend(self.at_stake());
        all.push(proof(ProofOf::Symptom, what, met, refused));
        all
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        if self.lags {
            at.redis.change_back(&Change::Lag).await?;
        }
        at.redis.change_back(&Change::Failover { caught_up: !self.lags }).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        vec![old_follows_new(at).await]
    }
}
