//! Redis has no memory left: a `maxmemory` below what it uses, with `noeviction`. It refuses what would need more.

use async_trait::async_trait;

use super::info::Info;
use super::{PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, eventually, proof};
use crate::backends::ControlError;
use crate::backends::redis_control::Change;

#[derive(Default)]
pub(super) struct Oom {
    change: Option<Change>,
}

fn told(info: &Info) -> String {
    let used = info.get("used_memory");
    format!("maxmemory {}, {}, {used} bytes used", info.get("maxmemory"), info.get("maxmemory-policy"))
}

#[async_trait]
impl RedisFault for Oom {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("OOM", |seen| seen.is_error("OOM"))
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        let change = Change::setting("maxmemory", "1", at.before.get("maxmemory"));
        at.redis.change(self.change.insert(change)).await
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let full = |info: &Info| {
            info.get("maxmemory-policy") == "noeviction"
                && info.number("used_memory") > info.number("maxmemory")
                && info.number("maxmemory") > Some(0)
        };
        let (seen, holds) = eventually(at.addr(), PATIENCE, full, told).await;
        vec![proof(ProofOf::Mechanism, "it uses more memory than it may, and evicts nothing", seen, holds)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        if let Some(change) = &self.change {
            at.redis.change_back(change).await?;
        }
        Ok(())
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let before = at.before.get("maxmemory").to_owned();
        let (seen, holds) = eventually(at.addr(), PATIENCE, |info| info.get("maxmemory") == before, told).await;
        vec![proof(ProofOf::Heal, "its maxmemory is the old one", seen, holds)]
    }
}
