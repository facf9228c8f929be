//! Faults of Redis: one a file.
//!
//! In: a planned disturbance. Out: a [`Blow`] against the run's own Redis.
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
mod failover_sentinel;
mod info;
mod kill;
mod latency;
mod misconf;
mod oom;
mod path;
mod pause;
mod processes;
mod readonly;
mod reset;
mod restart;
mod script_flush;
mod sentinels;
mod toxics;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use self::eye::Eye;
use self::info::Info;
use super::disturbing::{Blow, EVERY, OwnWrites, Symptom, proof};
use super::incident::{Proof, ProofOf};
use super::{FREEZE_PATIENCE, KILL_PATIENCE, Scene};
use crate::backends::{ControlError, ProcessIdentity, RedisControl};
use crate::plan::{Disturbance, DisturbancePlan};

/// What Redis was told, it does within this.
const PATIENCE: Duration = Duration::from_secs(3);

/// The registry: how a disturbance is done; `None`: it strikes something else.
fn fault_of(plan: &DisturbancePlan) -> Option<Box<dyn RedisFault>> {
    Some(match plan.disturbance {
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
        Disturbance::RedisFailoverSentinel => Box::new(failover_sentinel::FailoverSentinel::default()),
        _ => return None,
    })
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
    /// Makes ready what takes time, and strikes nobody yet; nothing, as a rule.
    async fn prepare(&mut self, _at: &Struck<'_>) -> Result<(), ControlError> {
        Ok(())
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

/// A fault, and the Redis that it strikes.
struct RedisBlow {
    fault: Box<dyn RedisFault>,
    before: Info,
    /// Who was struck.
    process: Option<ProcessIdentity>,
}

/// `None`: it strikes something else.
pub(super) fn blow(plan: &DisturbancePlan) -> Option<Box<dyn Blow>> {
    let fault = fault_of(plan)?;
    Some(Box::new(RedisBlow { fault, before: Info::default(), process: None }))
}

fn redis_of<'a>(scene: &'a Scene<'_>) -> Result<&'a dyn RedisControl, ControlError> {
    scene.deployment.redis().ok_or(ControlError::NoRedis)
}

fn struck<'a>(
    scene: &'a Scene<'a>,
    before: &'a Info,
    process: Option<ProcessIdentity>,
) -> Result<Struck<'a>, ControlError> {
    let process = process.expect("whoever is struck was looked at before");
    Ok(Struck { scene, redis: redis_of(scene)?, before, process })
}

#[async_trait]
impl Blow for RedisBlow {
    fn symptom(&self) -> Option<Symptom> {
        self.fault.symptom()
    }

    fn own_writes(&self, scene: &Scene<'_>, through_proxy: bool) -> Result<Box<dyn OwnWrites>, ControlError> {
        let redis = redis_of(scene)?;
        let path = if through_proxy || self.fault.through_proxy() {
            redis.proxy().ok_or(ControlError::NoProxy)?
        } else {
            redis.addr()
        };
        Ok(Box::new(Eye::new(path)))
    }

    async fn look(&mut self, scene: &Scene<'_>) -> Result<Vec<String>, ControlError> {
        let redis = redis_of(scene)?;
        let unread = |why| ControlError::Tell { what: "INFO".to_owned(), why };
        self.before = Info::read(redis.addr()).await.map_err(unread)?;
        self.process = Some(redis.process());
        Ok(self.fault.facts(&self.before).into_iter().collect())
    }

    async fn prepare(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        self.fault.prepare(&struck(scene, &self.before, self.process)?).await
    }

    async fn inject(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        self.fault.inject(&struck(scene, &self.before, self.process)?).await
    }

    async fn proof(&mut self, scene: &Scene<'_>) -> Result<Vec<Proof>, ControlError> {
        Ok(self.fault.proof(&struck(scene, &self.before, self.process)?).await)
    }

    async fn heal(&mut self, scene: &Scene<'_>) -> Result<(), ControlError> {
        self.fault.heal(&struck(scene, &self.before, self.process)?).await
    }

    async fn proof_of_heal(&mut self, scene: &Scene<'_>) -> Result<Vec<Proof>, ControlError> {
        Ok(self.fault.proof_of_heal(&struck(scene, &self.before, self.process)?).await)
    }
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
