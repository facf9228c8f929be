//! Load alone, on a URL of somebody's own: the engine and its judgement, without a target, a database, or data to judge.
//!
//! In: a plan with a [`UrlTarget`]. Out: a report, sealed in the run's folder. Nothing is started, so nothing can be left
//! behind: there is no journal.

mod dialogue;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use dialogue::COUNTER;
use dialogue::UrlDialogue;

use crate::archive::{Archive, ArchiveError, Environment, Piece};
use crate::backends::{Endpoint, Endpoints, InstanceId};
use crate::checks::census::{Census, Counted};
use crate::checks::{Basis, LoadJudgement, judge_load};
use crate::clock::RunClock;
use crate::load::alarm::Timer;
use crate::load::hlog::HdrLog;
use crate::load::latency::LaneHistograms;
use crate::load::pacer::Timetable;
use crate::load::{self, Connections, Driven, Load, LoadError, ledger};
use crate::plan::{Plan, UrlTarget};
use crate::report::{self, RenderError, RunReport};
use crate::run::Ran;
use crate::stop::Stop;
use crate::timeline::Incidents;
use crate::watch::{Phase, Unwatched, Watch};

/// From here on the shards have got ready.
const LEAD: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum UrlLoadError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("find the address of {host}: {why}; check the name in --url")]
    Address { host: String, why: String },
    #[error(
        "send load to {host} ({address}): it is not this machine, and a run touches only what it may; if it is yours to load, \
         add `--allow host={host}`"
    )]
    NotAllowed { host: String, address: SocketAddr },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// Where it runs, and who started it.
#[derive(Debug, Clone)]
pub struct Place {
    pub reports: PathBuf,
    pub started_at: Timestamp,
    /// As typed.
    pub arguments: Vec<String>,
}

/// Drives the load of a plan at its URL, judges it, and seals the report.
pub async fn run(plan: &Plan, place: &Place, watch: &dyn Watch, stop: &Stop) -> Result<Ran, UrlLoadError> {
    let began = Instant::now();
    let target = plan.url.as_ref().expect("a plan of load alone has a URL");
    let endpoints = endpoints(target).await?;
    let archive = Archive::create(&place.reports, &plan.name, plan.run.number, place.started_at)?;
    let archive = archive.reserve(disk_bytes(plan, target))?;
    archive.put_json(Piece::Plan, plan)?;
    let environment = Environment::of_machine(place.started_at, place.arguments.clone());
    archive.put_json(Piece::Environment, &environment)?;

    watch.phase(Phase::Load).await;
    let (basis, connections) = drive(plan, target, &endpoints, &archive, watch, stop).await?;

    watch.phase(Phase::Judge).await;
    let interrupted = stop.interrupt.is_cancelled();
    archive.put_json(Piece::Incidents, &Incidents { interrupted, ..Incidents::default() })?;
    let (judged, histograms) = judged(plan, basis, interrupted, Some(environment));
    let log = HdrLog { histograms, started_at: place.started_at, duration: plan.load.duration() };
    archive.put_bytes(Piece::Histograms, &log.written())?;
    let report = RunReport { duration: Some(began.elapsed()), connections: Some(connections), ..judged };
    archive.seal(&report.files()?)?;
    Ok(Ran { report, folder: archive.root().to_owned() })
}

/// Drives the load of a plan at its URL, and keeps nothing of it: how the target answers now.
pub async fn look(plan: &Plan, stop: &Stop) -> Result<LoadJudgement, UrlLoadError> {
    let target = plan.url.as_ref().expect("a plan of load alone has a URL");
    let endpoints = endpoints(target).await?;
    let clock = RunClock::starting_in(LEAD);
    let load = load(plan, target, (&endpoints, &clock), &Unwatched, stop);
    let driven = load::drive_into(load, |_| Ok(Census::new(&plan.load))).await?;
    let counted = Basis::Counted(Box::new(Counted::sum(driven.recorded)));
    Ok(judge_load(plan, counted, stop.interrupt.is_cancelled()))
}

/// The judgement of load alone, as a report: of a run that has just ended, or from its folder.
pub fn judged(
    plan: &Plan,
    basis: Basis,
    interrupted: bool,
    environment: Option<Environment>,
) -> (RunReport, LaneHistograms) {
    let LoadJudgement { judgement, histograms } = judge_load(plan, basis, interrupted);
    let (standing, duration, settle, database, server) = (None, None, None, None, None);
    let ran = report::Ran { environment, standing, duration, settle, interrupted, database, server };
    (RunReport::new(plan, &Incidents::default(), judgement, ran), histograms)
}

/// The routing table: one instance that nothing takes out of rotation.
async fn endpoints(target: &UrlTarget) -> Result<Endpoints, UrlLoadError> {
    let request = &target.request;
    let unknown = |why: String| UrlLoadError::Address { host: request.host.clone(), why };
    let mut found =
        tokio::net::lookup_host((request.host.as_str(), request.port)).await.map_err(|e| unknown(e.to_string()))?;
    let addr = found.next().ok_or_else(|| unknown("it has none".to_owned()))?;
    if !addr.ip().is_loopback() && !target.request.allowed {
        return Err(UrlLoadError::NotAllowed { host: request.host.clone(), address: addr });
    }
    Ok(Endpoints::fixed(Endpoint { id: InstanceId(1), addr }))
}

async fn drive(
    plan: &Plan,
    target: &UrlTarget,
    endpoints: &Endpoints,
    archive: &Archive,
    watch: &dyn Watch,
    stop: &Stop,
) -> Result<(Basis, Connections), LoadError> {
    let clock = RunClock::starting_in(LEAD);
    let load = load(plan, target, (endpoints, &clock), watch, stop);
    match target.ledger {
        true => {
            let Driven { recorded, connections } = load::drive(load, &archive.ledger_dir()).await?;
            Ok((Basis::Ledger(recorded), connections))
        }
        false => {
            let driven = load::drive_into(load, |_| Ok(Census::new(&plan.load))).await?;
            Ok((Basis::Counted(Box::new(Counted::sum(driven.recorded))), driven.connections))
        }
    }
}

fn load<'a>(
    plan: &'a Plan,
    target: &UrlTarget,
    (endpoints, clock): (&'a Endpoints, &'a RunClock),
    watch: &'a dyn Watch,
    stop: &'a Stop,
) -> Load<'a> {
    let dialogue = Arc::new(UrlDialogue::new(target));
    Load { plan: &plan.load, run: plan.run, dialogue, endpoints, clock, alarm: Arc::new(Timer), watch, stop }
}

/// The ledger, which is exact, and an estimate of all else.
pub fn disk_bytes(plan: &Plan, target: &UrlTarget) -> u64 {
    let operations = if target.ledger { Timetable::of(&plan.load).total() } else { 0 };
    (1 << 20) + ledger::disk_bytes(operations, plan.load.shards) + plan.load.duration().as_secs() * 1_000
}
