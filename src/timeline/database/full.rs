//! The disk of the database is full: a filler of our own takes what is free in the small file system that its data is in.
//! Whoever needs room is refused until the filler is removed.
//!
//! # Why own writes that weigh
//! A server has room in reserve, in pages that it has and in a table space that grew ahead. What is small is stored there
//! for a while on a full disk. Heavy writes take that, too, and are then refused for as long as the disk is full.

use async_trait::async_trait;
use tokio::time::Instant;

use super::eye::{Eye, Weight};
use super::rows::Rows;
use super::{BUSY, DatabaseFault, EVERY, OwnWrites, PATIENCE, Proof, ProofOf, Seen, Struck, Symptom, processes, proof};
use crate::archive::free_bytes;
use crate::backends::database_control::Change;
use crate::backends::{ControlError, DatabaseSource};
use crate::scenario::Size;

/// What a database says to a write that finds no room.
const REFUSALS: [&str; 5] =
    ["SQLITE_FULL", "disk_full (SQLSTATE 53100)", "ER_RECORD_FILE_FULL", "ER_DISK_FULL", "ER_ERROR_ON_WRITE"];
/// One after the other, before a server counts as full: beside us others fill what is left.
const IN_A_ROW: usize = 3;

#[derive(Default)]
pub(super) struct Full {
    rows: Rows,
    free_before: Option<u64>,
    /// What it took until the server refused what needs room, where it is a server.
    refused: Option<Proof>,
}

fn is_refusal(seen: &Seen) -> bool {
    REFUSALS.iter().any(|refusal| seen.is_error(refusal))
}

/// Where the database is; `None`: not in a file system of its own, or nobody can tell.
fn free(at: &Struck<'_>) -> Option<u64> {
    free_bytes(&at.database.room()?).ok()
}

fn told(free: Option<u64>) -> String {
    free.map_or_else(|| "not known".to_owned(), |bytes| format!("{} free", Size(bytes)))
}

/// Heavy writes into what the server has in reserve, until it refuses them.
async fn until_refused(at: &Struck<'_>) -> Proof {
    let mut eye = Eye::new(at.database.source(), at.scene.plan.run, BUSY, Weight::Heavy);
    let (deadline, mut stored, mut in_a_row) = (Instant::now() + PATIENCE, 0, 0);
    loop {
        let (seen, _) = eye.write().await;
        stored += usize::from(seen == Seen::Stored);
        in_a_row = if is_refusal(&seen) { in_a_row + 1 } else { 0 };
        if in_a_row >= IN_A_ROW || Instant::now() >= deadline {
            let told = format!("{seen}, after {stored} that were stored");
            return proof(ProofOf::Mechanism, "the server refuses what needs room", told, in_a_row >= IN_A_ROW);
        }
        if seen != Seen::Stored {
            tokio::time::sleep(EVERY).await;
        }
    }
}

fn is_server(at: &Struck<'_>) -> bool {
    matches!(at.database.source(), DatabaseSource::Server { .. })
}

#[async_trait]
impl DatabaseFault for Full {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("refused for lack of room", is_refusal)
    }

    fn weight(&self) -> Weight {
        Weight::Heavy
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.free_before = free(at);
        at.database.change(&Change::Filler).await?;
        if is_server(at) {
            self.refused = Some(until_refused(at).await);
            self.rows.begin_at_rest(at).await;
        } else {
            self.rows.begin(at).await;
        }
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let now = free(at);
        let seen = format!("{} → {}", told(self.free_before), told(now));
        let holds = now == Some(0) && self.free_before > Some(0);
        let full = proof(ProofOf::Mechanism, "nothing is free where the database is", seen, holds);
        std::iter::once(full).chain(self.refused.take()).collect()
    }

    /// A server that could not even write its log has ended; where there is room again, it recovers.
    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.rows.end(at).await;
        at.database.change_back(&Change::Filler).await?;
        if is_server(at) { processes::fill(at).await } else { Ok(()) }
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let now = free(at);
        let room = proof(ProofOf::Heal, "there is room again where the database is", told(now), now > Some(0));
        let server = is_server(at).then(|| processes::one_serves(at));
        [self.rows.stood_still(), room].into_iter().chain(server).collect()
    }
}
