//! Faults that are reported and not done, or done to somebody else.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use super::Parts;
use super::twisted::{Twist, processes_of, twisted};
use crate::backends::database_control::Change as OfDatabase;
use crate::backends::redis_control::Change;
use crate::backends::{ControlError, DatabaseControl, Deployment, Instance, InstanceId, ProcessControl, RedisControl};
use crate::plan::Slot;

/// Every signal is swallowed, every change and toxic forgotten, every start gives a process that was there before; and
/// all of it is reported as done.
pub(super) struct DoesNothing;

impl Parts for DoesNothing {
    fn target(&self, target: Box<dyn Deployment>) -> Box<dyn Deployment> {
        twisted(target, Nothing::default())
    }
}

#[derive(Default)]
struct Nothing {
    /// Instances that were reported and are not there, and who lends each its process.
    phantoms: Mutex<BTreeMap<InstanceId, InstanceId>>,
}

impl Nothing {
    fn phantoms(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceId, InstanceId>> {
        self.phantoms.lock().expect("no code panics while it holds the phantoms")
    }
}

#[async_trait]
impl Twist for Nothing {
    fn whom(&self, _inner: &dyn Deployment, meant: InstanceId) -> Result<InstanceId, ControlError> {
        Ok(self.phantoms().get(&meant).copied().unwrap_or(meant))
    }

    async fn start(&self, inner: &dyn Deployment, slot: &Slot) -> Result<Instance, ControlError> {
        if let Some(there) = processes_of(inner).in_slot(slot) {
            return Ok(there);
        }
        let mut living = inner.alive();
        living.sort_by_key(|instance| instance.slot.role != slot.role);
        let lender = living.into_iter().next().ok_or_else(|| ControlError::EmptySlot(slot.to_string()))?;
        let mut phantoms = self.phantoms();
        let id = InstanceId(InstanceId::NONE.0 - 1 - phantoms.len() as u16);
        phantoms.insert(id, lender.id);
        Ok(Instance { id, name: format!("{slot}.0"), slot: slot.clone(), ..lender })
    }

    fn signal(&self, _inner: &dyn ProcessControl, _id: InstanceId, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    async fn frozen(
        &self,
        _inner: &dyn ProcessControl,
        _id: InstanceId,
        _within: Duration,
    ) -> Result<(), ControlError> {
        Ok(())
    }

    fn signal_redis(&self, _inner: &dyn RedisControl, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    async fn redis_frozen(&self, _inner: &dyn RedisControl, _within: Duration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change(&self, _inner: &dyn RedisControl, _change: &Change) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change_back(&self, _inner: &dyn RedisControl, _change: &Change) -> Result<(), ControlError> {
        Ok(())
    }

    fn signal_database(&self, _inner: &dyn DatabaseControl, _signal: Signal) -> Result<(), ControlError> {
        Ok(())
    }

    fn end_database(&self, _inner: &dyn DatabaseControl) -> Result<(), ControlError> {
        Ok(())
    }

    async fn database_frozen(&self, _inner: &dyn DatabaseControl, _within: Duration) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change_database(&self, _inner: &dyn DatabaseControl, _change: &OfDatabase) -> Result<(), ControlError> {
        Ok(())
    }

    async fn change_database_back(
        &self,
        _inner: &dyn DatabaseControl,
        _change: &OfDatabase,
    ) -> Result<(), ControlError> {
        Ok(())
    }
}

/// Whatever is meant for an instance strikes another one, and is looked at there.
pub(super) struct WrongTarget;

impl Parts for WrongTarget {
    fn target(&self, target: Box<dyn Deployment>) -> Box<dyn Deployment> {
        twisted(target, Decoys::default())
    }
}

#[derive(Default)]
struct Decoys {
    /// Who stands in for whom, once and for all.
    decoys: Mutex<BTreeMap<InstanceId, InstanceId>>,
}

impl Twist for Decoys {
    /// One of the same role, if there is one.
    fn whom(&self, inner: &dyn Deployment, meant: InstanceId) -> Result<InstanceId, ControlError> {
        let mut decoys = self.decoys.lock().expect("no code panics while it holds the decoys");
        if let Some(decoy) = decoys.get(&meant) {
            return Ok(*decoy);
        }
        let roster = inner.roster();
        let role = roster.iter().find(|instance| instance.id == meant).map(|instance| instance.slot.role);
        let mut others = inner.alive();
        others.retain(|instance| instance.id != meant);
        others.sort_by_key(|instance| Some(instance.slot.role) != role);
        let decoy = others.first().ok_or_else(|| ControlError::EmptySlot("any other slot".to_owned()))?.id;
        decoys.insert(meant, decoy);
        Ok(decoy)
    }
}
