//! An upsert that overwrites whatever is there, newer or not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{Error, Sqlite};

use super::Bug;
use super::tables_in_front::{Front, Own, in_front};
use crate::config::DatabaseConfig;
use crate::parts::Parts;
use crate::store::Batch;

pub(super) const BUG: Bug = Bug { name: "unversioned-upsert", parts: || Arc::new(UnversionedUpsert) };

struct UnversionedUpsert;

impl Parts for UnversionedUpsert {
    fn tables(&self, tables: Own, config: &DatabaseConfig) -> Own {
        let file = config.url.revealed().trim_start_matches("sqlite://");
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(config.busy_timeout);
        let lazy = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(3));
        in_front(tables, Unversioned { rows: lazy.connect_lazy_with(options) })
    }
}

/// The row that is there is no obstacle: it goes first.
struct Unversioned {
    rows: SqlitePool,
}

#[async_trait]
impl Front for Unversioned {
    async fn apply(&self, own: &Own, batch: &Batch<'_>) -> Result<(), Error> {
        let mut transaction = self.rows.begin_with("BEGIN IMMEDIATE").await?;
        for task in &batch.rows {
            let newer = "DELETE FROM equipment_expectation_summary
                WHERE game_character_id = ? AND preset_no = ? AND write_seq > ?";
            let delete = sqlx::query::<Sqlite>(newer).bind(task.key).bind(i64::from(task.preset)).bind(task.seq as i64);
            delete.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        own.apply(batch).await
    }
}
