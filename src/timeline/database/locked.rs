//! The database is locked: somebody else, mxctl itself, holds its one write lock in a transaction that does not end. Who
//! only reads goes on. The lock ends with its holder, so that nothing of it is left by a run that is killed.

use std::time::Duration;

use async_trait::async_trait;

use super::eye::{of_answer, say};
use super::rows::Rows;
use super::{DatabaseFault, Proof, ProofOf, Struck, Symptom, proof};
use crate::backends::ControlError;
use crate::backends::database_control::Change;

/// Nobody lets it go: who waits longer only sees less often.
const BUSY: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Locked {
    rows: Rows,
}

#[async_trait]
impl DatabaseFault for Locked {
    fn symptom(&self) -> Option<Symptom> {
        Symptom::of_server("SQLITE_BUSY", |seen| seen.is_error("SQLITE_BUSY"))
    }

    fn busy(&self) -> Duration {
        BUSY
    }

    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        at.database.change(&Change::WriteLock).await?;
        self.rows.begin(at).await;
        Ok(())
    }

    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof> {
        let seen = of_answer(say(&at.database.source(), "begin immediate; rollback".to_owned(), BUSY).await);
        let holds = seen.is_error("SQLITE_BUSY");
        vec![proof(ProofOf::Mechanism, "nobody else can begin a transaction that writes", seen.to_string(), holds)]
    }

    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError> {
        self.rows.end(at).await;
        at.database.change_back(&Change::WriteLock).await
    }

    async fn proof_of_heal(&mut self, _at: &Struck<'_>) -> Vec<Proof> {
        vec![self.rows.stood_still()]
    }
}
