//! The attached run's own view of the lab: who lives, under the run's own numbers, probed by the run's own probers.
//!
//! # Why own numbers
//! An [`InstanceId`] indexes the roster in the run's archive, from 0. The lab has had lives before this run.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backends::prober::{Probe, Prober};
use crate::backends::{Endpoint, Endpoints, Exit, Instance, InstanceId};
use crate::clock::RunClock;
use crate::plan::{ProbePlan, Slot};

/// One life that the run has seen.
#[derive(Clone)]
pub(super) struct Life {
    /// With the run's number.
    pub instance: Instance,
    /// The lab's number.
    pub there: InstanceId,
    pub exit: watch::Receiver<Option<Exit>>,
    pub probe: watch::Receiver<Probe>,
    pub over: CancellationToken,
    tell_exit: watch::Sender<Option<Exit>>,
}

pub(super) struct Mirror {
    pub endpoints: Endpoints,
    pub clock: RunClock,
    plan: ProbePlan,
    lives: Mutex<Vec<Life>>,
    probers: Mutex<JoinSet<()>>,
    over: CancellationToken,
}

impl Mirror {
    pub fn new(plan: ProbePlan, clock: RunClock) -> Mirror {
        Mirror {
            endpoints: Endpoints::default(),
            clock,
            plan,
            lives: Mutex::default(),
            probers: Mutex::default(),
            over: CancellationToken::new(),
        }
    }

    /// Someone who lives in the lab. Known already: nothing happens.
    pub fn enrol(&self, theirs: Instance) -> Life {
        let mut lives = self.lives();
        if let Some(known) = lives.iter().find(|life| life.there == theirs.id) {
            return known.clone();
        }
        let id = InstanceId(u16::try_from(lives.len()).expect("a run has fewer than 65,535 instances"));
        let there = theirs.id;
        let instance = Instance { id, ..theirs };
        if instance.slot.role.answers_requests() {
            self.endpoints.add(Endpoint { id, addr: instance.addr });
        }
        let over = self.over.child_token();
        let (tell_exit, exit) = watch::channel(None);
        let probe = self.probe(&instance, over.clone());
        lives.push(Life { instance, there, exit, probe, over, tell_exit });
        lives.last().expect("pushed a moment ago").clone()
    }

    /// The lab says that it has ended, now.
    pub fn ended(&self, there: InstanceId, code: Option<i32>, signal: Option<i32>) {
        if let Some(life) = self.lives().iter().find(|life| life.there == there) {
            life.tell_exit.send_replace(Some(Exit { at: self.clock.now(), code, signal }));
        }
    }

    /// The keeper is gone, and everyone with it: how each of them ended, nobody knows.
    pub fn all_ended(&self) {
        for life in self.living() {
            self.ended(life.there, None, None);
        }
    }

    pub fn life(&self, id: InstanceId) -> Life {
        self.lives().get(usize::from(id.0)).expect("an instance id comes from this roster").clone()
    }

    pub fn living(&self) -> Vec<Life> {
        self.lives().iter().filter(|life| life.exit.borrow().is_none()).cloned().collect()
    }

    pub fn roster(&self) -> Vec<Instance> {
        self.lives().iter().map(|life| life.instance.clone()).collect()
    }

    /// The newest living instance of a slot.
    pub fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        self.living().into_iter().rev().map(|life| life.instance).find(|instance| instance.slot == *slot)
    }

    /// Stops looking.
    pub async fn close(&self) {
        self.over.cancel();
        let mut probers = std::mem::take(&mut *self.probers.lock().expect("no code panics while it holds the probers"));
        while probers.join_next().await.is_some() {}
    }

    fn probe(&self, instance: &Instance, over: CancellationToken) -> watch::Receiver<Probe> {
        let (tell, probe) = watch::channel(Probe::default());
        let prober = Prober {
            id: instance.id,
            addr: instance.addr,
            plan: self.plan.clone(),
            endpoints: self.endpoints.clone(),
            clock: self.clock.clone(),
        };
        self.probers.lock().expect("no code panics while it holds the probers").spawn(prober.run(tell, over));
        probe
    }

    fn lives(&self) -> MutexGuard<'_, Vec<Life>> {
        self.lives.lock().expect("no code panics while it holds the lives")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::Role;
    use crate::process::ProcessIdentity;

    fn theirs(id: u16, life: u16) -> Instance {
        Instance {
            id: InstanceId(id),
            name: format!("api-1.{life}"),
            slot: Slot { role: Role::Api, number: 1 },
            process: Some(ProcessIdentity { pid: 1, start_ticks: 1 }),
            addr: "127.0.0.1:1".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn a_lab_that_has_lived_before_is_numbered_from_0_and_nobody_twice() {
        let ms = Duration::from_millis;
        let plan = ProbePlan { interval: ms(100), timeout: ms(200), endpoint_lag: ms(400) };
        let mirror = Mirror::new(plan, RunClock::unstarted());
        let first = mirror.enrol(theirs(40, 7));
        assert_eq!((first.instance.id, first.there), (InstanceId(0), InstanceId(40)));
        assert_eq!(mirror.enrol(theirs(41, 8)).instance.id, InstanceId(1));
        mirror.enrol(theirs(40, 7));
        assert_eq!(mirror.roster().len(), 2);

        assert_eq!(mirror.in_slot(&first.instance.slot).unwrap().name, "api-1.8", "the newest of two that live");
        mirror.ended(InstanceId(41), Some(0), None);
        assert_eq!(mirror.in_slot(&first.instance.slot).unwrap().name, "api-1.7");
        mirror.close().await;
    }
}
