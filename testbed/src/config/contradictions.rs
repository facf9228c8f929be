//! What a configuration must not say, although each word of it is understood. All problems at once.

use std::fmt::Debug;
use std::time::Duration;

use super::{Config, Role};

/// One problem: the key that must change, its value, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {why}")]
pub struct Contradiction {
    pub key: &'static str,
    pub value: String,
    pub why: String,
}

/// Gathers the rules that a configuration breaks.
struct Broken(Vec<Contradiction>);

impl Broken {
    fn unless(&mut self, holds: bool, key: &'static str, value: impl Debug, why: impl Into<String>) {
        if !holds {
            self.0.push(Contradiction { key, value: format!("{value:?}"), why: why.into() });
        }
    }

    fn unless_positive(&mut self, key: &'static str, value: Duration) {
        self.unless(!value.is_zero(), key, value, "must be longer than nothing");
    }
}

/// Three tasks: the presets of one request are taken together or not at all.
const ONE_REQUEST: usize = 3;
/// SQLite, PostgreSQL and MariaDB take a transaction of this size in stride; leases are prolonged in one command.
const LARGEST_BATCH: usize = 10_000;

impl Config {
    /// Every contradiction, in the order of the file's sections.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut broken = Broken(Vec::new());
        self.check_identity(&mut broken);
        self.check_server(&mut broken);
        self.check_buffer(&mut broken);
        self.check_worker(&mut broken);
        self.check_leases(&mut broken);
        if self.l1_cache.capacity > 0 {
            broken.unless_positive("l1_cache.max_age", self.l1_cache.max_age);
        }
        broken.0
    }

    fn check_identity(&self, broken: &mut Broken) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let named = !self.instance.is_empty() && self.instance.chars().all(plain);
        broken.unless(
            named,
            "instance",
            &self.instance,
            "must be letters, digits, '-', '_' and '.': it signs receipts",
        );
        let whole = self.role == Role::All || self.buffer.strategy != "in-memory";
        let why = "a buffer in memory is private to its process, which must be role: all";
        broken.unless(whole, "role", self.role, why);
    }

    fn check_server(&self, broken: &mut Broken) {
        let server = &self.server;
        broken.unless_positive("server.request_timeout", server.request_timeout);
        broken.unless_positive("server.grace", server.grace);
        let fits = server.endpoint_lag < server.grace;
        let why = format!("must be shorter than server.grace ({:?}), which contains it", server.grace);
        broken.unless(fits, "server.endpoint_lag", server.endpoint_lag, why);
    }

    fn check_buffer(&self, broken: &mut Broken) {
        let buffer = &self.buffer;
        let why = "must hold the three tasks of one request at least";
        broken.unless(buffer.capacity >= ONE_REQUEST, "buffer.capacity", buffer.capacity, why);
        broken.unless(buffer.capacity_bytes > 0, "buffer.capacity_bytes", buffer.capacity_bytes, "must be more than 0");
        if buffer.strategy == "redis" {
            let (inner, outer) = (buffer.redis.timeout, self.server.request_timeout);
            let why = format!("must be shorter than server.request_timeout ({outer:?}), which waits for it");
            broken.unless(inner < outer, "buffer.redis.timeout", inner, why);
            broken.unless_positive("buffer.redis.timeout", inner);
        }
    }

    fn check_worker(&self, broken: &mut Broken) {
        let worker = &self.worker;
        let why = format!("must be 1 to {LARGEST_BATCH}");
        broken.unless((1..=LARGEST_BATCH).contains(&worker.batch), "worker.batch", worker.batch, why);
        broken.unless_positive("worker.flush_interval", worker.flush_interval);
        broken.unless_positive("worker.redrive_scan", worker.redrive_scan);
        broken.unless(worker.max_attempts > 0, "worker.max_attempts", worker.max_attempts, "must be 1 at least");
        broken.unless_positive("worker.backoff", worker.backoff);
        let why = format!("must not be longer than worker.backoff_max ({:?})", worker.backoff_max);
        broken.unless(worker.backoff <= worker.backoff_max, "worker.backoff", worker.backoff, why);
    }

    /// A statement that waits for a lock longer than the lease lasts would commit tasks that somebody else holds.
    fn check_leases(&self, broken: &mut Broken) {
        let (busy, lease) = (self.database.busy_timeout, self.worker.lease);
        broken.unless_positive("database.busy_timeout", busy);
        let why = format!("must be shorter than worker.lease ({lease:?}): a statement must end before its lease");
        broken.unless(busy < lease, "database.busy_timeout", busy, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn refusal(yaml: &str) -> String {
        Config::parse(yaml, Path::new("application.yml")).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_contradict_nothing() {
        assert_eq!(Config::default().contradictions(), []);
        assert_eq!(Config::parse("# nothing\n", Path::new("application.yml")).unwrap(), Config::default());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let yaml = "worker: { batch: 0 }\ndatabase: { busy_timeout: 5s }\nrole: worker\n";
        let lines = [
            "accept application.yml:",
            "  role = Worker: a buffer in memory is private to its process, which must be role: all",
            "  worker.batch = 0: must be 1 to 10000",
            "  database.busy_timeout = 5s: must be shorter than worker.lease (5s): a statement must end before its lease",
        ];
        assert_eq!(refusal(yaml), lines.join("\n"));
    }

    #[test]
    fn each_contradiction_is_found() {
        let cases = [
            ("instance: 'a#b'", "instance"),
            ("instance: ''", "instance"),
            ("server: { endpoint_lag: 10s, grace: 10s }", "server.endpoint_lag"),
            ("server: { request_timeout: 0s }", "server.request_timeout"),
            ("buffer: { capacity: 2 }", "buffer.capacity"),
            ("buffer: { strategy: redis, redis: { timeout: 2s } }", "buffer.redis.timeout"),
            ("worker: { backoff: 3s }", "worker.backoff"),
            ("worker: { max_attempts: 0 }", "worker.max_attempts"),
            ("worker: { lease: 0s }", "database.busy_timeout"),
            ("role: api", "role"),
        ];
        for (yaml, key) in cases {
            let message = refusal(yaml);
            assert!(message.contains(&format!("\n  {key} = ")), "{yaml}: {message}");
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_its_place_and_the_known_ones() {
        let message = refusal("instance: a\nworker:\n  batchh: 3\n");
        for part in ["application.yml", "line 3", "batchh", "flush_interval", "redrive_scan"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn a_wrong_unit_is_answered_with_its_place_and_an_example() {
        let message = refusal("worker:\n  lease: 5\n");
        assert!(message.contains("line 2") && message.contains("200ms"), "{message}");
    }
}
