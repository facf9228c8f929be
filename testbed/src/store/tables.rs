//! The two tables, over any database: batches in, rows out. What differs stands in a [`Dialect`].
//!
//! # Why a limit on the answer
//! The server ends a statement that takes too long, but a server that is cut off ends nothing: a worker that waited for
//! it would prolong its leases for ever. A connection whose answer did not come is not used again.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{ColumnIndex, Connection, Decode, Encode, Error, Executor, IntoArguments, Pool, QueryBuilder, Row, Type};
use tokio::time::timeout;
use tracing::debug;

use super::batch::{Batch, in_powers_of_two};
use super::dialect::{DROPPED_HEAD, Dialect, UPSERT_HEAD};
use super::{Signature, StoredPreset};
use crate::task::{Costs, ExpectationWriteTask, Money};

/// Nine parameters a row: far below what any of the databases takes (SQLite 32,766, the others 65,535).
const LONGEST_STATEMENT: usize = 256;

/// Of a batch that loses to other workers' transactions, before it is given back.
const TRIES: u32 = 4;

/// The tables as a [`super::Store`] uses them, whatever the database.
#[async_trait]
pub trait Tables: Send + Sync {
    /// In one transaction.
    async fn apply(&self, batch: &Batch<'_>) -> Result<(), Error>;
    async fn read(&self, key: i64) -> Result<Vec<StoredPreset>, Error>;
    /// Whether it is the content of the tasks that the database refuses.
    fn refuses_content(&self, error: &dyn DatabaseError) -> bool;
    async fn close(&self);
}

/// The tables in a database of this dialect.
pub struct TablesIn<D: Dialect> {
    pub writer: Pool<D>,
    pub readers: Pool<D>,
    pub signature: Signature,
    /// Longer than the server itself lets a statement take.
    pub answer_limit: Duration,
}

#[async_trait]
impl<D> Tables for TablesIn<D>
where
    D: Dialect,
    D::Arguments: IntoArguments<D>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'v> i64: Encode<'v, D> + Decode<'v, D> + Type<D>,
    for<'v> i16: Encode<'v, D> + Decode<'v, D> + Type<D>,
    for<'v> &'v str: Encode<'v, D> + Type<D>,
    for<'i> &'i str: ColumnIndex<D::Row>,
{
    async fn apply(&self, batch: &Batch<'_>) -> Result<(), Error> {
        for _ in 1..TRIES {
            match self.apply_once(batch).await {
                Err(error) if error.as_database_error().is_some_and(D::rolled_back_for_another) => {
                    debug!("a batch is written again: {error}");
                }
                written => return written,
            }
        }
        self.apply_once(batch).await
    }

    async fn read(&self, key: i64) -> Result<Vec<StoredPreset>, Error> {
        let mut connection = self.readers.acquire().await?;
        let rows = self.answered(sqlx::query(D::READ).bind(key).fetch_all(&mut *connection)).await;
        part_if_broken(connection, &rows);
        rows?.iter().map(stored_preset).collect()
    }

    fn refuses_content(&self, error: &dyn DatabaseError) -> bool {
        D::refuses_content(error)
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl<D> TablesIn<D>
where
    D: Dialect,
    D::Arguments: IntoArguments<D>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'v> i64: Encode<'v, D> + Type<D>,
    for<'v> i16: Encode<'v, D> + Type<D>,
    for<'v> &'v str: Encode<'v, D> + Type<D>,
{
    async fn apply_once(&self, batch: &Batch<'_>) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let written = self.write(&mut connection, batch).await;
        part_if_broken(connection, &written);
        written
    }

    async fn write(&self, connection: &mut D::Connection, batch: &Batch<'_>) -> Result<(), Error> {
        let mut transaction = self.answered(connection.begin_with(D::BEGIN)).await?;
        for mut statement in self.statements(batch) {
            self.answered(statement.build().execute(&mut *transaction)).await?;
        }
        self.answered(transaction.commit()).await
    }

    fn statements(&self, batch: &Batch<'_>) -> impl Iterator<Item = QueryBuilder<D>> {
        let dropped = if self.signature.witness { &batch.dropped[..] } else { &[] };
        let upserts = in_powers_of_two(&batch.rows, LONGEST_STATEMENT).map(|rows| self.upsert(rows));
        upserts.chain(in_powers_of_two(dropped, LONGEST_STATEMENT).map(|tasks| self.record_dropped(tasks)))
    }

    fn upsert(&self, rows: &[&ExpectationWriteTask]) -> QueryBuilder<D> {
        let mut sql = QueryBuilder::new(UPSERT_HEAD);
        sql.push_values(rows, |mut row, task| {
            row.push_bind(task.key).push_bind(i16::from(task.preset));
            for amount in amounts(&task.costs) {
                row.push(D::HUNDREDTHS).push_bind_unseparated(amount);
            }
            row.push(D::NOW).push("1");
            row.push_bind(task.seq as i64).push_bind(&self.signature.instance[..]);
        });
        sql.push(D::ON_CONFLICT);
        sql
    }

    fn record_dropped(&self, tasks: &[&ExpectationWriteTask]) -> QueryBuilder<D> {
        let mut sql = QueryBuilder::new(DROPPED_HEAD);
        sql.push_values(tasks, |mut row, task| {
            row.push_bind(task.key).push_bind(i16::from(task.preset)).push_bind(task.seq as i64);
            row.push_bind(&self.signature.instance[..]).push("'dropped'");
        });
        sql
    }
}

impl<D: Dialect> TablesIn<D> {
    async fn answered<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.answer_limit;
        let silent = |_| Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")));
        timeout(limit, answer).await.map_err(silent)?
    }
}

/// An answer may still be under way on a connection that failed, unless it was the server that said so.
fn part_if_broken<D: Dialect, T>(mut connection: PoolConnection<D>, answer: &Result<T, Error>) {
    if matches!(answer, Err(error) if error.as_database_error().is_none()) {
        connection.close_on_drop();
    }
}

/// In the order of the columns in [`UPSERT_HEAD`].
fn amounts(costs: &Costs) -> [i64; 5] {
    let Costs { total_expected_cost, black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost } = costs;
    [total_expected_cost, black_cube_cost, red_cube_cost, additional_cube_cost, starforce_cost].map(|money| money.0)
}

fn stored_preset<R: Row>(row: &R) -> Result<StoredPreset, Error>
where
    for<'v> i64: Decode<'v, R::Database> + Type<R::Database>,
    for<'v> i16: Decode<'v, R::Database> + Type<R::Database>,
    for<'i> &'i str: ColumnIndex<R>,
{
    let money = |column: &str| row.try_get(column).map(Money);
    let costs = Costs {
        total_expected_cost: money("total_expected_cost")?,
        black_cube_cost: money("black_cube_cost")?,
        red_cube_cost: money("red_cube_cost")?,
        additional_cube_cost: money("additional_cube_cost")?,
        starforce_cost: money("starforce_cost")?,
    };
    let (preset, seq): (i16, i64) = (row.try_get("preset_no")?, row.try_get("write_seq")?);
    Ok(StoredPreset { preset: preset as u8, seq: seq as u64, costs })
}
