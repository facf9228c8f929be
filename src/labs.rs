//! Labs that stay, as a person deals with them: bring one up, look at it, take it down.
//!
//! In: a lab's folder. Out: what is there, measured now (readiness by a probe, the buffer and the rows read from their
//! places, never from the keeper's word), or what became of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::archive::Environment;
use crate::backends::kept::{self, Ending, Kept, LabError, LabFolder, Sight, Standing, Visitor};
use crate::backends::{Instance, QueueSource, Sources};
use crate::heal::{self, Healing};
use crate::plan::{KeptTarget, TargetPlan};
use crate::readback::database::Database;
use crate::readback::depth::DepthProbe;
use crate::stop::Stop;
use crate::watch::Depth;

/// A probe as `curl` would make it.
const PROBE_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks at a buffer that drains.
const DRAIN_POLL: Duration = Duration::from_millis(100);
/// A killed process is gone within this, or it is stuck in the kernel.
const HEAL_PATIENCE: Duration = Duration::from_secs(10);
/// From the keeper's last word to its end.
const KEEPER_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// What can be said of a lab.
#[derive(Debug, Clone, Serialize)]
pub struct LabStatus {
    pub name: String,
    pub standing: Standing,
    pub folder: PathBuf,
    pub target: TargetPlan,
    pub since: Timestamp,
    /// `None`: nobody is there to be looked at.
    pub seen: Option<Seen>,
    /// Why the keeper of a lab that seems up does not answer.
    pub silent: Option<String>,
}

/// A lab that is up, as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    pub instances: Vec<InstanceStatus>,
    pub sources: Sources,
    /// Tasks in the buffer; `None`: it could not be read.
    pub buffer: Option<Buffer>,
    /// Of every run; `None`: the database could not be read.
    pub rows: Option<u64>,
    pub attached: Option<Visitor>,
}

#[derive(Debug, Clone, Serialize)]
pub struct InstanceStatus {
    #[serde(flatten)]
    pub instance: Instance,
    /// By a probe of now.
    pub ready: bool,
    /// Stopped by a signal.
    pub frozen: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Buffer {
    pub ready: u64,
    pub leased: u64,
    pub delayed: u64,
    pub dead: u64,
}

impl Buffer {
    pub fn waiting(self) -> u64 {
        self.ready + self.leased + self.delayed
    }
}

/// What became of a lab that was taken down.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TakenDown {
    pub name: String,
    /// Nothing was there.
    pub was_down: bool,
    pub ended: Vec<Ending>,
    /// Tasks that were still in the buffer after the wait for it to drain, dead letters apart; `None`: not known.
    pub undrained: Option<u64>,
    /// What a dead keeper had left.
    pub reverted: Vec<String>,
}

/// Brings a lab up, or leaves nothing running.
pub async fn up(
    folder: &LabFolder,
    target: TargetPlan,
    executable: &Path,
    environment: Environment,
    stop: &Stop,
) -> Result<(), LabError> {
    if let Some(existing) = Database::of_existing(&target) {
        let name = folder.name().to_owned();
        existing.rehearse().await.map_err(|e| LabError::Up { name, why: e.to_string() })?;
    }
    let kept = Kept { name: folder.name().to_owned(), target, environment };
    kept::birth::up(folder, &kept, executable, stop).await
}

/// The target of a lab that a run of this executable may attach to.
pub fn attachable(folder: &LabFolder, environment: &Environment) -> Result<KeptTarget, LabError> {
    let not_up =
        |why: &str, remedy: String| LabError::NotUp { name: folder.name().to_owned(), why: why.to_owned(), remedy };
    let name = folder.name();
    match folder.standing()? {
        Standing::Up => {}
        Standing::Down => return Err(not_up("it is not up", format!("`mxctl testbed up --name {name} …`"))),
        Standing::Between => return Err(not_up("it is just starting or stopping", "try again".into())),
        Standing::Dead => {
            return Err(not_up("its keeper was killed", format!("`mxctl testbed down {name}` cleans up")));
        }
    }
    let Kept { target, environment: its, .. } = folder.kept()?;
    // The executable is the service under test as well: a report names one digest.
    if its.executable_sha256 != environment.executable_sha256 {
        let remedy = format!("`mxctl testbed down {name}`, and bring it up with this one");
        return Err(not_up("another build of mxctl runs in it", remedy));
    }
    Ok(KeptTarget { name: name.to_owned(), folder: folder.root().to_owned(), target })
}

pub async fn status(folder: &LabFolder) -> Result<LabStatus, LabError> {
    let Kept { name, target, environment } = folder.kept()?;
    let (standing, root) = (folder.standing()?, folder.root().to_owned());
    let status =
        LabStatus { name, standing, folder: root, target, since: environment.started_at, seen: None, silent: None };
    if standing != Standing::Up {
        return Ok(status);
    }
    Ok(match kept::look(folder).await {
        Ok(sight) => LabStatus { seen: Some(see(sight).await), ..status },
        Err(e) => LabStatus { silent: Some(e.to_string()), ..status },
    })
}

async fn see(sight: Sight) -> Seen {
    let Sight { instances, sources, attached } = sight;
    let buffer = buffer(&sources, &instances).await;
    let rows = Database::of_every_run(&sources.database).rows_in_range().await.ok();
    Seen { buffer, rows, attached, sources, instances: probe(instances).await }
}

async fn buffer(sources: &Sources, instances: &[Instance]) -> Option<Buffer> {
    let Depth { ready, leased, delayed, dead } = DepthProbe::new(sources).look_at(instances).await.ok()?.depth;
    Some(Buffer { ready, leased, delayed, dead })
}

async fn probe(instances: Vec<Instance>) -> Vec<InstanceStatus> {
    let client = reqwest::Client::builder().no_proxy().timeout(PROBE_WITHIN).build();
    let client = client.expect("a plain HTTP client needs nothing from the system");
    let mut all = Vec::new();
    for instance in instances {
        let answer = client.get(format!("http://{}/health/ready", instance.addr)).send().await;
        let ready = answer.is_ok_and(|answer| answer.status().is_success());
        all.push(InstanceStatus { ready, frozen: instance.is_frozen(), instance });
    }
    all
}

/// Takes a lab down, whatever became of it. Idempotent: a lab that is down stays so.
pub async fn down(folder: &LabFolder, force: bool) -> Result<TakenDown, LabError> {
    let standing = folder.standing()?;
    let mut taken = TakenDown { name: folder.name().to_owned(), ..TakenDown::default() };
    if standing == Standing::Down {
        return Ok(TakenDown { was_down: true, ..taken });
    }
    let grace = folder.kept()?.target.grace;
    if standing == Standing::Up {
        taken.undrained = drain(folder, grace).await;
        match kept::take_down(folder, force, grace).await {
            Ok(gone) => taken.ended = gone.ended,
            Err(refused @ LabError::Down { .. }) => return Err(refused),
            // It does not answer: it is ended like any other process.
            Err(_) => {}
        }
    }
    let by_itself = if standing == Standing::Up { KEEPER_ENDS_WITHIN } else { Duration::ZERO };
    end_keeper(folder, by_itself, grace).await?;
    taken.reverted = clean_up(folder)?;
    Ok(taken)
}

/// Waits until the buffer is empty, or the grace is over: what is still in it then.
async fn drain(folder: &LabFolder, grace: Duration) -> Option<u64> {
    let Sight { instances, sources, attached } = kept::look(folder).await.ok()?;
    let deadline = tokio::time::Instant::now() + grace;
    loop {
        let waiting = buffer(&sources, &instances).await?.waiting();
        if waiting == 0 || attached.is_some() || tokio::time::Instant::now() >= deadline {
            return Some(waiting);
        }
        tokio::time::sleep(DRAIN_POLL).await;
    }
}

/// Waits for the keeper's end, and brings it about where it does not come by itself.
async fn end_keeper(folder: &LabFolder, by_itself: Duration, grace: Duration) -> Result<(), LabError> {
    // A keeper that has not even said who it is has started nothing.
    let Ok(keeper) = folder.keeper() else { return Ok(()) };
    if keeper.ends(by_itself).await || kept::end_keeper(keeper, grace).await {
        return Ok(());
    }
    Err(LabError::Down {
        name: folder.name().to_owned(),
        why: format!("its keeper (pid {}) outlives SIGKILL", keeper.pid),
    })
}

/// What a keeper that was killed has left, by its journal.
fn clean_up(folder: &LabFolder) -> Result<Vec<String>, LabError> {
    let failed = |why: String| LabError::Down { name: folder.name().to_owned(), why };
    match heal::heal(folder.root(), HEAL_PATIENCE) {
        Ok(Healing::AtRest) | Err(heal::HealError::NoJournal { .. }) => Ok(Vec::new()),
        Ok(Healing::Healed { reverted }) => Ok(reverted),
        Ok(Healing::Running) => Err(failed("its keeper is still alive".into())),
        Ok(Healing::Failed { left }) => Err(failed(format!("still there: {}", left.join(", ")))),
        Err(e) => Err(failed(e.to_string())),
    }
}

/// The folders of labs whose keeper was killed, and that nobody has taken down since.
pub fn dead(reports: &Path) -> Result<Vec<PathBuf>, LabError> {
    let mut dead = Vec::new();
    for folder in LabFolder::all(reports)? {
        if folder.standing()? == Standing::Dead {
            dead.push(folder.root().to_owned());
        }
    }
    Ok(dead)
}

/// Where a buffer is, in a word.
pub fn queue_place(queue: &QueueSource) -> String {
    match queue {
        QueueSource::Redis { url, key } => format!("{url}, list {key}"),
        QueueSource::Private => "in the instances' memory".to_owned(),
    }
}
