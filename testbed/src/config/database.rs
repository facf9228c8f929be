//! The `database:` section of `application.yml`.

use std::time::Duration;

use serde::Deserialize;

use super::DatabaseUrl;

/// The three limits are shorter than the lease: what a frozen or a slow worker holds in the database is free again
/// before its tasks are given to another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct DatabaseConfig {
    pub url: DatabaseUrl,
    /// How long a statement may wait for a lock, and a caller for a connection.
    pub busy_timeout: Duration,
    /// How long a statement may take in all. SQLite: as long as it needs.
    pub statement_timeout: Duration,
    /// After how long the server ends a transaction that stands still. SQLite: never.
    pub idle_timeout: Duration,
}

/// Two limits follow the first one where they are not written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    url: DatabaseUrl,
    #[serde(with = "crate::duration")]
    busy_timeout: Duration,
    #[serde(with = "crate::duration::optional")]
    statement_timeout: Option<Duration>,
    #[serde(with = "crate::duration::optional")]
    idle_timeout: Option<Duration>,
}

impl Default for Written {
    fn default() -> Self {
        let url = "sqlite://expectation.db".parse().expect("a known scheme and a file");
        Written { url, busy_timeout: Duration::from_secs(3), statement_timeout: None, idle_timeout: None }
    }
}

impl From<Written> for DatabaseConfig {
    fn from(Written { url, busy_timeout, statement_timeout, idle_timeout }: Written) -> Self {
        DatabaseConfig {
            url,
            busy_timeout,
            statement_timeout: statement_timeout.unwrap_or(busy_timeout),
            idle_timeout: idle_timeout.unwrap_or(busy_timeout),
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Written::default().into()
    }
}
