//! A scale step: from the number that there are at its point of the time line to the one that is asked for.

use crate::plan::{Role, Slot, StartPlan, StopPlan};
use crate::scenario::{Entry, StepFields};

use super::Remarks;
use super::filled::{Filled, Named};
use super::stops;
use super::target::INSTANCES_MAX;
use super::timeline::{Around, Asked};

/// Slots that are filled, or, from the highest number down, stops without a replacement.
pub fn resolve(
    asked: &Asked<'_>,
    around: &Around<'_>,
    filled: &mut Filled<'_>,
    remarks: &mut Remarks,
) -> (Vec<StartPlan>, Vec<StopPlan>) {
    let to = to(asked.fields, remarks);
    let Some((role, to)) = role(asked, filled, remarks).zip(to) else { return Default::default() };
    let slot = |number| Slot { role, number };
    let now = filled.count(role);
    if let (true, Some(place)) = (now == to && filled.known(), asked.fields.to.place()) {
        let message = format!("there are {now} {} instances at this point of the time line already", role.word());
        remarks.problem(place, message, "write another number, or leave the step out");
    }
    let added: Vec<Slot> = (now + 1..=to).map(slot).collect();
    let removed: Vec<Slot> = (to + 1..=now).rev().map(slot).collect();
    filled.change(&added, &removed);
    let start = |slot: Slot| StartPlan { id: format!("{}/{slot}", asked.id), slot };
    (added.into_iter().map(start).collect(), stops::resolve(asked, removed, around, remarks))
}

fn to(fields: &StepFields, remarks: &mut Remarks) -> Option<u16> {
    if fields.to == Entry::Absent {
        remarks.problem(&fields.place, "nothing says how many instances there shall be", "write `to: 3`");
    }
    let to = fields.to.given()?.value.0;
    let read = remarks.count("instances", &fields.to, 1..=INSTANCES_MAX, 0) as u16;
    (u64::from(read) == to).then_some(read)
}

/// The answering role, where the step names none; `None`: it falls away, or is none.
fn role(asked: &Asked<'_>, filled: &Filled<'_>, remarks: &mut Remarks) -> Option<Role> {
    let Entry::Given(words) = &asked.fields.of else {
        return asked.fields.of.is_readable().then(|| filled.role(Role::Api));
    };
    let one = || words.value.first().filter(|_| words.value.len() == 1);
    let named = one().and_then(|word| Named::parse(&word.value.0));
    let Some(Named { role, number: None }) = named else {
        remarks.problem(&words.place, "a scale step changes the number of one role", "write `of: api` or `of: worker`");
        return None;
    };
    if filled.falls_away(role) {
        remarks.note(format!("{} scales no workers: with strategy in-memory there are none", asked.id));
        return None;
    }
    Some(filled.role(role))
}
