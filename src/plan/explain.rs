//! A plan in words, for people: what will be started, sent and struck, and what the run will be able to prove.
//!
//! In: a [`Plan`], how many operations each lane has, and what the run takes on the disk: whoever has the load's pacer
//! and lanes works that out, so that this file needs no later stage. Out: text. Where a value is not the default, the default stands beside it.

mod proof;
mod steps;
mod url;

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::scenario::{Period, Size, share_in_percent};

use super::resolve::Defaults;
use super::{
    Arrivals, Backend, Claim, Database, DatabaseSetup, Disturbance, Gate, GateMetric, Persistence, Plan, ReadKeys,
    Shape, Strategy, TargetPlan,
};

/// Operations of each lane, from first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneCounts {
    pub write_once: u64,
    pub hot_key: u64,
    pub read: u64,
    pub poison: u64,
    pub request: u64,
}

impl LaneCounts {
    pub fn total(self) -> u64 {
        self.write_once + self.hot_key + self.read + self.poison + self.request
    }
}

pub fn explain(plan: &Plan, counts: LaneCounts, disk_bytes: u64) -> String {
    if let Some(url) = &plan.url {
        return url::page(plan, url, counts, disk_bytes);
    }
    let mut page = Page::default();
    title(plan, &mut page);
    target(plan, &mut page);
    load(plan, counts, &mut page);
    page.row("disk", format!("about {} in the run's folder", Size(disk_bytes)));
    steps::timeline(plan, &mut page);
    settle(plan, &mut page);
    gates(plan, &mut page);
    proof::can(plan, counts, &mut page);
    proof::cannot(plan, counts, &mut page);
    notes(plan, &mut page);
    page.text
}

/// Headings, rows of a label and a value, and sentences.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, text: &str) {
        self.line(format_args!("\n{text}"));
    }

    fn row(&mut self, label: &str, value: impl Display) {
        self.line(format_args!("  {label:<15} {value}"));
    }

    fn gate(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("  {name:<20} {value}"));
    }

    fn sentence(&mut self, text: impl Display) {
        self.line(format_args!("  - {text}"));
    }

    fn line(&mut self, text: impl Display) {
        writeln!(self.text, "{text}").expect("a String takes all that is written to it");
    }
}

fn title(plan: &Plan, page: &mut Page) {
    let (first, last) = plan.run.key_range();
    page.line(format_args!("{}: run number {}, seed {}", plan.name, plan.run.number, plan.run.seed));
    page.line(format_args!("Its keys are {first} to {last}; this range of the database must be empty at the start."));
    page.line("Where a value is not the default, the default stands in brackets.");
}

/// The value, and the default where that is another.
fn set<T: Display + PartialEq>(value: T, default: T) -> String {
    if value == default { value.to_string() } else { format!("{value} (default {default})") }
}

fn time(value: Duration, default: Duration) -> String {
    set(Period(value).to_string(), Period(default).to_string())
}

fn target(plan: &Plan, page: &mut Page) {
    let (target, worker) = (&plan.target, &plan.target.worker);
    let defaults = Defaults::loadtest();
    page.heading("Target");
    page.row("service", format!("{} ({})", target.strategy.generation(), target.strategy.word()));
    page.row("backend", backend(target.backend));
    let slots: Vec<String> = target.slots.iter().map(ToString::to_string).collect();
    page.row("instances", format!("{}, started in this order: {}", slots.len(), slots.join(", ")));
    let witness = if target.witness { "with" } else { "without" };
    page.row("database", format!("{}, {witness} witness triggers", database(target)));
    if target.strategy == Strategy::Redis {
        let fsync = set(target.redis.appendfsync.as_str(), defaults.appendfsync);
        let (none, proxied) = (target.redis.persistence == Persistence::None, target.redis.proxied);
        let disk = if none { "nothing on disk".to_owned() } else { format!("append-only file, appendfsync {fsync}") };
        let replica = if target.redis.replicated { ", with a replica" } else { "" };
        let path = if proxied { ", reached through a proxy" } else { "" };
        page.row("redis", format!("private, {disk}{replica}{path}"));
    }
    if let Some(clocks) = target.clocks_in_words() {
        page.row("own clocks", format!("{clocks}, from the machine's"));
    }
    let d = &defaults.worker;
    page.row("batch", format!("{} tasks", set(worker.batch, d.batch)));
    page.row("flush interval", time(worker.flush_interval, d.flush_interval));
    page.row("lease", time(worker.lease, d.lease));
    page.row("redrive scan", format!("every {}", time(worker.redrive_scan, d.redrive_scan)));
    page.row("attempts", format!("{} before the dead-letter queue", set(worker.max_attempts, d.max_attempts)));
    page.row("back-off", format!("doubling, at most {}", time(worker.backoff_max, d.backoff_max)));
    let probe = &target.probe;
    page.row("readiness", format!("probed every {}, time-out {}", Period(probe.interval), Period(probe.timeout)));
    page.row("endpoint lag", Period(probe.endpoint_lag));
    let grace = time(target.grace, defaults.grace);
    page.row(
        "grace",
        match target.backend {
            Backend::Process => format!("{grace} from SIGTERM to SIGKILL"),
            Backend::InProcess => format!("{grace} from the order to shut down until its tasks are aborted"),
        },
    );
}

fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Process => "process: every instance is a child process on a free port of 127.0.0.1",
        Backend::InProcess => "in-process: every instance is a thread of mxctl itself, on a free port of 127.0.0.1",
    }
}

fn database(target: &TargetPlan) -> String {
    let DatabaseSetup { proxied, room_bytes, .. } = target.database_setup;
    let place = match room_bytes {
        0 => "the run's folder".to_owned(),
        bytes => format!("a file system of {} that mxctl mounts in the run's folder (takes root)", Size(bytes)),
    };
    match (target.database, &target.existing) {
        (Database::Sqlite, _) => format!("SQLite, a file in {place}"),
        (own, None) => {
            let path = if proxied { ", reached through a proxy" } else { "" };
            format!("{}, a private server with its data in {place}{path}", own.name())
        }
        (existing, Some(url)) => format!("{}, an existing one: {url}", existing.name()),
    }
}

fn rate(plan: &Plan, total: u64, page: &mut Page) {
    match plan.load.shape.stages.as_slice() {
        [only] if only.is_level() => {
            let (rps, lasts) = (only.from_rps, Period(only.lasts));
            page.row("rate", format!("{rps} operations a second for {lasts}, open loop: {total} operations"));
        }
        _ => shape(&plan.load.shape, total, page),
    }
    if plan.load.arrivals != Arrivals::Even {
        page.row("arrivals", "random: a Poisson process of this rate, drawn from the seed");
    }
}

fn load(plan: &Plan, counts: LaneCounts, page: &mut Page) {
    let (load, defaults) = (&plan.load, Defaults::loadtest().load);
    page.heading("Load");
    rate(plan, counts.total(), page);
    page.row(
        "write-once",
        lane(load.mix.write_once, counts.write_once, 3 * counts.write_once, "each on a key of its own"),
    );
    let hot = format!("on {} keys in turn", load.hot_keys);
    page.row("hot-key", lane(load.mix.hot_key, counts.hot_key, 3 * counts.hot_key, &hot));
    page.row("read", lane(load.mix.read, counts.read, 0, asked(load.read_keys)));
    if load.mix.poison > 0 {
        let how = "each refused by the database, on a key of its own";
        page.row("poison", lane(load.mix.poison, counts.poison, 3 * counts.poison, how));
    }
    page.row("connections", format!("{} to each instance", set(load.connections, defaults.connections)));
    page.row("shards", set(load.shards, defaults.shards));
    let timeout = time(load.request_timeout, defaults.request_timeout);
    page.row("time-out", format!("{timeout} a request; those open at the end have {}", Period(load.grace)));
    let (floor, tolerance) = (share(load.rate_floor), Period(load.rate_tolerance));
    page.row(
        "generator",
        format!(
            "sends {floor} within {tolerance} of when due, wakes (p99) within {}",
            time(load.own_lag_limit, defaults.own_lag_limit)
        ),
    );
    page.row("acknowledged", format!("at least {} outside fault windows", share(load.acked_floor)));
}

fn shape(shape: &Shape, total: u64, page: &mut Page) {
    let (lasts, peak) = (Period(shape.duration()), shape.peak_rps());
    page.row("shape", shape);
    page.row("rate", format!("at most {peak} operations a second, in {lasts}, open loop: {total} operations"));
}

fn asked(keys: ReadKeys) -> &'static str {
    match keys {
        ReadKeys::All => "of keys written before",
        ReadKeys::Recent => "of write-once keys written just before (200 and 404 are answers)",
        ReadKeys::Hot => "of hot keys written before",
    }
}

fn lane(permille: u16, operations: u64, writes: u64, how: &str) -> String {
    match (permille, writes) {
        (0, _) => "none".to_owned(),
        (_, 0) => format!("{}: {operations} operations, {how}", share(f64::from(permille) / 1000.0)),
        _ => format!(
            "{}: {operations} operations of 3 writes = {writes} writes, {how}",
            share(f64::from(permille) / 1000.0)
        ),
    }
}

/// `0.1%`, of 0.001.
fn share(share: f64) -> String {
    format!("{}%", share_in_percent(share))
}

fn settle(plan: &Plan, page: &mut Page) {
    let settle = &plan.settle;
    let load = plan.load.duration();
    page.heading("Settle");
    page.row("quiet", format!("nothing queued and nothing moved for {}", Period(settle.quiet)));
    page.row("deadline", format!("{} without progress: what is left counts as stranded", Period(settle.deadline)));
    page.row("hard cap", format!("{} after the load: still draining is INCONCLUSIVE", Period(settle.hard_cap)));
    let (least, most) = (load + settle.quiet, load + plan.load.grace + settle.hard_cap);
    page.row("expected", format!("{} to {}, and the time to start the target", Period(least), Period(most)));
}

fn gates(plan: &Plan, page: &mut Page) {
    page.heading("Gates");
    if plan.claims.contains(&Claim::F1) {
        page.gate("F1", "nothing acknowledged is missing at a checkpoint, or stale, lost, stranded or torn at the end");
    }
    if plan.claims.contains(&Claim::F2) {
        page.gate("F2", "lost = stranded = stale = torn = 0, and every stop exposed and proven");
    }
    for claim in [Claim::RedisFailure, Claim::DatabaseFailure].iter().filter(|claim| plan.claims.contains(claim)) {
        page.gate(claim.word(), "lost = stranded = stale = torn = 0, and every failure proven, with tasks at stake");
    }
    if plan.target.redis.persistence == Persistence::None && plan.claims.contains(&Claim::RedisFailure) {
        page.gate("", "expect a FAIL: a Redis without persistence forgets what it holds when it ends");
    }
    if plan.disturbances().any(|planned| planned.disturbance == Disturbance::RedisFailoverLagging) {
        page.gate(
            "",
            "expect a FAIL: what a replica has not got when it is promoted is lost, though it was acknowledged",
        );
    }
    if plan.target.strategy == Strategy::InMemory && plan.stops().any(|stop| stop.mode.kills()) {
        page.gate("", "expect a FAIL: a buffer in memory dies with its process, and hard stops kill that");
    } else if plan.target.strategy == Strategy::InMemory && plan.stops().any(|stop| stop.mode.pauses()) {
        page.gate(
            "",
            "expect a FAIL: a buffer in memory freezes with its process, and nobody else can write what is in it",
        );
    }
    if plan.require_selftest {
        page.gate("selftest", "no PASS unless a selftest of this executable caught a bug with what this plan does");
    }
    for gate in &plan.gates {
        page.gate(&gate.name(), format!("fails above {}", limit(gate)));
    }
}

fn limit(gate: &Gate) -> String {
    match gate.metric {
        GateMetric::ErrorRate => share(gate.limit),
        GateMetric::Duplicates | GateMetric::Reordered => format!("{} writes", gate.limit),
        GateMetric::P50 | GateMetric::P99 | GateMetric::P999 | GateMetric::Recovery => {
            Period(Duration::from_secs_f64(gate.limit)).to_string()
        }
    }
}

fn notes(plan: &Plan, page: &mut Page) {
    if plan.notes.is_empty() {
        return;
    }
    page.heading("Notes");
    for note in &plan.notes {
        page.sentence(note);
    }
}
