//! Faults of Redis: one a file, played by one hand.
//!
//! ```text
//! tasks in the buffer ─ own write stored ─ inject ─ look ┬ own write ─ own write ─ … ┬ heal ─ own write stored ─ look
//!                                                        └──────── `lasts` ──────────┘
//! ```
//!
//! In: a planned disturbance. Out: its record, with proof of mechanism (what the server and the kernel show), of
//! symptom (what becomes of writes that the run makes itself, over the path that is struck), and of heal.
//!
//! A new fault is a file with `impl RedisFault`, its line in `fault_of`, and its line in the list of
//! `src/disturbance.rs`.

mod blackhole;
mod client_kill;
mod drop_reply;
mod drop_request;
mod evict;
mod eye;
mod failover;
mod info;
mod kill;
mod latency;
mod misconf;
mod oom;
mod pause;
mod processes;
mod readonly;
mod reset;
mod restart;
mod script_flush;
mod toxics;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use self::eye::{Eye, Seen};
use self::info::Info;
use super::incident::{DisturbanceRecord, Proof, ProofOf};
use super::{FREEZE_PATIENCE, Fault, KILL_PATIENCE, Scene};
use crate::backends::{ControlError, ProcessIdentity, RedisControl};
use crate::clock::Offset;
use crate::plan::{Disturbance, DisturbancePlan};
use crate::readback::depth::DepthProbe;

/// Between two own writes, and between two looks at the buffer: no multiple of a flush interval.
const EVERY: Duration = Duration::from_millis(37);
/// What Redis was told, it does within this.
const PATIENCE: Duration = Duration::from_secs(3);
/// A server that was put right takes a write within this.
const HEAL_PATIENCE: Duration = Duration::from_secs(20);
/// It is stored in this time where nothing is wrong.
const BASELINE_PATIENCE: Duration = Duration::from_secs(5);

/// The registry: how a disturbance is done.
fn fault_of(plan: &DisturbancePlan) -> Box<dyn RedisFault> {
    match plan.disturbance {
        Disturbance::RedisKill => Box::new(kill::Kill::default()),
        Disturbance::RedisRestart => Box::new(restart::Restart::default()),
        Disturbance::RedisPause => Box::new(pause::Pause),
        Disturbance::RedisReadonly => Box::new(readonly::Readonly::default()),
        Disturbance::RedisOom => Box::new(oom::Oom::default()),
        Disturbance::RedisMisconf => Box::new(misconf::Misconf::default()),
        Disturbance::RedisEvict => Box::new(evict::Evict::default()),
        Disturbance::RedisScriptFlush => Box::new(script_flush::ScriptFlush::default()),
        Disturbance::RedisClientKill => Box::new(client_kill::ClientKill::default()),
        Disturbance::RedisLatency => Box::new(latency::Latency::of(plan.delay)),
        Disturbance::RedisReset => Box::new(reset::Reset::default()),
        Disturbance::RedisBlackhole => Box::new(blackhole::Blackhole::default()),
        Disturbance::RedisDropReply => Box::new(drop_reply::DropReply::default()),
        Disturbance::RedisDropRequest => Box::new(drop_request::DropRequest::default()),
        Disturbance::RedisFailover => Box::new(failover::Failover::to_one_that_caught_up()),
        Disturbance::RedisFailoverLagging => Box::new(failover::Failover::to_one_that_lags()),
    }
}

/// Something bad that is done to Redis, or to the way to it.
#[async_trait]
trait RedisFault: Send {
    /// What becomes of an own write while it lasts; `None`: nothing does, and `proof` shows the symptom.
    fn symptom(&self) -> Option<Symptom>;
    /// Whether own writes take the path of the instances, and not the straight one.
    fn through_proxy(&self) -> bool {
        self.symptom().is_some_and(|symptom| symptom.through_proxy)
    }
    /// What else is worth knowing of the server as it was before; nothing, as a rule.
    fn facts(&self, _before: &Info) -> Option<String> {
        None
    }
    /// Acts, through the control: that puts it into the journal first. It is in effect when this returns.
    async fn inject(&mut self, at: &Struck<'_>) -> Result<(), ControlError>;
    /// What the server and the kernel show of it, just after the act.
    async fn proof(&mut self, at: &Struck<'_>) -> Vec<Proof>;
    /// Undoes it, however far the injection came. May be called again.
    async fn heal(&mut self, at: &Struck<'_>) -> Result<(), ControlError>;
    /// What shows that it is undone, beside an own write that is stored again.
    async fn proof_of_heal(&mut self, at: &Struck<'_>) -> Vec<Proof>;
}

/// The Redis that is struck, and where.
struct Struck<'a> {
    scene: &'a Scene<'a>,
    redis: &'a dyn RedisControl,
    /// What the server told of itself before the act.
    before: &'a Info,
    /// Who it was then.
    process: ProcessIdentity,
}

impl Struck<'_> {
    /// The server's own address: never through the proxy.
    fn addr(&self) -> SocketAddr {
        self.redis.addr()
    }
}

/// What an own write meets.
struct Symptom {
    /// `connections are refused`.
    what: String,
    holds: fn(&Seen) -> bool,
    /// The least time that it takes.
    takes: Duration,
    /// Over the path of the instances, or straight to the server.
    through_proxy: bool,
}

impl Symptom {
    fn of_server(what: &str, holds: fn(&Seen) -> bool) -> Option<Symptom> {
        Some(Symptom { what: what.to_owned(), holds, takes: Duration::ZERO, through_proxy: false })
    }

    fn of_network(what: &str, holds: fn(&Seen) -> bool) -> Option<Symptom> {
        Symptom::of_server(what, holds).map(|symptom| Symptom { through_proxy: true, ..symptom })
    }
}

fn proof(of: ProofOf, what: &str, seen: impl Into<String>, holds: bool) -> Proof {
    Proof { of, what: what.to_owned(), seen: seen.into(), holds }
}

/// One disturbance, from the look before it to the look after it.
struct Disturbing {
    plan: DisturbancePlan,
    fault: Box<dyn RedisFault>,
    record: Option<DisturbanceRecord>,
    before: Info,
    /// Who was struck.
    process: Option<ProcessIdentity>,
    eye: Option<Eye>,
    /// What was seen so far.
    proof: Vec<Proof>,
}

pub(super) fn disturbing(plan: &DisturbancePlan) -> Box<dyn Fault<Record = DisturbanceRecord>> {
    let (fault, before) = (fault_of(plan), Info::default());
    let (record, process, eye, proof) = (None, None, None, Vec::new());
    Box::new(Disturbing { plan: plan.clone(), fault, record, before, process, eye, proof })
}

fn redis_of<'a>(scene: &'a Scene<'_>) -> Result<&'a dyn RedisControl, ControlError> {
    scene.deployment.redis().ok_or(ControlError::NoRedis)
}

#[async_trait]
impl Fault for Disturbing {
    type Record = DisturbanceRecord;

    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let redis = redis_of(scene)?;
        let record = self.record.insert(DisturbanceRecord::begin(&self.plan, scene.clock.now()));
        record.exposure = exposure(scene, self.plan.hold_within).await;
        let symptom = self.fault.symptom();
        let path = if self.fault.through_proxy() { redis.proxy().ok_or(ControlError::NoProxy)? } else { redis.addr() };
        let eye = self.eye.insert(Eye::new(path));
        self.proof.push(eye.sees_a_stored_write(scene, ProofOf::Before, BASELINE_PATIENCE).await);
        let unread = |why| ControlError::Tell { what: "INFO".to_owned(), why };
        self.before = Info::read(redis.addr()).await.map_err(unread)?;
        record.facts.extend(self.fault.facts(&self.before));
        let process = *self.process.insert(redis.process());
        let at = Struck { scene, redis, before: &self.before, process };
        record.began = scene.clock.now();
        self.fault.inject(&at).await?;
        record.done = Some(scene.clock.now());
        self.proof.extend(self.fault.proof(&at).await);
        let over = scene.clock.now().plus(self.plan.lasts);
        let interrupted = || ControlError::Interrupted { what: format!("play {}", self.plan.id) };
        let Some(symptom) = symptom else {
            let lasting = tokio::time::sleep_until(scene.clock.instant(over));
            return scene.stop.interrupt.run_until_cancelled(lasting).await.ok_or_else(interrupted);
        };
        let mut sights = Vec::new();
        let watching = watch(scene, eye, over, &mut sights);
        let uninterrupted = scene.stop.interrupt.run_until_cancelled(watching).await;
        self.proof.push(shown(&symptom, &sights));
        uninterrupted.ok_or_else(interrupted)
    }

    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        let (Some(record), Some(eye), Some(process)) = (&mut self.record, &mut self.eye, self.process) else {
            return Ok(());
        };
        let redis = redis_of(scene)?;
        let at = Struck { scene, redis, before: &self.before, process };
        record.undone = Some(scene.clock.now());
        self.fault.heal(&at).await?;
        let stored = eye.sees_a_stored_write(scene, ProofOf::Heal, HEAL_PATIENCE).await;
        record.healed = stored.holds.then(|| scene.clock.now());
        self.proof.push(stored);
        self.proof.extend(self.fault.proof_of_heal(&at).await);
        eye.close(redis.addr()).await;
        Ok(())
    }

    async fn proof(&mut self, _scene: &Scene<'_>) -> Vec<Proof> {
        std::mem::take(&mut self.proof)
    }

    fn record(self: Box<Self>) -> Option<DisturbanceRecord> {
        self.record
    }
}

/// Waits until the buffer holds something that could be lost. How many tasks; `None`: it could not be read.
async fn exposure(scene: &Scene<'_>, within: Duration) -> Option<u64> {
    let deadline = scene.clock.now().plus(within);
    let mut probe = DepthProbe::new(&scene.deployment.sources());
    loop {
        let depth = probe.look(scene.deployment).await.ok().map(|look| look.depth);
        let tasks = depth.map(|depth| depth.ready + depth.leased + depth.delayed);
        if tasks > Some(0) || scene.clock.now() >= deadline || scene.stop.interrupt.is_cancelled() {
            return tasks;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What became of a write, and how long that took.
type Sight = (Seen, Duration);

/// Writes of our own for as long as it lasts.
async fn watch(scene: &Scene<'_>, eye: &mut Eye, over: Offset, sights: &mut Vec<Sight>) {
    while scene.clock.now() < over {
        sights.push(eye.write().await);
        let next = scene.clock.now().plus(EVERY).min(over);
        tokio::time::sleep_until(scene.clock.instant(next)).await;
    }
}

/// All of them must meet the symptom, the first and the last included.
fn shown(symptom: &Symptom, sights: &[Sight]) -> Proof {
    let shows = |(seen, took): &Sight| (symptom.holds)(seen) && *took >= symptom.takes;
    let (held, all) = (sights.iter().filter(|sight| shows(sight)).count(), sights.len());
    let other = sights.iter().find(|sight| !shows(sight)).map(|(seen, took)| format!("; one was {seen}, {took:.1?}"));
    let seen = format!("{held} of {all}{}", other.unwrap_or_default());
    proof(ProofOf::Symptom, &format!("own writes: {}", symptom.what), seen, all > 0 && held == all)
}

/// Waits until something that was read of the server is as it must be; what was last read, and whether it is.
async fn eventually(
    addr: SocketAddr,
    within: Duration,
    is: impl Fn(&Info) -> bool,
    tell: impl Fn(&Info) -> String,
) -> (String, bool) {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let read = Info::read(addr).await;
        let told = read.as_ref().map_or_else(|why| why.clone(), &tell);
        let holds = read.as_ref().is_ok_and(&is);
        if holds || tokio::time::Instant::now() >= deadline {
            return (told, holds);
        }
        tokio::time::sleep(EVERY).await;
    }
}
