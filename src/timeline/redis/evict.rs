//! Redis runs out of memory and throws keys away, as one that is configured as a cache does: `allkeys-lru`, below what
//! it uses. Whatever nobody has touched for longest goes first; here that is a filler of our own.
//!
//! # Why a filler that has aged
//! Somebody must be the victim. Keys of the same age are taken at random, the buffer's among them; to lose those would
//! show what everybody knows. The question is whether the service goes on trusting a Redis that may do that.

use async_trait::async_trait;
use tokio::time::Instant;

use super::eye::ask;
use super::info::Info;
use super::{EVERY, PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, eventually, proof};
use crate::backends::ControlError;
use crate::backends::redis_control::Change;

const FILLER: &str = "1500";
const FILL: &str = "for i = 1, ARGV[1] do redis.call('SET', 'mxctl:filler:' .. i, string.rep('x', 1024)) end";
const EMPTY: &str = "for i = 1, ARGV[1] do redis.call('DEL', 'mxctl:filler:' .. i) end";
const COUNT: &str = "local n = 0 for i = 1, ARGV[1] do n = n + redis.call('EXISTS', 'mxctl:filler:' .. i) end return n";
/// Seconds; the clock of the eviction counts whole ones.
const AGE: u64 = 2;
/// In bytes: what may stay of the filler. A service that goes on pushing has that much until it is the buffer's turn.
const LEFT: u64 = 768 * 1024;

#[derive(Default)]
pub(super) struct Evict {
    changes: Vec<Change>,
}

impl Evict {
    async fn change(&mut self, at: &Struck<'_>, change: Change) -> Result<(), ControlError> {
        self.changes.push(change.clone());
        at.redis.change(&change).await
    }
}

/// A number that Redis answers.
async fn number(at: &Struck<'_>, words: &[&str]) -> Option<u64> {
    ask(at.addr(), words).await.ok()?.strip_prefix(':')?.parse().ok()
}

/// In bytes, by its keys alone: what Redis uses in all grows and shrinks with what it has yet to send to a replica.
async fn filler(at: &Struck<'_>) -> u64 {
    let each = number(at, &["MEMORY", "USAGE", "mxctl:filler:1"]).await.unwrap_or(0);
    each * FILLER.parse::<u64>().expect("it is a number")
}

/// In bytes.
async fn used_memory(at: &Struck<'_>) -> u64 {
    Info::read(at.addr()).await.ok().and_then(|info| info.number("used_memory")).unwrap_or(0)
}

/// Until nobody has touched the filler for long enough; whether there is one is a matter of proof.
async fn age(at: &Struck<'_>) {
    let deadline = Instant::now() + PATIENCE * 2;
    while number(at, &["OBJECT", "IDLETIME", "mxctl:filler:1"]).await.is_some_and(|idle| idle < AGE)
        && Instant::now() < deadline
    {
        tokio::time::sleep(EVERY).await;
    }
}

fn told(info: &Info) -> String {
    let of = |name| format!("{name} {}", info.get(name));
    ["maxmemory", "maxmemory-policy", "evicted_keys"].map(of).join(", ")
}

#[async_trait]
impl RedisFault for Evict {
    fn symptom(&self) -> Option<Symptom> {
        None
    }

    async fn prepare(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        let fill = Change::command(&["EVAL", FILL, "0", FILLER], Some(&["EVAL", EMPTY, "0", FILLER]));
        self.change(at, fill).await?;
        age(at).await;
        Ok(())
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        let policy = Change::setting("maxmemory-policy", "allkeys-lru", at.before.get("maxmemory-policy"));
        self.change(at, policy).await?;
        let most = used_memory(at).await.saturating_sub(filler(at).await.saturating_sub(LEFT)).to_string();
        self.change(at, Change::setting("maxmemory", &most, at.before.get("maxmemory"))).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let before = at.before.number("evicted_keys");
        let (seen, holds) = eventually(
            at.addr(),
            PATIENCE,
            |info| info.get("maxmemory-policy") == "allkeys-lru" && info.number("evicted_keys") > before,
            told,
        )
        .await;
        let left = number(at, &["EVAL", COUNT, "0", FILLER]).await;
        let gone = left.is_some_and(|left| left > 0 && left.to_string() != FILLER);
        let of = format!("{} of {FILLER} are left", left.map_or_else(|| "?".to_owned(), |left| left.to_string()));
        vec![
            proof(ProofOf::Mechanism, "it evicts keys", seen, holds),
            proof(ProofOf::Symptom, "own writes: some that were stored are gone", of, gone),
        ]
    }

    /// The limit goes before the policy: without it nothing is evicted any more.
    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        for change in self.changes.iter().rev() {
            at.redis.change_back(change).await?;
        }
        Ok(())
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let before = ["maxmemory", "maxmemory-policy"].map(|name| (name, at.before.get(name).to_owned()));
        let is = |info: &Info| before.iter().all(|(name, value)| info.get(name) == value);
        let (seen, holds) = eventually(at.addr(), PATIENCE, is, told).await;
        vec![proof(ProofOf::Heal, "its limit and its policy are the old ones", seen, holds)]
    }
}
