//! Whose clock is wrong, and by how much.

use crate::plan::{ClockOffset, Slot, Strategy};
use crate::scenario::{ClockLine, Entry, Target};

use super::Remarks;
use super::filled::Named;

/// In the order of the slots. A buffer in memory has no workers, and theirs fall away.
pub fn resolve(target: &Target, slots: &[Slot], strategy: Strategy, remarks: &mut Remarks) -> Vec<ClockOffset> {
    let Entry::Given(lines) = &target.clock_offset else { return Vec::new() };
    let lines = &lines.value;
    let mut offsets: Vec<ClockOffset> = lines.iter().filter_map(|line| one(line, slots, strategy, remarks)).collect();
    offsets.sort_by(|a, b| a.slot.cmp(&b.slot));
    offsets
}

fn one(line: &ClockLine, slots: &[Slot], strategy: Strategy, remarks: &mut Remarks) -> Option<ClockOffset> {
    let ClockLine { slot: named, ahead } = line;
    let found = slots.iter().find(|slot| slot.to_string() == named.value.0);
    if let Some(slot) = found {
        return Some(ClockOffset { slot: slot.clone(), ahead_ms: ahead.value.0 });
    }
    if !strategy.shared() && Named::parse(&named.value.0).is_some() {
        let slot = &named.value.0;
        remarks.note(format!("the clock of {slot} is left out: with strategy in-memory there is no such instance"));
        return None;
    }
    let known: Vec<String> = slots.iter().map(Slot::to_string).collect();
    let message = format!("`{}` is no instance of this target", named.value.0);
    remarks.problem(&named.place, message, format!("it has {}", known.join(", ")));
    None
}
