//! Two versions of one row go into one upsert, which a database may refuse to touch twice; the worker dies of it, and so
//! does the next one that takes the batch.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Error;

use super::Bug;
use super::tables_in_front::{Front, Own, in_front};
use crate::config::DatabaseConfig;
use crate::parts::Parts;
use crate::store::Batch;

pub(super) const BUG: Bug = Bug { name: "twice-in-one-batch", parts: || Arc::new(TwiceInOneBatch) };

struct TwiceInOneBatch;

impl Parts for TwiceInOneBatch {
    fn tables(&self, tables: Own, _config: &DatabaseConfig) -> Own {
        in_front(tables, TwiceInOneBatch)
    }
}

#[async_trait]
impl Front for TwiceInOneBatch {
    /// As PostgreSQL says it.
    async fn apply(&self, own: &Own, batch: &Batch<'_>) -> Result<(), Error> {
        assert!(batch.dropped.is_empty(), "ON CONFLICT DO UPDATE command cannot affect row a second time");
        own.apply(batch).await
    }
}
