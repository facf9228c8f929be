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
use tokio::join;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use dialogue::UrlDialogue;
pub use dialogue::{COUNTER, untranslatable};

use crate::archive::{Archive, ArchiveError, Environment, Piece};
use crate::backends::{Endpoint, Endpoints, InstanceId};
use crate::checks::census::{Census, Counted};
use crate::checks::{Basis, LoadJudgement, judge_load};
use crate::clock::RunClock;
use crate::code_pages;
use crate::listeners;
use crate::load::alarm::Timer;
use crate::load::hlog::HdrLog;
use crate::load::latency::LaneHistograms;
use crate::load::pacer::Timetable;
use crate::load::transport::{HandshakeError, Transport, TrustError};
use crate::load::{self, Connections, Driven, Load, LoadError, ledger};
use crate::plan::{HttpRequest, Plan, UrlTarget};
use crate::process::ProcessIdentity;
use crate::readback::cpu::{self, Usage};
use crate::report::{self, RenderError, RunReport};
use crate::run::Ran;
use crate::stop::Stop;
use crate::strain::Strain;
use crate::timeline::Incidents;
use crate::watch::{Phase, Unwatched, Watch};

/// Whoever listens at the URL.
const TARGET: InstanceId = InstanceId(1);

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
    Trust(#[from] TrustError),
    #[error("open a connection to {host} ({address}): {why}")]
    Handshake { host: String, address: SocketAddr, why: HandshakeError },
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
    // What read the command line and made the plan.
    code_pages::let_go();
    let target = plan.url.as_ref().expect("a plan of load alone has a URL");
    let way = way(plan, target).await?;
    let archive = Archive::create(&place.reports, &plan.name, plan.run.number, place.started_at)?;
    let archive = archive.reserve(disk_bytes(plan, target))?;
    archive.put_json(Piece::Plan, plan)?;
    let environment = Environment::of_machine(place.started_at, place.arguments.clone());
    archive.put_json(Piece::Environment, &environment)?;

    watch.phase(Phase::Load).await;
    let Loaded { basis, connections, strain, usage } = drive(plan, target, way, &archive, watch, stop).await?;

    watch.phase(Phase::Judge).await;
    let incidents = Incidents { strain: Some(strain), ..incidents(usage, stop.interrupt.is_cancelled()) };
    archive.put_json(Piece::Incidents, &incidents)?;
    let (judged, histograms) = judged(plan, basis, incidents, Some(environment));
    code_pages::let_go();
    let log = HdrLog { histograms, started_at: place.started_at, duration: plan.load.duration() };
    archive.put_bytes(Piece::Histograms, &log.written())?;
    let report = RunReport { duration: Some(began.elapsed()), connections: Some(connections), ..judged };
    archive.seal(&report.files()?)?;
    code_pages::let_go();
    Ok(Ran { report, folder: archive.root().to_owned() })
}

/// Drives the load of a plan at its URL, and keeps nothing of it: how the target answers now.
pub async fn look(plan: &Plan, stop: &Stop) -> Result<LoadJudgement, UrlLoadError> {
    let target = plan.url.as_ref().expect("a plan of load alone has a URL");
    let way = way(plan, target).await?;
    let clock = RunClock::starting_in(LEAD);
    let load = load(plan, target, (&way, &clock), &Unwatched, stop);
    let driven = load::drive_into(load, |part| Ok(Census::new(&plan.load, part))).await?;
    let counted = Basis::Counted(Box::new(Counted::sum(driven.recorded)));
    let interrupted = stop.interrupt.is_cancelled();
    Ok(judge_load(plan, counted, Incidents { interrupted, ..Incidents::default() }))
}

/// The judgement of load alone, as a report: of a run that has just ended, or from its folder.
pub fn judged(
    plan: &Plan,
    basis: Basis,
    incidents: Incidents,
    environment: Option<Environment>,
) -> (RunReport, LaneHistograms) {
    let interrupted = incidents.interrupted;
    let LoadJudgement { judgement, histograms } = judge_load(plan, basis, incidents);
    let (standing, duration, settle, database, server) = (None, None, None, None, None);
    let ran = report::Ran { environment, standing, duration, settle, interrupted, database, server };
    (RunReport::new(plan, &Incidents::default(), judgement, ran), histograms)
}

/// Whom the load goes to, and how.
struct Way {
    address: SocketAddr,
    /// One instance that nothing takes out of rotation.
    endpoints: Endpoints,
    transport: Transport,
}

/// What every connection would meet in its handshake is found here, before the first request.
async fn way(plan: &Plan, target: &UrlTarget) -> Result<Way, UrlLoadError> {
    let (host, patience) = (&target.request.host, plan.load.request_timeout);
    let address = address(&target.request, patience).await?;
    let transport = Transport::new(&target.protocol, host)?;
    let greeted = transport.greet(address, patience).await;
    greeted.map_err(|why| UrlLoadError::Handshake { host: host.clone(), address, why })?;
    let endpoints = Endpoints::fixed(Endpoint { id: TARGET, addr: address });
    Ok(Way { address, endpoints, transport })
}

async fn address(request: &HttpRequest, patience: Duration) -> Result<SocketAddr, UrlLoadError> {
    let unknown = |why: String| UrlLoadError::Address { host: request.host.clone(), why };
    let found = lookup_host((request.host.as_str(), request.port)).await.map_err(|e| unknown(e.to_string()))?;
    let found: Vec<SocketAddr> = found.collect();
    chosen(request, &found, patience).await?.ok_or_else(|| unknown("it has none".to_owned()))
}

/// Of the addresses of one host the first that takes a connection: a name such as `localhost` may have one at which nobody
/// listens. Where none does, the first: the run tells of it. Nothing is sent to any unless it may be sent to all.
async fn chosen(
    request: &HttpRequest,
    found: &[SocketAddr],
    patience: Duration,
) -> Result<Option<SocketAddr>, UrlLoadError> {
    let stranger = found.iter().find(|address| !address.ip().is_loopback() && !request.allowed);
    if let Some(address) = stranger {
        return Err(UrlLoadError::NotAllowed { host: request.host.clone(), address: *address });
    }
    if let [_, _, ..] = found {
        let share = patience / found.len() as u32;
        for address in found {
            if let Ok(Ok(_)) = timeout(share, TcpStream::connect(address)).await {
                return Ok(Some(*address));
            }
        }
    }
    Ok(found.first().copied())
}

fn incidents(usage: Usage, interrupted: bool) -> Incidents {
    let Usage { instances, machine } = usage;
    Incidents { cpu: instances, machine, interrupted, ..Incidents::default() }
}

/// A load that is over.
struct Loaded {
    basis: Basis,
    connections: Connections,
    strain: Strain,
    usage: Usage,
}

async fn drive(
    plan: &Plan,
    target: &UrlTarget,
    way: Way,
    archive: &Archive,
    watch: &dyn Watch,
    stop: &Stop,
) -> Result<Loaded, LoadError> {
    let (listening, over) = (listeners::at(way.address), CancellationToken::new());
    let clock = RunClock::starting_in(LEAD);
    let load = load(plan, target, (&way, &clock), watch, stop);
    let driven = async {
        let _over = over.clone().drop_guard();
        record(plan, target, load, archive).await
    };
    let (driven, usage) = join!(driven, follow_usage(&listening, &clock, &over));
    let Driven { recorded: basis, connections, strain } = driven?;
    Ok(Loaded { basis, connections, strain, usage })
}

async fn record(
    plan: &Plan,
    target: &UrlTarget,
    load: Load<'_>,
    archive: &Archive,
) -> Result<Driven<Basis>, LoadError> {
    match target.ledger {
        true => Ok(load::drive(load, &archive.ledger_dir()).await?.map(Basis::Ledger)),
        false => {
            let driven = load::drive_into(load, |part| Ok(Census::new(&plan.load, part))).await?;
            Ok(driven.map(|parts| Basis::Counted(Box::new(Counted::sum(parts)))))
        }
    }
}

/// What the target and the machine are busy with. Nothing, where nobody sees who the target is.
async fn follow_usage(target: &[ProcessIdentity], clock: &RunClock, over: &CancellationToken) -> Usage {
    match target.is_empty() {
        true => Usage::default(),
        false => cpu::follow_processes(target, TARGET, clock, over).await,
    }
}

fn load<'a>(
    plan: &'a Plan,
    target: &UrlTarget,
    (way, clock): (&'a Way, &'a RunClock),
    watch: &'a dyn Watch,
    stop: &'a Stop,
) -> Load<'a> {
    let dialogue = Arc::new(UrlDialogue::new(target, way.transport.clone()));
    Load {
        plan: &plan.load,
        run: plan.run,
        dialogue,
        endpoints: &way.endpoints,
        clock,
        alarm: Arc::new(Timer),
        watch,
        stop,
    }
}

/// The ledger, which is exact, and an estimate of all else.
pub fn disk_bytes(plan: &Plan, target: &UrlTarget) -> u64 {
    let operations = if target.ledger { Timetable::of(&plan.load).total() } else { 0 };
    (1 << 20) + ledger::disk_bytes(operations, plan.load.shards) + plan.load.duration().as_secs() * 1_000
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::*;
    use crate::load::fake_target::FullDoor;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn request(allowed: bool) -> HttpRequest {
        let (host, path) = ("service".to_owned(), "/".to_owned());
        let (authority, headers, body) = (host.clone(), Vec::new(), Vec::new());
        HttpRequest { host, port: 80, authority, path, headers, body, allowed }
    }

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// At a port at which only another address listens.
    fn refusing(listens: SocketAddr) -> SocketAddr {
        SocketAddr::from((Ipv6Addr::LOCALHOST, listens.port()))
    }

    async fn chosen_of(found: &[SocketAddr]) -> Option<SocketAddr> {
        chosen(&request(false), found, PATIENCE).await.unwrap()
    }

    #[tokio::test]
    async fn a_host_is_loaded_at_its_first_address_that_takes_a_connection() {
        let ((_one, one), (_other, other)) = (listening(), listening());
        assert_eq!(chosen_of(&[one, other]).await, Some(one));
        assert_eq!(chosen_of(&[refusing(one), one, other]).await, Some(one));
        let swallows = FullDoor::new().await;
        assert_eq!(chosen_of(&[swallows.addr, one]).await, Some(one));
    }

    #[tokio::test]
    async fn where_none_takes_a_connection_the_run_tells_of_the_first() {
        let (listener, address) = listening();
        drop(listener);
        assert_eq!(chosen_of(&[refusing(address), address]).await, Some(refusing(address)));
        assert_eq!(chosen_of(&[]).await, None);
    }

    #[tokio::test]
    async fn nobody_is_connected_to_where_one_address_may_not_be() {
        let (listener, address) = listening();
        let stranger = SocketAddr::from(([192, 0, 2, 1], 80));
        let refused = chosen(&request(false), &[address, stranger], PATIENCE).await;
        assert!(matches!(refused, Err(UrlLoadError::NotAllowed { address, .. }) if address == stranger), "{refused:?}");
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(chosen(&request(true), &[address, stranger], PATIENCE).await.unwrap(), Some(address));
    }

    #[tokio::test]
    async fn an_only_address_is_not_asked_before_the_load() {
        let (listener, address) = listening();
        assert_eq!(chosen_of(&[address]).await, Some(address));
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
