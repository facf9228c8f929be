//! Redis cannot write its snapshot, and refuses every write until it can (MISCONF): a folder stands where the file
//! would be put, and a snapshot is asked for.
//!
//! # Why a save point is set as well
//! Without one nobody relies on snapshots, and Redis lets a failed one pass.

use async_trait::async_trait;

use super::info::Info;
use super::{PATIENCE, Proof, ProofOf, RedisFault, Struck, Symptom, eventually, proof};
use crate::backends::ControlError;
use crate::backends::redis_control::Change;

/// Where Redis would put its snapshot: the default, which nobody changes.
const SNAPSHOT: &str = "dump.rdb";
/// Never reached in a run.
const SAVE_POINT: &str = "86400 1000000000";

#[derive(Default)]
pub(super) struct Misconf {
    changes: Vec<Change>,
}

impl Misconf {
    async fn change(&mut self, at: &Struck<'_>, change: Change) -> Result<(), ControlError> {
        self.changes.push(change.clone());
        at.redis.change(&change).await
    }
}

fn told(info: &Info) -> String {
    format!("rdb_last_bgsave_status {}, save \"{}\"", info.get("rdb_last_bgsave_status"), info.get("save"))
}

/// The status of a snapshot that has ended.
fn last_is(info: &Info, status: &str) -> bool {
    info.get("rdb_bgsave_in_progress") == "0" && info.get("rdb_last_bgsave_status") == status
}

#[async_trait]
impl RedisFault for Misconf {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("MISCONF", |seen| seen.is_error("MISCONF"))
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.change(at, Change::Obstruction { file: SNAPSHOT.to_owned() }).await?;
        self.change(at, Change::setting("save", SAVE_POINT, at.before.get("save"))).await?;
        // Undone by a snapshot that succeeds.
        self.change(at, Change::command(&["BGSAVE", "SCHEDULE"], Some(&["BGSAVE", "SCHEDULE"]))).await?;
        // Whether it failed in time is a matter of proof.
        eventually(at.addr(), PATIENCE, |info| last_is(info, "err"), told).await;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let (seen, holds) = eventually(at.addr(), PATIENCE, |info| last_is(info, "err"), told).await;
        let stops = at.before.get("stop-writes-on-bgsave-error") == "yes";
        vec![proof(ProofOf::Mechanism, "its last snapshot failed, and that stops writes", seen, holds && stops)]
    }

    /// The obstruction goes before the snapshot that must succeed.
    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        for change in &self.changes {
            at.redis.change_back(change).await?;
        }
        Ok(())
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let before = at.before.get("save").to_owned();
        let is = |info: &Info| last_is(info, "ok") && info.get("save") == before;
        let (seen, holds) = eventually(at.addr(), PATIENCE, is, told).await;
        vec![proof(ProofOf::Heal, "a snapshot succeeded, and its save points are the old ones", seen, holds)]
    }
}
