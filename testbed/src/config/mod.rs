//! What a person wrote in `application.yml`. Every key has a default; unknown keys, wrong units and contradictions are
//! refused.
//!
//! In: YAML. Out: a [`Config`] that makes sense, or a [`ConfigError`] with the place or the keys that must change.
//! `contradictions.rs` says what makes sense, `profile.rs` how one file is laid over another.

mod contradictions;
mod database;
mod database_url;
mod excerpt;
mod profile;
mod secrets;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::clock::Clock;
use crate::strategy::config::BufferConfig;
pub use contradictions::Contradiction;
pub use database::DatabaseConfig;
pub use database_url::DatabaseUrl;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Signs answers, rows and receipts.
    pub instance: String,
    pub role: Role,
    pub server: ServerConfig,
    pub buffer: BufferConfig,
    pub worker: WorkerConfig,
    pub database: DatabaseConfig,
    pub l1_cache: L1CacheConfig,
    /// Database triggers log every attempted upsert.
    pub witness: bool,
    /// How far this node's own clock is ahead of its machine's, to try out what a wrong one spoils.
    pub clock_offset: Clock,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            instance: "local".into(),
            role: Role::All,
            server: ServerConfig::default(),
            buffer: BufferConfig::default(),
            worker: WorkerConfig::default(),
            database: DatabaseConfig::default(),
            l1_cache: L1CacheConfig::default(),
            witness: false,
            clock_offset: Clock::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Answers requests.
    Api,
    /// Moves tasks from the buffer to the database; serves health and metrics only.
    Worker,
    /// Both: the only role of a buffer in memory.
    All,
}

impl Role {
    pub fn answers_requests(self) -> bool {
        self != Role::Worker
    }

    pub fn writes_rows(self) -> bool {
        self != Role::Api
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    pub host: IpAddr,
    /// 0: any free one; it is logged.
    pub port: u16,
    /// How long a service that shuts down goes on accepting, after its readiness went off: longer than a load
    /// balancer's probe interval and time-out together.
    #[serde(with = "crate::duration")]
    pub endpoint_lag: Duration,
    /// From the order to shut down to the end.
    #[serde(with = "crate::duration")]
    pub grace: Duration,
    /// From the first byte of a request to its answer.
    #[serde(with = "crate::duration")]
    pub request_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            endpoint_lag: Duration::from_millis(400),
            grace: Duration::from_secs(10),
            request_timeout: Duration::from_secs(2),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Tasks in one transaction.
    pub batch: usize,
    /// How long a batch that is not full may wait.
    #[serde(with = "crate::duration")]
    pub flush_interval: Duration,
    /// How long a leased task is this worker's, unless prolonged.
    #[serde(with = "crate::duration")]
    pub lease: Duration,
    /// How often expired leases are looked for.
    #[serde(with = "crate::duration")]
    pub redrive_scan: Duration,
    /// Failed attempts before the dead-letter queue.
    pub max_attempts: u32,
    /// Before the next attempt; doubles up to `backoff_max`.
    #[serde(with = "crate::duration")]
    pub backoff: Duration,
    #[serde(with = "crate::duration")]
    pub backoff_max: Duration,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        WorkerConfig {
            batch: 256,
            flush_interval: Duration::from_millis(200),
            lease: Duration::from_secs(5),
            redrive_scan: Duration::from_secs(1),
            max_attempts: 5,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
        }
    }
}

/// What GET may answer without asking the database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1CacheConfig {
    /// Characters; 0: no cache.
    pub capacity: usize,
    /// How stale a read may be: it shows at least what was committed so long ago.
    #[serde(with = "crate::duration")]
    pub max_age: Duration,
}

impl Default for L1CacheConfig {
    fn default() -> Self {
        L1CacheConfig { capacity: 10_000, max_age: Duration::from_millis(500) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// With line, column and excerpt.
    #[error("understand {}: {problem}", path.display())]
    Parse { path: PathBuf, problem: String },
    #[error("accept {}:{}", path.display(), contradictions.iter().map(|c| format!("\n  {c}")).collect::<String>())]
    Contradictions { path: PathBuf, contradictions: Vec<Contradiction> },
}

impl Config {
    /// `path` is where the text comes from: errors name it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::understand(text, path)?.without_contradictions(path)
    }

    /// Word by word; what the words mean together is not looked at.
    fn understand(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // An empty file, or one of comments only, is "all defaults".
        let config: Option<Config> = serde_yaml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            problem: excerpt::of::<Option<Config>>(&error, text, path),
        })?;
        Ok(config.unwrap_or_default())
    }

    fn without_contradictions(self, path: &Path) -> Result<Self, ConfigError> {
        match self.contradictions() {
            none if none.is_empty() => Ok(self),
            contradictions => Err(ConfigError::Contradictions { path: path.to_owned(), contradictions }),
        }
    }
}
