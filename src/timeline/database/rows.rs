//! Whether the service's rows stand still while nothing can be written, where they can be read all the same.

use std::time::Duration;

use tokio::time::Instant;

use super::{PATIENCE, Proof, ProofOf, Struck, proof};
use crate::readback::database::Database;

/// A worker that was refused tries again within this, with what came in meanwhile beside it.
const AT_REST: Duration = Duration::from_millis(500);

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

    /// As soon as they stand still, where what is done takes a moment to show: what is written then is written no more.
    pub async fn begin_at_rest(&mut self, at: &Struck<'_>) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = read(at).await;
        loop {
            tokio::time::sleep(AT_REST).await;
            let now = read(at).await;
            let rests = now.is_ok() && now == last;
            last = now;
            if rests || Instant::now() >= deadline {
                break;
            }
        }
        self.before = Some(last);
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
    let database = Database::of_run(&at.database.source(), at.scene.plan);
    database.movement().await.map_err(|e| e.to_string())
}
