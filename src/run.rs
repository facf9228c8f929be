//! One run, from plan to report: the whole pass on one screen.
//!
//! In: a plan, and where to run it. Out: a report, sealed in the run's folder. Whatever happens between `up` and
//! `down`, `down` happens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::join;
use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, ArchiveError, Environment, Piece};
use crate::backends::process::Site;
use crate::backends::{self, DatabaseSource, Deployment, DownError, Settled, UpError, kept};
use crate::checks::{self, Evidence};
use crate::clock::{Offset, RunClock};
use crate::footprint::disk_bytes;
use crate::harness::{self, Stopwatch};
use crate::heal::{self, HealError};
use crate::journal::{Found, Journal};
use crate::load::dialogue::ServiceDialogue;
use crate::load::hlog::HdrLog;
use crate::load::{self, Ledger, Load, LoadError};
use crate::plan::{Lab, Plan};
use crate::proven::{self, ProvenError, Standing};
use crate::readback::baseline::BaselineError;
use crate::readback::database::{Database, DatabaseError};
use crate::readback::depth::DepthProbe;
use crate::readback::{self, Baseline, Reader, cpu};
use crate::report::{self, RenderError, RunReport};
use crate::sabotage::{self, Parts};
use crate::settle;
use crate::stop::Stop;
use crate::strain::Strain;
use crate::timeline::{self, Incidents};
use crate::watch::{Event, Phase, Watch};

/// From "everything is up" to the moment at which operation 0 is due: shards and timeline start their clocks in it.
const LEAD: Duration = Duration::from_millis(250);

/// Every private lab in one reports folder is one target: two dead runs there leave processes of the same kind.
pub const TARGET: &str = "private process lab";

/// Where a run happens.
#[derive(Debug, Clone)]
pub struct Place {
    /// The executable that has a `serve` command: this one, as a rule.
    pub executable: PathBuf,
    /// Run folders are made here.
    pub reports: PathBuf,
    pub environment: Environment,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("write the journal: {0}")]
    Journal(std::io::Error),
    #[error("close the journal: {0}; nothing of the run is left, and `mxctl heal` says so")]
    Close(std::io::Error),
    #[error(
        "start over an unhealed run: {} was killed before it could clean up; `mxctl heal` ends what it left",
        .0.display()
    )]
    Unhealed(PathBuf),
    #[error(transparent)]
    Heal(#[from] HealError),
    #[error(transparent)]
    Proven(#[from] ProvenError),
    #[error(transparent)]
    Up(#[from] UpError),
    /// Rows that this run did not write would be judged as its own.
    #[error(
        "start in an empty key range: {} holds {rows} rows of run number {run_number} already, or sightings of them; give this run another \
         `--run-number`",
        database
    )]
    NotEmpty { database: DatabaseSource, rows: u64, run_number: u32 },
    /// Two runs of one number would be judged by each other's rows.
    #[error(
        "start as the only run number {run_number} in {database}: another run has claimed it; give this one another \
         `--run-number`"
    )]
    Claimed { database: DatabaseSource, run_number: u32 },
    /// Tasks that this run did not offer would be waited for, and judged, as its own.
    #[error(
        "start on an empty buffer: {0} tasks of an earlier load wait in it; wait until they are written (`mxctl testbed status`)"
    )]
    Backlog(u64),
    #[error("take the figures that earlier runs left: {0}")]
    Baseline(#[from] BaselineError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Load(LoadError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("{0}; `mxctl heal` ends what is left")]
    Down(#[from] DownError),
}

/// A run that came to its end.
#[derive(Debug)]
pub struct Ran {
    pub report: RunReport,
    pub folder: PathBuf,
}

/// Runs a plan.
pub async fn run(plan: Plan, place: &Place, watch: &dyn Watch, stop: &Stop) -> Result<Ran, RunError> {
    let began = Instant::now();
    let Opened { archive, journal, standing } = open(&plan, place)?;
    let clock = RunClock::unstarted();
    let parts = sabotage::parts(&plan, &clock);
    let pass = Pass { plan: &plan, archive: &archive, journal: &journal, parts: &*parts, clock: &clock, watch, stop };

    let mut stopwatch = Stopwatch::default();
    stopwatch.phase(Phase::Up, watch).await;
    let (target, before) = pass.up(&place.executable).await?;
    let reader = pass.reader(&*target);

    stopwatch.phase(Phase::Load, watch).await;
    let Loaded { ledger, mut incidents, probe, memory } = pass.load(&*target, &before).await;
    let mut kept = archive.put_json(Piece::Incidents, &incidents);

    stopwatch.phase(Phase::Settle, watch).await;
    let settled = settle::until_quiet(target, &plan, probe, watch, stop).await;

    stopwatch.phase(Phase::ReadBack, watch).await;
    let state = readback::read(&settled, &*reader, (&plan, &before), &archive).await;
    kept = kept.and(state.store(&archive));

    stopwatch.phase(Phase::Down, watch).await;
    let down = pass.down(settled).await;
    incidents.interrupted = stop.interrupt.is_cancelled();
    kept = kept.and(archive.put_json(Piece::Incidents, &incidents));
    kept?;

    stopwatch.phase(Phase::Judge, watch).await;
    let evidence = Evidence { ledger: ledger?, interrupted: incidents.interrupted, incidents, state: Some(state) };
    let judged = judged(&plan, &evidence, (Some(place.environment.clone()), standing));
    let (histograms, started_at) = (checks::histograms(&plan, &evidence.ledger), place.environment.started_at);
    let log = HdrLog { histograms, started_at, duration: plan.load.duration() };
    archive.put_bytes(Piece::Histograms, &log.written())?;
    let (duration, harness) = (Some(began.elapsed()), Some(stopwatch.end(memory)));
    let report = RunReport { duration, harness, ..judged };
    archive.seal(&report.files()?)?;
    down?;
    Ok(Ran { report, folder: archive.root().to_owned() })
}

/// A run's folder, before anything is started.
struct Opened {
    archive: Archive,
    journal: Arc<Journal>,
    standing: Option<Standing>,
}

/// Refuses to start over a dead run of the same target; makes the run's folder; writes down what this run is.
fn open(plan: &Plan, place: &Place) -> Result<Opened, RunError> {
    let target = target(plan);
    if let Some(dead) = heal::unhealed(&place.reports, &target)?.into_iter().next() {
        return Err(RunError::Unhealed(dead));
    }
    let archive = Archive::create(&place.reports, &plan.name, plan.run.number, place.environment.started_at)?;
    let archive = archive.reserve(disk_bytes(plan))?;
    archive.put_json(Piece::Plan, plan)?;
    archive.put_json(Piece::Environment, &place.environment)?;
    let digest = place.environment.executable_sha256.as_deref();
    let standing = proven::newest(&place.reports, digest)?.map(|selftest| selftest.standing(plan));
    archive.put_json(Piece::Standing, &standing)?;
    let journal = Journal::open(archive.root(), &target).map_err(RunError::Journal)?;
    Ok(Opened { archive, journal: Arc::new(journal), standing })
}

/// What the journal calls the target: only a run that died on the same one is in the way.
fn target(plan: &Plan) -> String {
    match &plan.lab {
        Lab::Own => TARGET.to_owned(),
        Lab::Kept { name, .. } => kept::target(name),
    }
}

/// What every stage of one run works with.
struct Pass<'a> {
    plan: &'a Plan,
    archive: &'a Archive,
    journal: &'a Arc<Journal>,
    parts: &'a dyn Parts,
    clock: &'a RunClock,
    watch: &'a dyn Watch,
    stop: &'a Stop,
}

/// What is known when the load is over.
struct Loaded {
    ledger: Result<Ledger, RunError>,
    incidents: Incidents,
    probe: DepthProbe,
    memory: Vec<(Offset, u64)>,
}

impl Pass<'_> {
    /// Brings the target up, ready and empty, or leaves nothing behind. Says what it had counted before.
    async fn up(&self, executable: &Path) -> Result<(Box<dyn Deployment>, Baseline), RunError> {
        let Pass { plan, archive, journal, .. } = *self;
        let site = Site {
            executable: executable.to_owned(),
            folder: archive.target_dir(),
            journal: journal.clone(),
            clock: self.clock.clone(),
        };
        if let (Lab::Own, Some(existing)) = (&plan.lab, Database::of_existing(&plan.target)) {
            // Before anything is started that would wait for it.
            existing.rehearse().await.inspect_err(|_| drop(journal.close()))?;
        }
        let up = async { refuse_leftovers(plan, backends::up(plan, site, self.stop).await?).await };
        let (target, before) = up.await.inspect_err(|_| {
            let found = Found::read(archive.root());
            if found.is_ok_and(|found| found.is_some_and(|found| found.left_nothing())) {
                // Nothing of it runs any more. A journal that stays open makes the next run ask for `heal`.
                let _ = journal.close();
            }
        })?;
        Ok((self.parts.target(target), before))
    }

    /// What will read the rows once the target is at rest.
    fn reader(&self, target: &dyn Deployment) -> Box<dyn Reader> {
        self.parts.reader(Database::of_run(&target.sources().database, self.plan))
    }

    /// The load, what is done to the target meanwhile, and whoever looks on.
    async fn load(&self, target: &dyn Deployment, before: &Baseline) -> Loaded {
        let Pass { plan, clock, watch, stop, .. } = *self;
        let mut probe = DepthProbe::new(&target.sources()).since(before);
        clock.start_in(LEAD);
        let loaded = CancellationToken::new();
        let (driven, mut incidents, depths, usage, memory) = join!(
            self.drive(target, &loaded),
            timeline::play(plan, target, clock, watch, stop),
            probe.follow(target, clock, watch, &loaded),
            cpu::follow(target, clock, &loaded),
            harness::follow_memory(clock, plan.load_end(), &loaded),
        );
        incidents.depths = depths;
        incidents.add_cpu(usage.instances);
        incidents.machine = usage.machine;
        // Until the run has come to its own end, its folder says that it did not.
        incidents.interrupted = true;
        let (ledger, strain) = driven.map_or_else(|e| (Err(e), None), |(ledger, strain)| (Ok(ledger), strain));
        incidents.strain = strain;
        Loaded { ledger, incidents, probe, memory }
    }

    /// Drives the load to its end. A ledger that could not be written to its end (a full disk) is judged as what it is:
    /// torn.
    async fn drive(
        &self,
        target: &dyn Deployment,
        loaded: &CancellationToken,
    ) -> Result<(Ledger, Option<Strain>), RunError> {
        let Pass { plan, clock, watch, stop, .. } = *self;
        let folder = self.archive.ledger_dir();
        let load = Load {
            plan: &plan.load,
            run: plan.run,
            dialogue: Arc::new(ServiceDialogue { api_version: plan.target.strategy.api_version().to_owned() }),
            endpoints: target.endpoints(),
            clock,
            alarm: self.parts.alarm(),
            watch,
            stop,
        };
        let driven = load::drive(load, &folder).await;
        loaded.cancel();
        let torn = |e| Ledger::recover(&folder, &format!("mxctl failed to {e}")).map_err(|_| RunError::Load(e));
        let strain = driven.as_ref().ok().map(|driven| driven.strain);
        let ledger = driven.map(|driven| driven.recorded).or_else(torn)?;
        Ok((self.parts.ledger(ledger, &folder).map_err(|e| RunError::Load(e.into()))?, strain))
    }

    /// Takes the target down; the journal is closed only where nothing of it is left.
    async fn down(&self, settled: Settled) -> Result<(), RunError> {
        let grace = if self.stop.abort.is_cancelled() { Duration::ZERO } else { self.plan.target.grace };
        for remark in settled.down(grace).await? {
            self.watch.event(Event::Note(remark));
        }
        self.journal.close().map_err(RunError::Close)
    }
}

/// What earlier loads left, and this run would be judged by: the target goes down again.
async fn refuse_leftovers(
    plan: &Plan,
    deployment: Box<dyn Deployment>,
) -> Result<(Box<dyn Deployment>, Baseline), RunError> {
    let looked = async {
        refuse_rows(plan, &*deployment).await?;
        let before = match plan.lab {
            Lab::Own => Baseline::default(),
            Lab::Kept { .. } => refuse_backlog(&*deployment).await?,
        };
        // The last of all: a run that is refused leaves its number to the next one.
        claim_number(plan, &*deployment).await?;
        Ok(before)
    };
    match looked.await {
        Ok(before) => Ok((deployment, before)),
        Err(refused) => {
            // What could not be ended is in the journal; the first error is the one that explains.
            let _ = deployment.down(Duration::ZERO).await;
            Err(refused)
        }
    }
}

/// Rows in this run's key range would be judged as its own; and what cannot be read at the end need not begin.
async fn refuse_rows(plan: &Plan, deployment: &dyn Deployment) -> Result<(), RunError> {
    let database = deployment.sources().database;
    let reader = Database::of_run(&database, plan);
    reader.rehearse().await?;
    match reader.remains_in_range().await? {
        0 => Ok(()),
        rows => Err(RunError::NotEmpty { database, rows, run_number: plan.run.number }),
    }
}

async fn claim_number(plan: &Plan, deployment: &dyn Deployment) -> Result<(), RunError> {
    let database = deployment.sources().database;
    match Database::of_run(&database, plan).claim().await? {
        true => Ok(()),
        false => Err(RunError::Claimed { database, run_number: plan.run.number }),
    }
}

async fn refuse_backlog(deployment: &dyn Deployment) -> Result<Baseline, RunError> {
    let before = Baseline::take(deployment).await?;
    match before.waiting() {
        0 => Ok(before),
        waiting => Err(RunError::Backlog(waiting)),
    }
}

/// The judgement of a run, as a report: from a run that has just ended, or from its folder.
pub fn judged(
    plan: &Plan,
    evidence: &Evidence,
    (environment, standing): (Option<Environment>, Option<Standing>),
) -> RunReport {
    let ran = report::Ran {
        environment,
        standing,
        duration: None,
        settle: evidence.state.as_ref().map(|state| state.settle.clone()),
        interrupted: evidence.interrupted,
        database: database(plan),
        server: server(plan, evidence),
    };
    RunReport::new(plan, &evidence.incidents, checks::judge(plan, evidence), ran)
}

/// Where a person finds the rows: as the run's folder sees it, or where the lab is. `None`: with somebody else.
fn database(plan: &Plan) -> Option<PathBuf> {
    if plan.target.existing.is_some() {
        return None;
    }
    let target = match &plan.lab {
        Lab::Own => PathBuf::from("target"),
        Lab::Kept { name, folder } => kept::LabFolder::at(name, folder).target_dir(),
    };
    Some(target.join(backends::process::database_in_target(plan.target.database)))
}

/// The server in which the rows were read.
fn server(plan: &Plan, evidence: &Evidence) -> Option<report::DatabaseServer> {
    let rows = evidence.state.as_ref()?.rows.read()?;
    let ended = plan.target.existing.is_none() && plan.lab == Lab::Own;
    let url = rows.server.clone()?;
    Some(report::DatabaseServer { database: plan.target.database, url, ended })
}
