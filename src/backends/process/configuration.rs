//! The `application.yml` of one instance, written for it alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{QueueSource, Sources, UpError};
use crate::plan::{Slot, TargetPlan};

#[derive(Serialize)]
struct Application<'a> {
    instance: &'a str,
    role: &'a str,
    server: Server,
    buffer: Buffer<'a>,
    worker: Worker,
    database: Database,
    witness: bool,
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
    redis: Option<Redis<'a>>,
}

#[derive(Serialize)]
struct Redis<'a> {
    url: &'a str,
    key: &'a str,
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
pub(super) fn write(
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

fn application<'a>(name: &'a str, slot: &Slot, plan: &TargetPlan, sources: &'a Sources) -> Application<'a> {
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
            redis: match &sources.queue {
                QueueSource::Redis { url, key } => Some(Redis { url, key }),
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
        database: Database {
            url: format!("sqlite://{}", sources.database.display()),
            busy_timeout: text((plan.worker.lease * 3 / 5).min(Duration::from_secs(3))),
        },
        witness: plan.witness,
    }
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
