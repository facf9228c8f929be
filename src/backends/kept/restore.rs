//! Making a lab whole after a session: everyone runs, nothing is held, each slot of the lab's plan has one instance
//! that is ready, and no other slot has any.
//!
//! In: the keeper, and what the session had in its hands ([`Custody`]). Out: sentences, one for each thing done. A lab
//! that is whole takes none, and the time of a probe.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::JoinSet;

use super::keeper::{Keeper, lock};
use crate::backends::{Instance, InstanceId};
use crate::plan::{PausePoint, Slot};

/// A killed process is gone within this, or it is stuck in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How often a lab is put back that is still not whole.
const TRIES: usize = 3;

/// What a session has changed and not put back.
#[derive(Debug, Default)]
pub(super) struct Custody {
    pub holds: BTreeSet<(InstanceId, PausePoint)>,
    /// They were told to end.
    ending: BTreeSet<InstanceId>,
}

impl Custody {
    pub fn signalled(&mut self, id: InstanceId, signal: Signal) {
        if matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGKILL) {
            self.ending.insert(id);
        }
    }
}

impl Keeper {
    /// Puts everything back, and looks whether that was all: who was struck in the last moment may die only now.
    /// What was done, and, where that was not enough, what is missing.
    pub async fn make_whole(self: &Arc<Self>) -> (Vec<String>, Result<(), String>) {
        let (mut done, mut whole) = (Vec::new(), Ok(()));
        for _ in 0..TRIES {
            done.extend(self.restore().await);
            whole = self.whole().await;
            if whole.is_ok() {
                break;
            }
        }
        (done, whole)
    }

    /// Acts that are under way end first.
    async fn restore(self: &Arc<Self>) -> Vec<String> {
        let _alone = self.acts.write().await;
        self.bury().await;
        let Custody { holds, ending } = std::mem::take(&mut *lock(&self.custody));
        let mut done = self.thaw();
        done.extend(self.release(holds).await);
        done.extend(self.end(self.living(|instance| ending.contains(&instance.id)), "was told to end").await);
        done.extend(self.end(self.living(|instance| self.is_surplus(instance)), "is not the lab's").await);
        done.extend(self.fill().await);
        done
    }

    /// Whether everyone is there and ready, by a probe of now; otherwise who is not.
    async fn whole(self: &Arc<Self>) -> Result<(), String> {
        let mut probes = JoinSet::new();
        for slot in &self.plan.slots {
            let instance = self.processes().in_slot(slot).ok_or_else(|| format!("nobody fills its slot {slot}"))?;
            probes.spawn(self.clone().is_ready(instance));
        }
        while let Some(ready) = probes.join_next().await {
            ready.expect("a probe does not panic")?;
        }
        Ok(())
    }

    async fn is_ready(self: Arc<Self>, instance: Instance) -> Result<(), String> {
        let probe = &self.plan.probe;
        let ready = self.processes().probed(instance.id, (probe.interval + probe.timeout) * 5).await;
        if ready.unwrap_or(false) { Ok(()) } else { Err(format!("{} is not ready", instance.name)) }
    }

    /// Waits for the news of those who are dead already.
    async fn bury(&self) {
        for Instance { id, .. } in self.living(Instance::is_gone) {
            // One that does not come is found not ready.
            let _ = self.processes().exited(id, KILL_PATIENCE).await;
        }
    }

    fn living(&self, which: impl Fn(&Instance) -> bool) -> Vec<Instance> {
        self.deployment.alive().into_iter().filter(which).collect()
    }

    /// In a slot that the lab does not have, or older than another one in its slot.
    fn is_surplus(&self, instance: &Instance) -> bool {
        let newest = self.processes().in_slot(&instance.slot);
        !self.plan.slots.contains(&instance.slot) || newest.is_some_and(|newest| newest.id != instance.id)
    }

    /// First of all: who is frozen answers nothing.
    fn thaw(&self) -> Vec<String> {
        let frozen = self.living(Instance::is_frozen);
        let thawed =
            frozen.into_iter().map(|Instance { id, name, .. }| match self.processes().signal(id, Signal::SIGCONT) {
                Ok(()) => format!("{name} was frozen, and goes on"),
                Err(e) => format!("{name} is frozen: failed to {e}"),
            });
        thawed.collect()
    }

    async fn release(&self, holds: BTreeSet<(InstanceId, PausePoint)>) -> Vec<String> {
        let mut done = Vec::new();
        for (id, point) in holds {
            let Some(held) = self.living(|instance| instance.id == id).pop() else { continue };
            done.push(match self.processes().release(id, point).await {
                Ok(()) => format!("{} was held at {}, and goes on", held.name, point.word()),
                Err(e) => format!("{} is held at {}: failed to {e}", held.name, point.word()),
            });
        }
        done
    }

    async fn end(&self, instances: Vec<Instance>, why: &str) -> Vec<String> {
        let mut done = Vec::new();
        for Instance { id, name, .. } in instances {
            let mut how = "did not end";
            for (signal, grace) in [(Signal::SIGTERM, self.plan.grace), (Signal::SIGKILL, KILL_PATIENCE)] {
                // One that has ended already is what we want.
                let _ = self.processes().signal(id, signal);
                if let Ok(Some(_)) = self.processes().exited(id, grace).await {
                    how = if signal == Signal::SIGTERM { "ended" } else { "was killed after the grace" };
                    break;
                }
            }
            done.push(format!("{name} {why}, and {how}"));
        }
        done
    }

    async fn fill(self: &Arc<Self>) -> Vec<String> {
        let empty: Vec<Slot> =
            self.plan.slots.iter().filter(|slot| self.processes().in_slot(slot).is_none()).cloned().collect();
        let mut done = Vec::new();
        for slot in empty {
            done.push(match self.processes().start(&slot).await {
                Ok(instance) => format!("{slot} was empty, and {} fills it", instance.name),
                Err(e) => format!("{slot} is empty: failed to {e}"),
            });
            self.follow_newcomers();
        }
        done
    }
}
