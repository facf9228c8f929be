//! The target's part of a plan.

use std::time::Duration;

use crate::plan::{Database, Persistence, RedisPlan, Role, Slot, Strategy, TargetPlan, WorkerPlan};
use crate::scenario::{Entry, Period, Target};

use super::database::{self, Consent};
use super::words::{BACKENDS, FSYNC, PERSISTENCE, STRATEGIES};
use super::{Defaults, Remarks, clocks};

/// Processes of one role on one machine.
pub const INSTANCES_MAX: u64 = 100;

pub fn resolve(target: &Target, defaults: &Defaults, consent: &Consent<'_>, remarks: &mut Remarks) -> TargetPlan {
    let (database, existing) = database::resolve(&target.database, consent, remarks);
    let worker = worker(target, &defaults.worker, remarks);
    check_lease(target, &worker, database, remarks);
    let strategy = STRATEGIES.meaning(&target.strategy, defaults.strategy, remarks);
    let slots = slots(target, strategy, defaults, remarks);
    TargetPlan {
        backend: BACKENDS.meaning(&target.backend, crate::plan::Backend::Process, remarks),
        strategy,
        database,
        existing,
        clock_offsets: clocks::resolve(target, &slots, strategy, remarks),
        slots,
        worker,
        probe: defaults.probe.clone(),
        redis: redis(target, strategy, defaults, remarks),
        witness: target.witness.given().map_or(defaults.witness, |w| w.value.0),
        grace: grace(&target.grace, defaults.grace, defaults.probe.endpoint_lag, remarks),
        ready_within: defaults.ready_within,
        seeded_bug: None,
    }
}

/// Workers first: an api instance that is ready finds somebody who empties the buffer.
fn slots(target: &Target, strategy: Strategy, defaults: &Defaults, remarks: &mut Remarks) -> Vec<Slot> {
    let instances = remarks.count("instances", &target.instances, 1..=INSTANCES_MAX, defaults.instances);
    if !strategy.shared() {
        leave_workers_out(target, remarks);
        return fill(Role::All, instances).collect();
    }
    let workers = remarks.count("workers", &target.workers, 0..=INSTANCES_MAX, defaults.workers);
    if let (0, Some(place)) = (workers, target.workers.place()) {
        let help = "write at least 1: without a worker nothing moves from the buffer to the database";
        remarks.problem(place, format!("0 workers with strategy {}", strategy.word()), help);
    }
    fill(Role::Worker, workers).chain(fill(Role::Api, instances)).collect()
}

fn fill(role: Role, count: u64) -> impl Iterator<Item = Slot> {
    (1..=count as u16).map(move |number| Slot { role, number })
}

/// A buffer in memory is emptied by the process that it is in. Only who asks for workers by name, for this very run,
/// contradicts that; the scenario's own number belongs to its other strategies.
fn leave_workers_out(target: &Target, remarks: &mut Remarks) {
    let Some(workers) = target.workers.given() else { return };
    match (workers.place.is_named(), workers.value.0) {
        (_, 0) => {}
        (true, n) => {
            let help = "leave the workers out, or choose `--strategy redis`";
            let message = format!("{n} workers with strategy in-memory: each instance empties its own buffer");
            remarks.problem(&workers.place, message, help);
        }
        (false, n) => remarks.note(format!(
            "the scenario's {n} workers are left out: with strategy in-memory each instance empties its own buffer"
        )),
    }
}

fn worker(target: &Target, defaults: &WorkerPlan, remarks: &mut Remarks) -> WorkerPlan {
    let worker = WorkerPlan {
        batch: remarks.count("tasks a batch", &target.batch, 1..=10_000, defaults.batch.into()) as u32,
        flush_interval: period(&target.flush_interval, defaults.flush_interval),
        lease: period(&target.lease, defaults.lease),
        redrive_scan: period(&target.redrive_scan, defaults.redrive_scan),
        max_attempts: remarks.count("attempts", &target.max_attempts, 1..=1000, defaults.max_attempts.into()) as u32,
        backoff_max: defaults.backoff_max,
    };
    let readable = target.lease.is_readable() && target.flush_interval.is_readable();
    let place = target.lease.place().or(target.flush_interval.place());
    if let (true, Some(place), true) = (worker.lease <= worker.flush_interval, place, readable) {
        let message = format!(
            "the lease ({}) ends before a batch of tasks is flushed ({})",
            Period(worker.lease),
            Period(worker.flush_interval)
        );
        remarks.problem(place, message, "write a lease longer than `flush_interval`");
    }
    worker
}

/// MariaDB ends a transaction that stands still after whole seconds, and that must be before the lease ends.
fn check_lease(target: &Target, worker: &WorkerPlan, database: Database, remarks: &mut Remarks) {
    if database != Database::MariaDb || worker.lease > Duration::from_secs(1) {
        return;
    }
    let Some(place) = target.lease.place() else { return };
    let message = format!("with MariaDB, which counts in seconds, a lease of {} is too short", Period(worker.lease));
    remarks.problem(place, message, "write a lease of at least `2s`, or choose another database");
}

pub fn period(entry: &Entry<Period>, default: Duration) -> Duration {
    entry.given().map_or(default, |p| p.value.0)
}

/// SIGKILL must not come before the service has stopped accepting.
pub fn grace(entry: &Entry<Period>, default: Duration, endpoint_lag: Duration, remarks: &mut Remarks) -> Duration {
    let Some(given) = entry.given() else { return default };
    let grace = given.value.0;
    if grace <= endpoint_lag {
        let lag = Period(endpoint_lag);
        let message = format!("a grace of {} is over before the endpoint lag of {lag}", Period(grace));
        remarks.problem(
            &given.place,
            message,
            "write a grace of at least `1s`; to kill without notice, write `mode: hard`",
        );
    }
    grace
}

fn redis(target: &Target, strategy: Strategy, defaults: &Defaults, remarks: &mut Remarks) -> RedisPlan {
    let appendfsync = FSYNC.meaning(&target.appendfsync, defaults.appendfsync, remarks);
    if let (Entry::Given(_), Strategy::InMemory) = (&target.appendfsync, strategy) {
        remarks.note("appendfsync is left out: strategy in-memory runs no Redis");
    }
    let persistence = PERSISTENCE.meaning(&target.persistence, Persistence::Aof, remarks);
    if let (Entry::Given(_), Strategy::InMemory) = (&target.persistence, strategy) {
        remarks.note("persistence is left out: strategy in-memory runs no Redis");
    }
    if let (Some(place), Persistence::None) = (target.appendfsync.place(), persistence) {
        remarks.problem(place, "appendfsync without an append-only file", "leave it out, or write `persistence: aof`");
    }
    // Whether there is a proxy in front of it, and a replica behind it, depends on the time line.
    RedisPlan { appendfsync: appendfsync.to_owned(), persistence, proxied: false, replicated: false }
}
