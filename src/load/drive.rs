//! Driving a load: shards on their own threads, their progress to the watch, their files into one ledger.
//!
//! In: a [`Load`]. Out: a sealed [`Ledger`]: every operation that the plan's pacer says was due before its
//! `issued_until`, each once; or, where data is not judged, whatever a [`Recorder`] made of the same. With it, what
//! became of the connections, and whether the threads had time left.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::dialogue::Dialogue;
use super::horizon::Horizon;
use super::ledger::{Ledger, LedgerError, LedgerWriter, Part, Recorder};
use super::pacer::Timetable;
use super::shard::{self, Setup};
use super::tally::{Connections, Progress, Report, Totals};
use crate::backends::Endpoints;
use crate::clock::{Offset, RunClock};
use crate::code_pages;
use crate::plan::{LoadPlan, RunKey};
use crate::process::raise_limit_of_open_files;
use crate::stop::Stop;
use crate::strain::Strain;
use crate::watch::{Event, Watch};

/// Reports of a few seconds of every shard: more than a watch that returns at once ever needs.
const REPORTS_WAITING: usize = 64;

/// What is driven against whom.
pub struct Load<'a> {
    pub plan: &'a LoadPlan,
    pub run: RunKey,
    pub dialogue: Arc<dyn Dialogue>,
    pub endpoints: &'a Endpoints,
    /// Operation 0 is due at its zero.
    pub clock: &'a RunClock,
    /// Is told when the shards wake.
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
    #[error("set a timer of the kernel's: {0}")]
    Timer(std::io::Error),
    /// Descriptors, ports or memory of this machine ran out; the target had no part in it.
    #[error(
        "open a socket to {addr}: {source}; allow more open files (`ulimit -n`), or fewer `--connections`, or another machine"
    )]
    NoSocket { addr: SocketAddr, source: std::io::Error },
}

/// A load that is over.
#[derive(Debug)]
pub struct Driven<T> {
    /// Every operation, as it was recorded.
    pub recorded: T,
    pub connections: Connections,
    pub strain: Strain,
}

impl<T> Driven<T> {
    /// The same, made into something else.
    pub fn map<U>(self, made: impl FnOnce(T) -> U) -> Driven<U> {
        let Driven { recorded, connections, strain } = self;
        Driven { recorded: made(recorded), connections, strain }
    }
}

type ShardThread<T> = JoinHandle<Result<(T, Totals), LoadError>>;

/// Drives a load to its end, every operation in a ledger, whose files are made in `folder`; it holds none yet.
pub async fn drive(load: Load<'_>, folder: &Path) -> Result<Driven<Ledger>, LoadError> {
    let Driven { connections, strain, .. } = drive_into(load, |part| LedgerWriter::create(folder, part)).await?;
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || Ledger::open(&folder)).await;
    let recorded = opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok(Driven { recorded, connections, strain })
}

/// Drives a load to its end, with a recorder for each part; gives what they closed with, by shard. Where this is
/// dropped before that, its shards end at once.
pub async fn drive_into<R: Recorder>(
    load: Load<'_>,
    recorder: impl FnMut(Part) -> Result<R, LedgerError>,
) -> Result<Driven<Vec<R::Closed>>, LoadError> {
    raise_limit_of_open_files();
    code_pages::let_go();
    let cut = load.stop.abort.child_token();
    let _cut_when_dropped = cut.clone().drop_guard();
    let setups = setups(&load, &cut)?;
    let mut progress = Progress::of(setups.len() as u16);
    let (reports, mut inbox) = mpsc::channel(REPORTS_WAITING);
    // All recorders before the first thread: a folder that cannot be written ends a load before it begins.
    let recorders = setups.iter().map(|setup| setup.part).map(recorder).collect::<Result<Vec<R>, _>>()?;
    let shards = setups.into_iter().zip(recorders);
    let threads = shards.map(|(setup, recorder)| start(setup, recorder, reports.clone())).collect::<Result<_, _>>()?;
    drop(reports);
    // The channel closes when the last shard has ended.
    while let Some(report) = inbox.recv().await {
        progress.add(report).into_iter().for_each(|second| load.watch.event(Event::Second(second)));
    }
    let joined = tokio::task::spawn_blocking(move || join(threads)).await;
    code_pages::let_go();
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// One setup a shard: never more shards than connections.
fn setups(load: &Load, cut: &CancellationToken) -> Result<Vec<Setup>, LoadError> {
    let end = Offset::from_duration(load.plan.duration());
    let due = Timetable::of(load.plan).total();
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
        dialogue: load.dialogue.clone(),
        endpoints: load.endpoints.clone(),
        clock: load.clock.clone(),
        alarm: load.alarm.clone(),
        horizon: horizon.clone(),
        interrupt: load.stop.interrupt.clone(),
        cut: cut.clone(),
    };
    Ok((0..shards).map(setup).collect())
}

fn start<R: Recorder>(
    setup: Setup,
    recorder: R,
    reports: mpsc::Sender<Report>,
) -> Result<ShardThread<R::Closed>, LoadError> {
    let name = format!("load-{}", setup.part.shard);
    std::thread::Builder::new().name(name).spawn(|| shard_thread(setup, recorder, reports)).map_err(LoadError::Thread)
}

fn shard_thread<R: Recorder>(
    setup: Setup,
    recorder: R,
    reports: mpsc::Sender<Report>,
) -> Result<(R::Closed, Totals), LoadError> {
    // The others have no use for going on when this one fails or panics.
    let cut_the_others = setup.cut.clone().drop_guard();
    let horizon = setup.horizon.clone();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(LoadError::Thread)?;
    let (recorder, totals) = runtime.block_on(shard::run(setup, recorder, reports))?;
    let closed = recorder.close(horizon.end())?;
    cut_the_others.disarm();
    Ok((closed, totals))
}

/// Waits for every shard; the first error counts.
fn join<T>(threads: Vec<ShardThread<T>>) -> Result<Driven<Vec<T>>, LoadError> {
    let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    let (mut recorded, mut sum) = (Vec::new(), Totals::default());
    for end in ended {
        let (closed, totals) = end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        recorded.push(closed);
        sum.add(&totals);
    }
    let Totals { connections, strain } = sum;
    Ok(Driven { recorded, connections, strain })
}

#[cfg(test)]
mod tests;
