//! The disk of the database is full: a filler of our own takes what is free in the small file system that the file is in.
//! Whoever writes gets SQLITE_FULL until the filler is removed.

use async_trait::async_trait;

use super::rows::Rows;
use super::{DatabaseFault, Proof, ProofOf, Struck, Symptom, proof};
use crate::archive::free_bytes;
use crate::backends::ControlError;
use crate::backends::database_control::Change;
use crate::scenario::Size;

#[derive(Default)]
pub(super) struct Full {
    rows: Rows,
    free_before: Option<u64>,
}

/// Where the database is; `None`: not in a file system of its own, or nobody can tell.
fn free(at: &Struck<'_>) -> Option<u64> {
    free_bytes(&at.database.room()?).ok()
}

fn told(free: Option<u64>) -> String {
    free.map_or_else(|| "not known".to_owned(), |bytes| format!("{} free", Size(bytes)))
}

#[async_trait]
impl DatabaseFault for Full {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("SQLITE_FULL", |seen| seen.is_error("SQLITE_FULL"))
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.free_before = free(at);
        at.database.change(&Change::Filler).await?;
        self.rows.begin(at).await;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let now = free(at);
        let seen = format!("{} → {}", told(self.free_before), told(now));
        let holds = now == Some(0) && self.free_before > Some(0);
        vec![proof(ProofOf::Mechanism, "nothing is free where the database is", seen, holds)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.rows.end(at).await;
        at.database.change_back(&Change::Filler).await
    }

    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let now = free(at);
        vec![
            self.rows.stood_still(),
            proof(ProofOf::Heal, "there is room again where the database is", told(now), now > Some(0)),
        ]
    }
}
