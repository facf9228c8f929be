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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::super::control::Control;
    use super::*;
    use crate::backends::Exit;
    use crate::backends::prober::Probe;
    use crate::clock::Offset;
    use crate::plan::Role;
    use crate::process::ProcessIdentity;

    fn slot(number: u16) -> Slot {
        Slot { role: Role::Api, number }
    }

    /// The slot's next life, and who tells of its end.
    fn live(slots: &mut Slots, slot: &Slot) -> (InstanceId, watch::Sender<Option<Exit>>) {
        let (id, name) = slots.announce(slot);
        let (process, addr) = (ProcessIdentity { pid: 1, start_ticks: 1 }, "127.0.0.1:1".parse().unwrap());
        let (tell, exit) = watch::channel(None);
        let over = CancellationToken::new();
        let socket = UnixStream::pair().unwrap().0;
        slots.fill(Handle {
            instance: Instance { id, name, slot: slot.clone(), process: Some(process), addr },
            process,
            control: Arc::new(Control::new(socket, &mut JoinSet::new(), over.clone())),
            exit,
            probe: watch::channel(Probe::default()).1,
            over,
        });
        (id, tell)
    }

    #[tokio::test]
    async fn a_replacement_is_another_instance_and_fills_the_slot_at_once() {
        let mut slots = Slots::default();
        let (old, old_ends) = live(&mut slots, &slot(1));
        let (new, _new_ends) = live(&mut slots, &slot(1));
        assert_eq!((old, new), (InstanceId(0), InstanceId(1)));
        assert_eq!(slots.in_slot(&slot(1)).unwrap().name, "api-1.2", "the newest of two that live");
        old_ends.send(Some(Exit { at: Offset::ZERO, code: Some(0), signal: None })).unwrap();
        assert_eq!(slots.living().len(), 1);
        let names: Vec<_> = slots.roster().into_iter().map(|instance| instance.name).collect();
        assert_eq!(names, ["api-1.1", "api-1.2"], "the roster keeps the dead");
    }

    #[tokio::test]
    async fn a_life_that_never_came_up_takes_its_id_and_its_name_with_it() {
        let mut slots = Slots::default();
        slots.announce(&slot(1));
        assert!(slots.in_slot(&slot(1)).is_none() && slots.handle(InstanceId(0)).is_none());
        let (id, _ends) = live(&mut slots, &slot(1));
        assert_eq!((id, slots.handle(id).unwrap().instance.name.as_str()), (InstanceId(1), "api-1.2"));
        assert!(slots.in_slot(&slot(2)).is_none());
    }
}
