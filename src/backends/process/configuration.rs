//! The `application.yml` of one instance, written for it alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{DATABASE_URL, DatabaseSource, QueueSource, Sources, UpError};
use crate::plan::{self, Persistence, Slot, TargetPlan};

#[derive(Serialize)]
struct Application<'a> {
    instance: &'a str,
    role: &'a str,
    server: Server,
    buffer: Buffer<'a>,
    worker: Worker,
    database: Database,
    witness: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset: Option<String>,
}

#[derive(Serialize)]
struct Server {
    host: &'static str,
    port: u16,
    endpoint_lag: String,
    grace: String,
}

#[derive(Serialize)]
struct Buffer<'a> {
    strategy: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bug: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<Redis<'a>>,
}

#[derive(Serialize)]
struct Redis<'a> {
    url: &'a str,
    key: &'a str,
    /// A Redis without persistence is refused otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    accept_data_loss: bool,
}

#[derive(Serialize)]
struct Worker {
    batch: u32,
    flush_interval: String,
    lease: String,
    redrive_scan: String,
    max_attempts: u32,
    backoff_max: String,
}

#[derive(Serialize)]
struct Database {
    url: String,
    /// Shorter than the lease, or the service refuses to start.
    busy_timeout: String,
}

/// Writes it to `<folder>/<name>.yml`.
pub(in crate::backends) fn write(
    name: &str,
    slot: &Slot,
    plan: &TargetPlan,
    sources: &Sources,
    folder: &Path,
) -> Result<PathBuf, UpError> {
    let path = folder.join(format!("{name}.yml"));
    let text = serde_yaml::to_string(&application(name, slot, plan, sources)).expect("plain data is YAML");
    std::fs::write(&path, text).map_err(|source| UpError::Files { path: path.clone(), source })?;
    Ok(path)
}

fn application<'a>(name: &'a str, slot: &Slot, plan: &'a TargetPlan, sources: &'a Sources) -> Application<'a> {
    Application {
        instance: name,
        role: slot.role.word(),
        server: Server {
            host: "127.0.0.1",
            port: 0,
            endpoint_lag: text(plan.probe.endpoint_lag),
            grace: text(plan.grace),
        },
        buffer: Buffer {
            strategy: plan.strategy.word(),
            bug: plan.seeded_bug.as_deref(),
            redis: match &sources.queue {
                QueueSource::Redis { url, key } => {
                    Some(Redis { url, key, accept_data_loss: plan.redis.persistence == Persistence::None })
                }
                QueueSource::Private => None,
            },
        },
        worker: Worker {
            batch: plan.worker.batch,
            flush_interval: text(plan.worker.flush_interval),
            lease: text(plan.worker.lease),
            redrive_scan: text(plan.worker.redrive_scan),
            max_attempts: plan.worker.max_attempts,
            backoff_max: text(plan.worker.backoff_max),
        },
        database: Database { url: database_url(plan, &sources.database), busy_timeout: text(busy_timeout(plan)) },
        witness: plan.witness,
        clock_offset: clock_offset(slot, plan),
    }
}

/// Of the instance whose own clock is wrong.
fn clock_offset(slot: &Slot, plan: &TargetPlan) -> Option<String> {
    let clock = plan.clock_offsets.iter().find(|clock| clock.slot == *slot)?;
    let sign = if clock.ahead_ms < 0 { "-" } else { "" };
    Some(format!("{sign}{}", text(Duration::from_millis(clock.ahead_ms.unsigned_abs()))))
}

/// What a frozen worker holds in the database is free again before its tasks are given to another. MariaDB counts in
/// whole seconds.
fn busy_timeout(plan: &TargetPlan) -> Duration {
    let limit = (plan.worker.lease * 3 / 5).min(Duration::from_secs(3));
    match plan.database {
        plan::Database::MariaDb => Duration::from_secs(limit.as_secs().max(1)),
        plan::Database::Sqlite | plan::Database::Postgres => limit,
    }
}

/// Of an existing database only the name of the variable: its password belongs in no file.
fn database_url(plan: &TargetPlan, source: &DatabaseSource) -> String {
    match source {
        DatabaseSource::File(path) => format!("sqlite://{}", path.display()),
        DatabaseSource::Server { .. } if plan.existing.is_some() => format!("${{{DATABASE_URL}}}"),
        DatabaseSource::Server { url, .. } => url.revealed().to_owned(),
    }
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Given, Plan, Role, Strategy};
    use crate::scenario::{Overrides, Scenario, Source};

    fn target() -> TargetPlan {
        let scenario = Scenario::read(&Source::load("rolling-update").unwrap());
        Plan::resolve(scenario, Overrides::default(), Given { run_number: 7, seed: 1 }).unwrap().target
    }

    fn written(name: &str, slot: Slot, plan: &TargetPlan, queue: QueueSource) -> String {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources { database: DatabaseSource::File("target/expectation.db".into()), queue };
        let path = write(name, &slot, plan, &sources, folder.path()).unwrap();
        assert_eq!(path, folder.path().join(format!("{name}.yml")));
        std::fs::read_to_string(path).unwrap()
    }

    #[track_caller]
    fn assert_says(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|written| written.trim() == *line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_plan_of_a_shared_buffer_is_written_with_its_address() {
        let queue = QueueSource::Redis { url: "redis://127.0.0.1:4711".into(), key: "{buffer}".into() };
        let text = written("worker-2.1", Slot { role: Role::Worker, number: 2 }, &target(), queue);
        assert_says(&text, &["instance: worker-2.1", "role: worker", "port: 0", "strategy: redis", "lease: 5s"]);
        assert_says(&text, &["url: redis://127.0.0.1:4711", "key: \"{buffer}\"", "flush_interval: 200ms"]);
        assert_says(&text, &["url: sqlite://target/expectation.db"]);
    }

    #[test]
    fn a_private_buffer_has_no_address() {
        let plan = TargetPlan { strategy: Strategy::InMemory, ..target() };
        let text = written("all-1.1", Slot { role: Role::All, number: 1 }, &plan, QueueSource::Private);
        assert_says(&text, &["role: all", "strategy: in-memory"]);
        assert!(!text.contains("redis") && !text.contains("bug"), "{text}");
    }

    #[test]
    fn a_seeded_bug_is_written_beside_the_strategy() {
        let plan = TargetPlan { seeded_bug: Some("lifo".into()), ..target() };
        let slot = Slot { role: Role::Worker, number: 1 };
        assert_says(&written("worker-1.1", slot, &plan, QueueSource::Private), &["strategy: redis", "bug: lifo"]);
    }

    #[test]
    fn a_wrong_clock_is_that_of_one_instance_alone() {
        let slot = |number| Slot { role: Role::Worker, number };
        let clock_offsets = vec![plan::ClockOffset { slot: slot(2), ahead_ms: -90_000 }];
        let plan = TargetPlan { clock_offsets, ..target() };
        assert_says(&written("worker-2.1", slot(2), &plan, QueueSource::Private), &["clock_offset: -1m 30s"]);
        assert!(!written("worker-1.1", slot(1), &plan, QueueSource::Private).contains("clock_offset"));
    }

    #[test]
    fn a_worker_gives_up_waiting_for_the_database_before_its_lease_ends() {
        use plan::Database::{MariaDb, Sqlite};
        for (database, lease, busy_timeout) in [
            (Sqlite, 1, "busy_timeout: 600ms"),
            (Sqlite, 60, "busy_timeout: 3s"),
            (MariaDb, 2, "busy_timeout: 1s"),
            (MariaDb, 4, "busy_timeout: 2s"),
        ] {
            let mut plan = TargetPlan { database, ..target() };
            plan.worker.lease = Duration::from_secs(lease);
            let slot = Slot { role: Role::Worker, number: 1 };
            assert_says(&written("worker-1.1", slot, &plan, QueueSource::Private), &[busy_timeout]);
        }
    }
}
