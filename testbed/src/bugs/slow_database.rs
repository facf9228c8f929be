//! For a control: every batch takes longer to write than its tasks take to arrive. Nothing is lost, and nothing comes to
//! rest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Error;

use super::Bug;
use super::tables_in_front::{Front, Own, in_front};
use crate::config::{Config, DatabaseConfig};
use crate::parts::Parts;
use crate::store::Batch;

pub(super) const BUG: Bug = Bug { name: "slow-database", parts: || Arc::new(SlowDatabase) };

const BATCH: usize = 10;
const ONE_BATCH: Duration = Duration::from_millis(250);

struct SlowDatabase;

impl Parts for SlowDatabase {
    fn configuration(&self, mut written: Config) -> Config {
        written.worker.batch = BATCH;
        written
    }

    fn tables(&self, tables: Own, _config: &DatabaseConfig) -> Own {
        in_front(tables, SlowDatabase)
    }
}

#[async_trait]
impl Front for SlowDatabase {
    async fn apply(&self, own: &Own, batch: &Batch<'_>) -> Result<(), Error> {
        tokio::time::sleep(ONE_BATCH).await;
        own.apply(batch).await
    }
}
