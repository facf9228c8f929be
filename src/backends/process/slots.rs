//! Who fills which slot, and everyone who ever did.

use super::Handle;
use crate::backends::{Instance, InstanceId};
use crate::plan::Slot;

#[derive(Default)]
pub(super) struct Slots {
    /// Every life that was announced, by id; `None` until (or unless) it came up.
    lives: Vec<(Slot, Option<Handle>)>,
}

impl Slots {
    /// The next id, and the name of the slot's next life: `api-2.3`.
    pub fn announce(&mut self, slot: &Slot) -> (InstanceId, String) {
        let life = 1 + self.lives.iter().filter(|(s, _)| s == slot).count();
        let id = InstanceId(u16::try_from(self.lives.len()).expect("a run has fewer than 65,535 instances"));
        self.lives.push((slot.clone(), None));
        (id, format!("{slot}.{life}"))
    }

    pub fn fill(&mut self, handle: Handle) {
        let id = usize::from(handle.instance.id.0);
        self.lives[id].1 = Some(handle);
    }

    pub fn handle(&self, id: InstanceId) -> Option<Handle> {
        self.lives.get(usize::from(id.0))?.1.clone()
    }

    /// The newest living instance of a slot.
    pub fn in_slot(&self, slot: &Slot) -> Option<Instance> {
        self.living().into_iter().rev().map(|h| h.instance).find(|i| i.slot == *slot)
    }

    pub fn living(&self) -> Vec<Handle> {
        self.lives.iter().filter_map(|(_, h)| h.clone()).filter(|h| h.exit.borrow().is_none()).collect()
    }

    pub fn roster(&self) -> Vec<Instance> {
        self.lives.iter().filter_map(|(_, h)| h.as_ref().map(|h| h.instance.clone())).collect()
    }
}
