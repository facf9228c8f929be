//! Whether the service's rows stand still while nothing can be written, where they can be read all the same.

use super::{Proof, ProofOf, Struck, proof};
use crate::readback::database::Database;

/// Rows, and the sum of their versions; the error says why they could not be read.
type Figures = Result<(i64, i64), String>;

#[derive(Default)]
pub(super) struct Rows {
    before: Option<Figures>,
    after: Option<Figures>,
}

impl Rows {
    /// Just after the act.
    pub async fn begin(&mut self, at: &Struck<'_>) {
        self.before = Some(read(at).await);
    }

    /// Just before it is undone; the first time counts.
    pub async fn end(&mut self, at: &Struck<'_>) {
        if self.after.is_none() {
            self.after = Some(read(at).await);
        }
    }

    pub fn stood_still(&self) -> Proof {
        let told = |figures: &Option<Figures>| match figures {
            None => "not read".to_owned(),
            Some(Err(why)) => format!("not read: {why}"),
            Some(Ok((rows, versions))) => format!("{rows} rows (versions {versions})"),
        };
        let holds = matches!((&self.before, &self.after), (Some(Ok(before)), Some(Ok(after))) if before == after);
        let seen = format!("{} → {}", told(&self.before), told(&self.after));
        proof(ProofOf::Mechanism, "no row was written while it lasted", seen, holds)
    }
}

async fn read(at: &Struck<'_>) -> Figures {
    let database = Database::new(&at.database.source(), at.scene.plan.run, at.scene.plan.load.hot_keys);
    database.movement().await.map_err(|e| e.to_string())
}
