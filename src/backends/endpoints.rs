//! Which instances get requests: the routing table that a load balancer would keep.
//!
//! The backend's prober writes it (readiness, every probe), the load generator reads it (and ejects an instance at
//! once on a refused connect, EOF or reset). An ejected instance comes back with the first good probe that *began*
//! after the ejection: an answer already under way says nothing about now.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::InstanceId;
use crate::clock::Offset;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub id: InstanceId,
    pub addr: SocketAddr,
}

/// An instance leaving the rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    pub id: InstanceId,
    pub at: Offset,
    /// `probe`, `refused`, `eof`, `reset`, `stopped`.
    pub why: String,
}

/// The shared table. Clones see the same one.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    table: Mutex<Table>,
    version: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    /// Nothing takes an instance out.
    fixed: bool,
    members: Vec<Member>,
    in_rotation: Arc<[Endpoint]>,
    ejections: Vec<Ejection>,
}

#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    ready: bool,
    ejected_at: Option<Offset>,
}

impl Endpoints {
    /// One instance that stays in rotation, whatever becomes of its connections: where there is no other, and nobody
    /// probes, whoever asks next finds out.
    pub fn fixed(endpoint: Endpoint) -> Endpoints {
        let table = Endpoints::default();
        table.change(|t| {
            t.fixed = true;
            t.members.push(Member { endpoint, ready: true, ejected_at: None });
        });
        table
    }

    /// Rises with every change: a reader compares before it takes a new snapshot.
    pub fn version(&self) -> u64 {
        self.inner.version.load(Ordering::Acquire)
    }

    /// The instances in rotation, in starting order.
    pub fn in_rotation(&self) -> Arc<[Endpoint]> {
        self.lock().in_rotation.clone()
    }

    /// A new instance, not in rotation until its first good probe.
    pub fn add(&self, endpoint: Endpoint) {
        self.change(|t| t.members.push(Member { endpoint, ready: false, ejected_at: None }));
    }

    /// The instance is gone for good.
    pub fn remove(&self, id: InstanceId, at: Offset) {
        self.change(|t| {
            t.eject(id, at, "stopped");
            t.members.retain(|m| m.endpoint.id != id);
        });
    }

    /// A probe that began at `began` and ended at `ended` found the instance ready or not.
    pub fn probed(&self, id: InstanceId, ready: bool, began: Offset, ended: Offset) {
        self.change(|t| {
            if !ready {
                return t.eject(id, ended, "probe");
            }
            if let Some(m) = t.members.iter_mut().find(|m| m.endpoint.id == id)
                && m.ejected_at.is_none_or(|at| began > at)
            {
                m.ready = true;
                m.ejected_at = None;
            }
        });
    }

    /// A request found the instance gone: out of rotation at once.
    pub fn eject(&self, id: InstanceId, at: Offset, why: &str) {
        self.change(|t| t.eject(id, at, why));
    }

    /// Every ejection so far, in order.
    pub fn ejections(&self) -> Vec<Ejection> {
        self.lock().ejections.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.inner.table.lock().expect("no code panics while it holds the routing table")
    }

    fn change(&self, act: impl FnOnce(&mut Table)) {
        let mut table = self.lock();
        act(&mut table);
        let now: Vec<Endpoint> = table.members.iter().filter(|m| m.ready).map(|m| m.endpoint.clone()).collect();
        if *now != *table.in_rotation {
            table.in_rotation = now.into();
            self.inner.version.fetch_add(1, Ordering::Release);
        }
    }
}

impl Table {
    fn eject(&mut self, id: InstanceId, at: Offset, why: &str) {
        if self.fixed {
            return;
        }
        let Some(m) = self.members.iter_mut().find(|m| m.endpoint.id == id) else { return };
        m.ejected_at = Some(at);
        if std::mem::replace(&mut m.ready, false) {
            self.ejections.push(Ejection { id, at, why: why.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_with(ready: bool) -> (Endpoints, InstanceId) {
        let (table, id) = (Endpoints::default(), InstanceId(7));
        table.add(Endpoint { id, addr: "127.0.0.1:1".parse().unwrap() });
        table.probed(id, ready, Offset(1), Offset(2));
        (table, id)
    }

    #[test]
    fn nothing_takes_a_fixed_instance_out() {
        let id = InstanceId(7);
        let table = Endpoints::fixed(Endpoint { id, addr: "127.0.0.1:1".parse().unwrap() });
        table.eject(id, Offset(1), "refused");
        table.probed(id, false, Offset(2), Offset(3));
        assert_eq!((table.in_rotation().len(), table.ejections().len()), (1, 0));
    }

    #[test]
    fn an_instance_joins_with_its_first_good_probe() {
        assert_eq!(table_with(false).0.in_rotation().len(), 0);
        assert_eq!(table_with(true).0.in_rotation().len(), 1);
    }

    #[test]
    fn a_probe_that_was_under_way_does_not_undo_an_ejection() {
        let (table, id) = table_with(true);
        table.eject(id, Offset(10), "reset");
        table.probed(id, true, Offset(9), Offset(11));
        assert_eq!(table.in_rotation().len(), 0);
        table.probed(id, true, Offset(12), Offset(13));
        assert_eq!(table.in_rotation().len(), 1);
    }

    #[test]
    fn only_a_change_of_the_rotation_raises_the_version_and_only_the_first_ejection_is_noted() {
        let (table, id) = table_with(true);
        let before = table.version();
        table.probed(id, true, Offset(3), Offset(4));
        assert_eq!(table.version(), before);
        table.eject(id, Offset(5), "eof");
        table.eject(id, Offset(6), "reset");
        assert_eq!(table.version(), before + 1);
        assert_eq!(table.ejections(), [Ejection { id, at: Offset(5), why: "eof".into() }]);
    }
}
