//! Tables in front of the database's own: what a bug does not change goes through.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Error;
use sqlx::error::DatabaseError;

use crate::store::{Batch, StoredPreset, Tables};

pub(super) type Own = Arc<dyn Tables>;

/// What a bug makes of the tables.
#[async_trait]
pub(super) trait Front: Send + Sync + 'static {
    async fn apply(&self, own: &Own, batch: &Batch<'_>) -> Result<(), Error> {
        own.apply(batch).await
    }

    fn refuses_content(&self, own: &Own, error: &dyn DatabaseError) -> bool {
        own.refuses_content(error)
    }
}

struct InFront<F> {
    own: Own,
    front: F,
}

pub(super) fn in_front(own: Own, front: impl Front) -> Own {
    Arc::new(InFront { own, front })
}

#[async_trait]
impl<F: Front> Tables for InFront<F> {
    async fn apply(&self, batch: &Batch<'_>) -> Result<(), Error> {
        self.front.apply(&self.own, batch).await
    }

    async fn read(&self, key: i64) -> Result<Vec<StoredPreset>, Error> {
        self.own.read(key).await
    }

    fn refuses_content(&self, error: &dyn DatabaseError) -> bool {
        self.front.refuses_content(&self.own, error)
    }

    async fn close(&self) {
        self.own.close().await;
    }
}
