//! A target around another one: what is not twisted goes through.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use crate::backends::database_control::Change as OfDatabase;
use crate::backends::proxy::Passed;
use crate::backends::redis_control::{Change, Sentinel};
use crate::backends::{
    ControlError, DatabaseControl, DatabaseSource, Deployment, DownError, Endpoints, Exit, Instance, InstanceId,
    ProcessControl, ProcessIdentity, RedisControl, Sources,
};
use crate::plan::{PausePoint, Slot};

/// What becomes of the acts of a time line.
#[async_trait]
pub(super) trait Twist: Send + Sync {
    /// Who is acted on, and looked at, in place of whom.
    fn whom(&self, _inner: &dyn Deployment, meant: InstanceId) -> Result<InstanceId, ControlError> {
        Ok(meant)
    }

    async fn start(&self, inner: &dyn Deployment, slot: &Slot) -> Result<Instance, ControlError> {
        processes_of(inner).start(slot).await
    }

    fn signal(&self, inner: &dyn ProcessControl, id: InstanceId, signal: Signal) -> Result<(), ControlError> {
        inner.signal(id, signal)
    }

    async fn frozen(&self, inner: &dyn ProcessControl, id: InstanceId, within: Duration) -> Result<(), ControlError> {
        inner.frozen(id, within).await
    }

    fn signal_redis(&self, inner: &dyn RedisControl, signal: Signal) -> Result<(), ControlError> {
        inner.signal(signal)
    }

    async fn redis_frozen(&self, inner: &dyn RedisControl, within: Duration) -> Result<(), ControlError> {
        inner.frozen(within).await
    }

    async fn change(&self, inner: &dyn RedisControl, change: &Change) -> Result<(), ControlError> {
        inner.change(change).await
    }

    async fn change_back(&self, inner: &dyn RedisControl, change: &Change) -> Result<(), ControlError> {
        inner.change_back(change).await
    }

    fn signal_database(&self, inner: &dyn DatabaseControl, signal: Signal) -> Result<(), ControlError> {
        inner.signal(signal)
    }

    fn end_database(&self, inner: &dyn DatabaseControl) -> Result<(), ControlError> {
        inner.end_in_order()
    }

    async fn database_frozen(&self, inner: &dyn DatabaseControl, within: Duration) -> Result<(), ControlError> {
        inner.frozen(within).await
    }

    async fn change_database(&self, inner: &dyn DatabaseControl, change: &OfDatabase) -> Result<(), ControlError> {
        inner.change(change).await
    }

    async fn change_database_back(&self, inner: &dyn DatabaseControl, change: &OfDatabase) -> Result<(), ControlError> {
        inner.change_back(change).await
    }
}

struct Twisted<T> {
    inner: Box<dyn Deployment>,
    twist: T,
}

pub(super) fn twisted(inner: Box<dyn Deployment>, twist: impl Twist + 'static) -> Box<dyn Deployment> {
    Box::new(Twisted { inner, twist })
}

/// For those who are asked only where the target has them.
pub(super) fn processes_of(target: &dyn Deployment) -> &dyn ProcessControl {
    target.processes().expect("whoever starts and signals asked for the control before")
}

impl<T: Twist> Twisted<T> {
    fn own_redis(&self) -> &dyn RedisControl {
        self.inner.redis().expect("whoever strikes Redis asked for the control before")
    }

    fn own_database(&self) -> &dyn DatabaseControl {
        self.inner.database().expect("whoever strikes the database asked for the control before")
    }

    /// The controls, and whom they are to act on.
    fn on(&self, meant: InstanceId) -> Result<(&dyn ProcessControl, InstanceId), ControlError> {
        Ok((processes_of(&*self.inner), self.twist.whom(&*self.inner, meant)?))
    }
}

#[async_trait]
impl<T: Twist> Deployment for Twisted<T> {
    fn endpoints(&self) -> &Endpoints {
        self.inner.endpoints()
    }

    fn sources(&self) -> Sources {
        self.inner.sources()
    }

    fn roster(&self) -> Vec<Instance> {
        self.inner.roster()
    }

    fn alive(&self) -> Vec<Instance> {
        self.inner.alive()
    }

    fn processes(&self) -> Option<&dyn ProcessControl> {
        self.inner.processes().map(|_| self as &dyn ProcessControl)
    }

    fn redis(&self) -> Option<&dyn RedisControl> {
        self.inner.redis().map(|_| self as &dyn RedisControl)
    }

    fn database(&self) -> Option<&dyn DatabaseControl> {
        self.inner.database().map(|_| self as &dyn DatabaseControl)
    }

    async fn down(&self, grace: Duration) -> Result<(), DownError> {
        self.inner.down(grace).await
    }

    fn remarks(&self) -> Vec<String> {
        self.inner.remarks()
    }
}

#[async_trait]
impl<T: Twist> ProcessControl for Twisted<T> {
    fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        processes_of(&*self.inner).in_slot(slot)
    }

    async fn start(&self, slot: &Slot) -> Result<Instance, ControlError> {
        self.twist.start(&*self.inner, slot).await
    }

    fn signal(&self, id: InstanceId, signal: Signal) -> Result<(), ControlError> {
        let (inner, id) = self.on(id)?;
        self.twist.signal(inner, id, signal)
    }

    async fn frozen(&self, id: InstanceId, within: Duration) -> Result<(), ControlError> {
        let (inner, id) = self.on(id)?;
        self.twist.frozen(inner, id, within).await
    }

    async fn exited(&self, id: InstanceId, within: Duration) -> Result<Option<Exit>, ControlError> {
        let (inner, id) = self.on(id)?;
        inner.exited(id, within).await
    }

    async fn probed(&self, id: InstanceId, within: Duration) -> Result<bool, ControlError> {
        let (inner, id) = self.on(id)?;
        inner.probed(id, within).await
    }

    async fn hold(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError> {
        let (inner, id) = self.on(id)?;
        inner.hold(id, point).await
    }

    async fn held(&self, id: InstanceId, point: PausePoint, within: Duration) -> Result<Option<u64>, ControlError> {
        let (inner, id) = self.on(id)?;
        inner.held(id, point, within).await
    }

    async fn release(&self, id: InstanceId, point: PausePoint) -> Result<(), ControlError> {
        let (inner, id) = self.on(id)?;
        inner.release(id, point).await
    }
}

#[async_trait]
impl<T: Twist> RedisControl for Twisted<T> {
    fn process(&self) -> ProcessIdentity {
        self.own_redis().process()
    }

    fn addr(&self) -> SocketAddr {
        self.own_redis().addr()
    }

    fn replica(&self) -> Option<SocketAddr> {
        self.own_redis().replica()
    }

    async fn sentinels(&self) -> Vec<Sentinel> {
        self.own_redis().sentinels().await
    }

    fn proxy(&self) -> Option<SocketAddr> {
        self.own_redis().proxy()
    }

    fn passed(&self) -> Passed {
        self.own_redis().passed()
    }

    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        self.twist.signal_redis(self.own_redis(), signal)
    }

    async fn frozen(&self, within: Duration) -> Result<(), ControlError> {
        self.twist.redis_frozen(self.own_redis(), within).await
    }

    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError> {
        self.own_redis().exited(within).await
    }

    async fn start(&self) -> Result<(), ControlError> {
        self.own_redis().start().await
    }

    async fn change(&self, change: &Change) -> Result<(), ControlError> {
        self.twist.change(self.own_redis(), change).await
    }

    async fn change_back(&self, change: &Change) -> Result<(), ControlError> {
        self.twist.change_back(self.own_redis(), change).await
    }
}

#[async_trait]
impl<T: Twist> DatabaseControl for Twisted<T> {
    fn source(&self) -> DatabaseSource {
        self.own_database().source()
    }

    fn proxied(&self) -> Option<DatabaseSource> {
        self.own_database().proxied()
    }

    fn passed(&self) -> Passed {
        self.own_database().passed()
    }

    fn room(&self) -> Option<PathBuf> {
        self.own_database().room()
    }

    fn processes(&self) -> Vec<ProcessIdentity> {
        self.own_database().processes()
    }

    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        self.twist.signal_database(self.own_database(), signal)
    }

    fn end_in_order(&self) -> Result<(), ControlError> {
        self.twist.end_database(self.own_database())
    }

    async fn frozen(&self, within: Duration) -> Result<(), ControlError> {
        self.twist.database_frozen(self.own_database(), within).await
    }

    async fn exited(&self, within: Duration) -> Result<Option<Exit>, ControlError> {
        self.own_database().exited(within).await
    }

    async fn start(&self) -> Result<(), ControlError> {
        self.own_database().start().await
    }

    async fn connections(&self) -> Result<BTreeSet<String>, ControlError> {
        self.own_database().connections().await
    }

    async fn change(&self, change: &OfDatabase) -> Result<(), ControlError> {
        self.twist.change_database(self.own_database(), change).await
    }

    async fn change_back(&self, change: &OfDatabase) -> Result<(), ControlError> {
        self.twist.change_database_back(self.own_database(), change).await
    }
}
