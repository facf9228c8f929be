//! A deployment whose controls say yes and do nothing: every signal is swallowed, every start gives the process that
//! was there before.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use mxctl::backends::{
    ControlError, DatabaseSource, Deployment, DownError, Endpoints, Exit, Instance, InstanceId, ProcessControl,
    QueueSource, Sources,
};
use mxctl::plan::{PausePoint, Plan, Slot};
use mxctl::process::ProcessIdentity;
use nix::sys::signal::Signal;

pub struct Powerless {
    endpoints: Endpoints,
    sources: Sources,
    instances: Vec<Instance>,
}

impl Powerless {
    /// One instance a slot: all of them are the test's own process, which outlives any stop.
    pub fn new(plan: &Plan, database: &Path) -> Powerless {
        let process = ProcessIdentity::of(std::process::id() as i32).expect("this process is alive");
        let instance = |(id, slot): (usize, &Slot)| Instance {
            id: InstanceId(id as u16),
            name: format!("{slot}.1"),
            slot: slot.clone(),
            process: Some(process),
            addr: ([127, 0, 0, 1], 1).into(),
        };
        Powerless {
            endpoints: Endpoints::default(),
            sources: Sources { database: DatabaseSource::File(database.to_owned()), queue: QueueSource::Private },
            instances: plan.target.slots.iter().enumerate().map(instance).collect(),
        }
    }
}

#[async_trait]
impl Deployment for Powerless {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn sources(&self) -> &Sources {
        &self.sources
    }

    fn roster(&self) -> Vec<Instance> {
        self.instances.clone()
    }

    fn alive(&self) -> Vec<Instance> {
        self.instances.clone()
    }

    fn processes(&self) -> Option<&dyn ProcessControl> {
        Some(self)
    }

    async fn down(&self, _grace: Duration) -> Result<(), DownError> {
        Ok(())
    }
}

#[async_trait]
impl ProcessControl for Powerless {
    fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        self.instances.iter().find(|instance| instance.slot == *slot).cloned()
    }

    async fn start(&self, slot: &Slot) -> Result<Instance, ControlError> {
        self.in_slot(slot).ok_or_else(|| ControlError::EmptySlot(slot.to_string()))
    }

    fn signal(&self, _id: InstanceId, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    async fn frozen(&self, _id: InstanceId, _within: Duration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn exited(&self, _id: InstanceId, _within: Duration) -> Result<Option<Exit>, ControlError> {
        Ok(None)
    }

    async fn probed(&self, _id: InstanceId, _within: Duration) -> Result<bool, ControlError> {
        // It never goes off: take the time that a probe takes.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(true)
    }

    async fn hold(&self, _id: InstanceId, _point: PausePoint) -> Result<(), ControlError> {
        Ok(())
    }

    async fn held(&self, _id: InstanceId, _point: PausePoint, _within: Duration) -> Result<Option<u64>, ControlError> {
        Ok(Some(1))
    }

    async fn release(&self, _id: InstanceId, _point: PausePoint) -> Result<(), ControlError> {
        Ok(())
    }
}
