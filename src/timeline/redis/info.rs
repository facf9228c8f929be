//! What a Redis tells of itself, read straight from the server, on a connection of the run's own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use redis::InfoDict;
use redis::aio::MultiplexedConnection;

const PATIENCE: Duration = Duration::from_secs(1);

/// The fields of INFO, and the settings of CONFIG GET.
#[derive(Debug, Clone, Default)]
pub(super) struct Info {
    fields: HashMap<String, String>,
}

const SETTINGS: [&str; 6] =
    ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save", "stop-writes-on-bgsave-error"];

impl Info {
    /// The error says why it could not be read.
    pub async fn read(addr: SocketAddr) -> Result<Info, String> {
        let read = async {
            let mut connection = connect(addr).await?;
            let info: InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
            let mut get = redis::cmd("CONFIG");
            get.arg("GET").arg(&SETTINGS);
            let mut fields: HashMap<String, String> = get.query_async(&mut connection).await?;
            fields.extend(info.keys().filter_map(|name| Some((name.clone(), info.get(name)?))));
            Ok::<_, redis::RedisError>(Info { fields })
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.map_err(|_| format!("no answer within {PATIENCE:?}"))?.map_err(|e| e.to_string())
    }

    /// A field, or `?` where the server did not tell it.
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("?", String::as_str)
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name)?.parse().ok()
    }

    /// Whether both are of the same life of a server; not, where one of them was not read.
    pub fn is_of(&self, other: &Info) -> bool {
        self.get("run_id") == other.get("run_id") && self.get("run_id") != "?"
    }

    /// What may be lost with it, as it says: an `always` fsyncs before each answer.
    pub fn persistence(&self) -> Option<String> {
        let names: &[&str] = match self.get("appendonly") {
            "yes" => &["appendonly", "appendfsync", "aof_pending_bio_fsync", "aof_delayed_fsync"],
            "no" => &["appendonly", "rdb_changes_since_last_save"],
            _ => return None,
        };
        Some(names.iter().map(|name| format!("{name} {}", self.get(name))).collect::<Vec<_>>().join(", "))
    }

    /// `run_id 4a5b6c7d`, as long as a person compares.
    pub fn run_id(&self) -> String {
        let id = self.get("run_id");
        id.get(..8).unwrap_or(id).to_owned()
    }
}

pub(super) async fn connect(addr: SocketAddr) -> redis::RedisResult<MultiplexedConnection> {
    redis::Client::open(format!("redis://{addr}"))?.get_multiplexed_async_connection().await
}
