//! Disturbances: what can be done to that which the service depends on, while instances and load go on.
//!
//! This list is the one place that knows their words. A scenario reads them, a plan gives them times, `explain` and
//! the report put them into sentences, and the time line (`src/timeline/redis/` and `src/timeline/database/`, one a file)
//! does them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    RedisKill,
    RedisRestart,
    RedisPause,
    RedisReadonly,
    RedisOom,
    RedisMisconf,
    RedisEvict,
    RedisScriptFlush,
    RedisClientKill,
    RedisLatency,
    RedisReset,
    RedisBlackhole,
    RedisDropReply,
    RedisDropRequest,
    RedisFailover,
    RedisFailoverLagging,
    RedisFailoverSentinel,
    DatabasePause,
    DatabaseRestart,
    DatabaseKill,
    DatabaseDisconnect,
    DatabaseSlow,
    DatabaseLocked,
    DatabaseFull,
}

/// What is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Redis,
    Database,
}

impl Subject {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Redis => "Redis",
            Subject::Database => "the database",
        }
    }

    /// Behind an article.
    pub fn kind(self) -> &'static str {
        match self {
            Subject::Redis => "Redis",
            Subject::Database => "database",
        }
    }
}

/// What everyone needs to know of one.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    pub disturbance: Disturbance,
    pub subject: Subject,
    /// The words of the databases that it can be done to, where it is a database that is struck.
    pub databases: &'static [&'static str],
    /// In a scenario file.
    pub word: &'static str,
    /// What is done.
    pub act: &'static str,
    /// How it is undone; empty where there is nothing to undo.
    pub undo: &'static str,
    /// How long it lasts where nobody says otherwise; `None`: it is over as soon as it is done.
    pub lasts: Option<Duration>,
    /// The default of its `delay`, where it has one.
    pub delay: Option<Duration>,
    /// It spoils what passes between the instances and the server: there must be a proxy.
    pub proxied: bool,
    /// It needs a replica of the server. There is a proxy as well, which leads to whoever is the primary.
    pub replica: bool,
    /// Sentinels watch it meanwhile.
    pub sentinels: bool,
    /// What is struck stores nothing while it lasts. Of Redis: so nobody can be told of a stored write.
    pub takes_no_write: bool,
    /// The database is in a small file system of the run's own, which takes root.
    pub in_a_room: bool,
}

const SERVERS: &[&str] = &["postgres", "mariadb"];
const FILE: &[&str] = &["sqlite"];
const EVERY_DATABASE: &[&str] = &["sqlite", "postgres", "mariadb"];

/// Every disturbance, in the order in which a person meets them.
const LIST: [Sheet; 24] = {
    use Disturbance::*;
    const RESTARTED: &str = "a new process on the same port and data";
    const RECOVERED: &str = "a new process that recovers the data";
    [
        outage(RedisKill, "redis-kill", 2_000, "SIGKILL", RESTARTED),
        outage(RedisRestart, "redis-restart", 1_000, "SIGTERM", RESTARTED),
        outage(RedisPause, "redis-pause", 3_000, "SIGSTOP", "SIGCONT"),
        outage(RedisReadonly, "redis-readonly", 2_000, "REPLICAOF nobody", "REPLICAOF NO ONE"),
        outage(RedisOom, "redis-oom", 2_000, "maxmemory 1, noeviction", "the old maxmemory"),
        outage(RedisMisconf, "redis-misconf", 2_000, "a snapshot that fails and stops writes", "one that succeeds"),
        Sheet {
            takes_no_write: false,
            ..outage(
                RedisEvict,
                "redis-evict",
                2_000,
                "allkeys-lru over its maxmemory",
                "noeviction, the old maxmemory",
            )
        },
        moment(RedisScriptFlush, "redis-script-flush", "SCRIPT FLUSH"),
        moment(RedisClientKill, "redis-client-kill", "CLIENT KILL of everyone"),
        Sheet {
            delay: Some(Duration::from_millis(100)),
            takes_no_write: false,
            ..network(RedisLatency, "redis-latency", 3_000, "answers delayed on their way", "no delay")
        },
        network(RedisReset, "redis-reset", 2_000, "connections reset on their way", "no more resets"),
        network(RedisBlackhole, "redis-blackhole", 2_000, "nothing passes", "what was held arrives late"),
        network(RedisDropReply, "redis-drop-reply", 2_000, "scripts applied, their answers lost", "answers arrive"),
        network(RedisDropRequest, "redis-drop-request", 2_000, "scripts lost on their way", "scripts arrive"),
        failover(RedisFailover, "redis-failover", "failover to a replica that has caught up"),
        failover(RedisFailoverLagging, "redis-failover-lagging", "failover to a replica that lags"),
        Sheet {
            undo: "a new process that follows the new primary",
            sentinels: true,
            ..failover(
                RedisFailoverSentinel,
                "redis-failover-sentinel",
                "SIGKILL while its replica has all, sentinels promote it",
            )
        },
        database(SERVERS, outage(DatabasePause, "database-pause", 3_000, "SIGSTOP of every process", "SIGCONT")),
        database(SERVERS, outage(DatabaseRestart, "database-restart", 1_000, "a shutdown in order", RESTARTED)),
        database(SERVERS, outage(DatabaseKill, "database-kill", 2_000, "SIGKILL of every process", RECOVERED)),
        database(SERVERS, moment(DatabaseDisconnect, "database-disconnect", "every connection ended by the server")),
        database(
            SERVERS,
            Sheet {
                delay: Some(Duration::from_millis(100)),
                takes_no_write: false,
                ..network(DatabaseSlow, "database-slow", 3_000, "answers delayed on their way", "no delay")
            },
        ),
        database(FILE, outage(DatabaseLocked, "database-locked", 3_000, "its write lock held by another", "let go")),
        Sheet {
            in_a_room: true,
            ..database(
                EVERY_DATABASE,
                outage(DatabaseFull, "database-full", 3_000, "a filler takes all that is free", "it is removed"),
            )
        },
    ]
};

/// It takes no write while it lasts.
const fn outage(
    disturbance: Disturbance,
    word: &'static str,
    lasts_ms: u64,
    act: &'static str,
    undo: &'static str,
) -> Sheet {
    let lasts = Some(Duration::from_millis(lasts_ms));
    Sheet { lasts, undo, takes_no_write: true, ..moment(disturbance, word, act) }
}

/// An outage of the way to it.
const fn network(
    disturbance: Disturbance,
    word: &'static str,
    lasts_ms: u64,
    act: &'static str,
    undo: &'static str,
) -> Sheet {
    Sheet { proxied: true, ..outage(disturbance, word, lasts_ms, act, undo) }
}

const fn moment(disturbance: Disturbance, word: &'static str, act: &'static str) -> Sheet {
    Sheet {
        disturbance,
        subject: Subject::Redis,
        databases: &[],
        word,
        act,
        undo: "",
        lasts: None,
        delay: None,
        proxied: false,
        replica: false,
        sentinels: false,
        takes_no_write: false,
        in_a_room: false,
    }
}

/// Another server becomes the primary, for good.
const fn failover(disturbance: Disturbance, word: &'static str, act: &'static str) -> Sheet {
    Sheet { proxied: true, replica: true, ..moment(disturbance, word, act) }
}

/// It strikes the database, where that is one of these.
const fn database(databases: &'static [&'static str], of_redis: Sheet) -> Sheet {
    Sheet { subject: Subject::Database, databases, ..of_redis }
}

impl Disturbance {
    pub fn all() -> impl Iterator<Item = &'static Sheet> {
        LIST.iter()
    }

    pub fn of_word(word: &str) -> Option<Disturbance> {
        LIST.iter().find(|sheet| sheet.word == word).map(|sheet| sheet.disturbance)
    }

    pub fn sheet(self) -> &'static Sheet {
        LIST.iter().find(|sheet| sheet.disturbance == self).expect("every disturbance is in the list")
    }

    pub fn word(self) -> &'static str {
        self.sheet().word
    }

    pub fn subject(self) -> Subject {
        self.sheet().subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_same_in_a_scenario_and_in_a_plan() {
        for sheet in Disturbance::all() {
            assert_eq!(serde_json::to_value(sheet.disturbance).unwrap(), sheet.word);
            assert_eq!(Disturbance::of_word(sheet.word).unwrap().sheet().word, sheet.word);
        }
    }
}
