//! What this Redis promises: its persistence settings, and what they mean for an accepted task.

use std::collections::HashMap;

use redis::InfoDict;

use super::connection::{Connection, Failure};
use crate::strategy::Durability;

/// The scripts use flags and replies that came with this version.
const OLDEST_MAJOR: u32 = 7;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settings {
    Read(Persistence),
    /// A managed Redis: nobody but its operator can say.
    Forbidden,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Persistence {
    append_only: bool,
    append_fsync: String,
    /// While Redis rewrites its file, `always` does not fsync either.
    no_fsync_on_rewrite: bool,
    max_memory_policy: String,
}

impl Settings {
    pub(super) async fn read(connection: &Connection) -> Result<Self, Failure> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(&["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"]);
        match connection.command::<HashMap<String, String>>(&command).await {
            Ok(values) => Ok(Settings::Read(Persistence::from(values))),
            Err(Failure::Refused { code, .. }) if matches!(&code[..], "NOPERM" | "ERR") => Ok(Settings::Forbidden),
            Err(failure) => Err(failure),
        }
    }

    /// The most that an answer may promise.
    pub(super) fn durability(&self) -> Durability {
        match self {
            Settings::Read(p) if p.append_only && p.append_fsync == "always" && !p.no_fsync_on_rewrite => {
                Durability::Persisted
            }
            _ => Durability::Received,
        }
    }

    /// Why this Redis may lose accepted tasks, each with its remedy. Empty: nothing is known against it.
    pub(super) fn hazards(&self) -> Vec<String> {
        let Settings::Read(persistence) = self else { return Vec::new() };
        let evicts = (persistence.max_memory_policy != "noeviction").then(|| {
            format!(
                "maxmemory-policy {} may evict tasks (CONFIG SET maxmemory-policy noeviction)",
                persistence.max_memory_policy
            )
        });
        let forgets = (!persistence.append_only)
            .then(|| "appendonly no forgets tasks when Redis ends (CONFIG SET appendonly yes)".to_owned());
        evicts.into_iter().chain(forgets).collect()
    }
}

impl From<HashMap<String, String>> for Persistence {
    fn from(mut values: HashMap<String, String>) -> Self {
        let mut value = |name: &str| values.remove(name).unwrap_or_default();
        Persistence {
            append_only: value("appendonly") == "yes",
            append_fsync: value("appendfsync"),
            no_fsync_on_rewrite: value("no-appendfsync-on-rewrite") == "yes",
            max_memory_policy: value("maxmemory-policy"),
        }
    }
}

/// The version of a Redis that is too old for the scripts. One that does not tell its version is trusted.
pub(super) async fn too_old(connection: &Connection) -> Result<Option<String>, Failure> {
    match connection.command::<InfoDict>(redis::cmd("INFO").arg("server")).await {
        Ok(info) => Ok(version(&info).filter(|v| major(v).is_some_and(|m| m < OLDEST_MAJOR))),
        Err(Failure::Refused { .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn version(info: &InfoDict) -> Option<String> {
    info.get("redis_version")
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(append_only: &str, append_fsync: &str, on_rewrite: &str, policy: &str) -> Settings {
        let names = ["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"];
        let values = [append_only, append_fsync, on_rewrite, policy];
        let pairs = names.into_iter().zip(values).map(|(n, v)| (n.to_owned(), v.to_owned()));
        Settings::Read(pairs.collect::<HashMap<_, _>>().into())
    }

    #[test]
    fn only_an_fsync_before_every_answer_is_called_persisted() {
        assert_eq!(settings("yes", "always", "no", "noeviction").durability(), Durability::Persisted);
        assert_eq!(settings("yes", "everysec", "no", "noeviction").durability(), Durability::Received);
        assert_eq!(settings("no", "always", "no", "noeviction").durability(), Durability::Received);
        assert_eq!(settings("yes", "always", "yes", "noeviction").durability(), Durability::Received);
        assert_eq!(Settings::Forbidden.durability(), Durability::Received);
    }

    #[test]
    fn each_hazard_comes_with_its_remedy() {
        assert!(settings("yes", "everysec", "no", "noeviction").hazards().is_empty());
        assert!(Settings::Forbidden.hazards().is_empty());
        let hazards = settings("no", "everysec", "no", "allkeys-lru").hazards();
        assert_eq!(hazards.len(), 2);
        assert!(hazards[0].contains("CONFIG SET maxmemory-policy noeviction"), "{hazards:?}");
        assert!(hazards[1].contains("CONFIG SET appendonly yes"), "{hazards:?}");
    }

    #[test]
    fn a_redis_older_than_the_scripts_is_recognised() {
        let info = InfoDict::new("# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n");
        assert_eq!(version(&info).as_deref().and_then(major), Some(6));
    }
}
