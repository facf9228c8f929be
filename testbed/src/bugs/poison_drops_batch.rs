//! A batch that the database refuses is logged and counted as processed: its sound neighbours go with the poison.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Error;

use super::Bug;
use super::tables_in_front::{Front, Own, in_front};
use crate::config::DatabaseConfig;
use crate::parts::Parts;
use crate::store::Batch;

pub(super) const BUG: Bug = Bug { name: "poison-drops-batch", parts: || Arc::new(PoisonDropsBatch) };

struct PoisonDropsBatch;

impl Parts for PoisonDropsBatch {
    fn tables(&self, tables: Own, _config: &DatabaseConfig) -> Own {
        in_front(tables, PoisonDropsBatch)
    }
}

#[async_trait]
impl Front for PoisonDropsBatch {
    async fn apply(&self, own: &Own, batch: &Batch<'_>) -> Result<(), Error> {
        match own.apply(batch).await {
            Err(error) if error.as_database_error().is_some_and(|error| own.refuses_content(error)) => {
                tracing::warn!(rows = batch.rows.len(), "skipped a batch: {error}");
                Ok(())
            }
            applied => applied,
        }
    }
}
