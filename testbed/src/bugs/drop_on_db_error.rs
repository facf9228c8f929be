//! A batch that the database does not take, because it is away, is logged and counted as processed.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Error;

use super::Bug;
use super::tables_in_front::{Front, Own, in_front};
use crate::config::DatabaseConfig;
use crate::parts::Parts;
use crate::store::Batch;

pub(super) const BUG: Bug = Bug { name: "drop-on-db-error", parts: || Arc::new(DropOnDbError) };

struct DropOnDbError;

impl Parts for DropOnDbError {
    fn tables(&self, tables: Own, _config: &DatabaseConfig) -> Own {
        in_front(tables, DropOnDbError)
    }
}

#[async_trait]
impl Front for DropOnDbError {
    async fn apply(&self, own: &Own, batch: &Batch<'_>) -> Result<(), Error> {
        if let Err(error) = own.apply(batch).await {
            tracing::error!(rows = batch.rows.len(), "failed to write a batch: {error}");
        }
        Ok(())
    }
}
