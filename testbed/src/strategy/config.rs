//! The `buffer:` section of `application.yml`: the only place where V4, V5 and V6 differ.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Which strategy, how much it may hold, and what each strategy needs to know. Every key has a default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BufferConfig {
    /// A word of [`super::STRATEGIES`].
    pub strategy: String,
    /// In tasks: ready, leased and delayed ones together. Dead ones are not counted.
    pub capacity: usize,
    /// In bytes of this process's memory: what waits to be sent, or, in memory, all that is held.
    pub capacity_bytes: usize,
    pub redis: RedisConfig,
    /// A seeded bug, by its name: only for a service that mxctl started to prove itself.
    pub bug: Option<String>,
}

impl Default for BufferConfig {
    fn default() -> Self {
        BufferConfig {
            strategy: "in-memory".into(),
            capacity: 100_000,
            capacity_bytes: 64 << 20,
            redis: RedisConfig::default(),
            bug: None,
        }
    }
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    pub url: String,
    /// The list's key; the other keys begin with it. The braces keep them in one slot of a cluster.
    pub key: String,
    /// Of one command, and of making a connection.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
    /// Start even if this Redis may evict tasks, or writes no append-only file.
    pub accept_data_loss: bool,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            url: "redis://127.0.0.1:6379".into(),
            key: "{expectation:write:buffer}".into(),
            timeout: Duration::from_secs(1),
            accept_data_loss: false,
        }
    }
}

/// Without user and password, which a URL may carry: this ends up in logs.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisConfig { url, key, timeout, accept_data_loss } = self;
        f.debug_struct("RedisConfig")
            .field("url", &masked(url))
            .field("key", key)
            .field("timeout", timeout)
            .field("accept_data_loss", accept_data_loss)
            .finish()
    }
}

/// `redis://user:secret@host` as `redis://***@host`. A password may hold an `@`: the last one ends it.
pub(super) fn masked(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_buffer_in_memory() {
        let config: BufferConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, BufferConfig::default());
        assert_eq!(config.strategy, "in-memory");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let wrong = r#"{"redis": {"uri": "redis://127.0.0.1"}}"#;
        assert!(serde_json::from_str::<BufferConfig>(wrong).unwrap_err().to_string().contains("uri"));
    }

    #[test]
    fn a_password_is_not_printed() {
        let config = RedisConfig { url: "redis://me:s3cr@t@127.0.0.1:1/0".into(), ..RedisConfig::default() };
        let printed = format!("{config:?}");
        assert!(printed.contains("redis://***@127.0.0.1:1/0"), "{printed}");
        assert!(!printed.contains("s3cr"), "{printed}");
    }
}
