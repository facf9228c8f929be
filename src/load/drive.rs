//! Driving a load: shards on their own threads, their progress to the watch, their files into one ledger.
//!
//! In: a [`Load`]. Out: a sealed [`Ledger`]: every operation that the plan's pacer says was due before its
//! `issued_until`, each once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::horizon::Horizon;
use super::ledger::{Ledger, LedgerError, LedgerWriter, Part};
use super::pacer::Stages;
use super::shard::{self, Setup};
use super::tally::{Progress, Report};
use crate::backends::Endpoints;
use crate::clock::{Offset, RunClock};
use crate::plan::{LoadPlan, RunKey};
use crate::stop::Stop;
use crate::watch::{Event, Watch};

/// Reports of a few seconds of every shard: more than a watch that returns at once ever needs.
const REPORTS_WAITING: usize = 64;

/// What is driven against whom.
pub struct Load<'a> {
    pub plan: &'a LoadPlan,
    pub run: RunKey,
    /// In the path of requests: `v4` or `v5`.
    pub api_version: &'a str,
    pub endpoints: &'a Endpoints,
    /// Where the ledger's files are made; it holds none yet.
    pub folder: &'a Path,
    /// Operation 0 is due at its zero.
    pub clock: &'a RunClock,
    /// Wakes the shards.
    pub alarm: Arc<dyn Alarm>,
    pub watch: &'a dyn Watch,
    pub stop: &'a Stop,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("number {due} operations: keys have room for fewer than 2^32 in a run")]
    TooMany { due: u64 },
    #[error("start a thread for load: {0}")]
    Thread(std::io::Error),
    /// Descriptors, ports or memory of this machine ran out; the target had no part in it.
    #[error("open a socket to {addr}: {source}")]
    NoSocket { addr: SocketAddr, source: std::io::Error },
}

type ShardThread = JoinHandle<Result<(), LoadError>>;

/// Drives a load to its end. Where this is dropped before that, its shards end at once.
pub async fn drive(load: Load<'_>) -> Result<Ledger, LoadError> {
    let cut = load.stop.abort.child_token();
    let _cut_when_dropped = cut.clone().drop_guard();
    let setups = setups(&load, &cut)?;
    let mut progress = Progress::of(setups.len() as u16);
    let (reports, mut inbox) = mpsc::channel(REPORTS_WAITING);
    let ledgers = create_ledgers(load.folder, &setups)?;
    let shards = setups.into_iter().zip(ledgers);
    let threads = shards.map(|(setup, ledger)| start(setup, ledger, reports.clone())).collect::<Result<_, _>>()?;
    drop(reports);
    // The channel closes when the last shard has ended.
    while let Some(report) = inbox.recv().await {
        progress.add(report).into_iter().for_each(|second| load.watch.event(Event::Second(second)));
    }
    let folder = load.folder.to_owned();
    let sealed = tokio::task::spawn_blocking(move || join(threads).and_then(|()| Ok(Ledger::open(&folder)?)));
    sealed.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// One setup a shard: never more shards than connections.
fn setups(load: &Load, cut: &CancellationToken) -> Result<Vec<Setup>, LoadError> {
    let end = Offset::from_duration(load.plan.duration());
    let due = Stages::of(&load.plan.shape).total();
    if due > u32::MAX.into() {
        return Err(LoadError::TooMany { due });
    }
    let connections = load.plan.connections.max(1);
    let shards = u32::from(load.plan.shards).clamp(1, connections);
    let horizon = Arc::new(Horizon::new(load.clock.clone(), end));
    let setup = |shard: u32| Setup {
        load: load.plan.clone(),
        part: Part { run: load.run, shard: shard as u16, shards: shards as u16 },
        connections: connections / shards + u32::from(shard < connections % shards),
        api_version: load.api_version.to_owned(),
        endpoints: load.endpoints.clone(),
        clock: load.clock.clone(),
        alarm: load.alarm.clone(),
        horizon: horizon.clone(),
        interrupt: load.stop.interrupt.clone(),
        cut: cut.clone(),
    };
    Ok((0..shards).map(setup).collect())
}

/// All files before the first thread: a folder that cannot be written ends a load before it begins.
fn create_ledgers(folder: &Path, setups: &[Setup]) -> Result<Vec<LedgerWriter>, LedgerError> {
    setups.iter().map(|setup| LedgerWriter::create(folder, setup.part)).collect()
}

fn start(setup: Setup, ledger: LedgerWriter, reports: mpsc::Sender<Report>) -> Result<ShardThread, LoadError> {
    let name = format!("load-{}", setup.part.shard);
    std::thread::Builder::new().name(name).spawn(|| shard_thread(setup, ledger, reports)).map_err(LoadError::Thread)
}

fn shard_thread(setup: Setup, ledger: LedgerWriter, reports: mpsc::Sender<Report>) -> Result<(), LoadError> {
    // The others have no use for going on when this one fails or panics.
    let cut_the_others = setup.cut.clone().drop_guard();
    let horizon = setup.horizon.clone();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(LoadError::Thread)?;
    let ledger = runtime.block_on(shard::run(setup, ledger, reports))?;
    ledger.seal(horizon.end())?;
    cut_the_others.disarm();
    Ok(())
}

/// Waits for every shard; the first error counts.
fn join(threads: Vec<ShardThread>) -> Result<(), LoadError> {
    let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    let results = ended.into_iter().map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    results.collect()
}

#[cfg(test)]
mod tests;
