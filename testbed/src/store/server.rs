//! What the databases that are servers have in common: their URLs, their connections, their error classes.

use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::pool::PoolOptions;
use sqlx::{Connection, Error, Pool};
use tokio::time::timeout;

use super::Signature;
use super::dialect::Dialect;
use super::tables::TablesIn;
use crate::config::DatabaseConfig;

/// A worker writes one batch at a time.
const WRITERS: u32 = 1;
const READERS: u32 = 4;

/// From the connection to the tables, which another instance may be creating at this moment.
pub const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// How much longer than the server itself its answer may take.
const ON_THE_WAY: Duration = Duration::from_secs(1);

type Options<D> = <<D as sqlx::Database>::Connection as Connection>::Options;

/// Connections are made when they are needed, each as `pool` says.
pub fn tables<D: Dialect>(
    pool: impl Fn(PoolOptions<D>) -> PoolOptions<D>,
    options: Options<D>,
    config: &DatabaseConfig,
    signature: Signature,
) -> TablesIn<D>
where
    Options<D>: Clone,
{
    let connections = |most: u32| -> Pool<D> {
        let bounded = PoolOptions::new().max_connections(most).acquire_timeout(config.busy_timeout);
        pool(bounded).connect_lazy_with(options.clone())
    };
    TablesIn {
        writer: connections(WRITERS),
        readers: connections(READERS),
        signature,
        answer_limit: config.statement_timeout + ON_THE_WAY,
    }
}

/// `opened`, or the end of [`OPEN_LIMIT`].
pub async fn within_limit<T>(opened: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("not open within {OPEN_LIMIT:?}")));
    timeout(OPEN_LIMIT, opened).await.map_err(late)?
}

/// A server that can be reached and must not be used, and what to do.
pub fn unusable(why: impl Into<String>) -> Error {
    Error::Protocol(why.into())
}

/// Class 22 is "data exception", class 23 "integrity constraint violation" (SQLSTATE, ISO/IEC 9075).
pub fn refuses_content(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|state| state.starts_with("22") || state.starts_with("23"))
}

/// Class 40 is "transaction rollback": a deadlock, or a race that was lost. Batches lock their rows in one order, but
/// MariaDB also locks the places of rows that are not there yet.
pub fn rolled_back_for_another(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|state| state.starts_with("40"))
}

/// What is wrong with a URL, as words that follow it: also what a driver would leave out, or take from its environment.
/// The parameters come first, because a driver logs one that it does not know, with its value.
pub fn check<O>(url: &str, parse: fn(&str) -> Result<O, Error>, parameters: &[&str]) -> Result<(), String> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
    if let Some(unknown) = names.find(|name| !parameters.contains(name)) {
        return Err(format!("cannot be used: {unknown:?} is no parameter; parameters: {}", parameters.join(", ")));
    }
    parse(url).map_err(|error| format!("cannot be used: {error}"))?;
    match address.rsplit_once('/') {
        Some((before, name)) if !name.is_empty() && !before.ends_with('/') => Ok(()),
        _ => Err("names no database".to_owned()),
    }
}
