//! Which slots are filled at a point of the time line, and whom a step strikes of them: from the words after `of` to
//! slots.
//!
//! A role means each of its slots for a rolling update, and its first slot for every other step. With a buffer in
//! memory every instance is both api and worker: `api` then means `all`, and what is asked of workers falls away with
//! a note.

use crate::plan::{Role, Slot, StepKind, Strategy, TargetPlan};
use crate::scenario::{Entry, Located, StepFields, Target, Word, nearest};

use super::Remarks;

pub struct Filled<'a> {
    plan: &'a TargetPlan,
    slots: Vec<Slot>,
    /// Whether the numbers of instances and the strategy could be read: if not, no slot is called unknown.
    known: bool,
}

/// `api`, `api-2`.
#[derive(Clone, Copy)]
pub struct Named {
    pub role: Role,
    pub number: Option<u16>,
}

impl<'a> Filled<'a> {
    pub fn at_the_start(written: &Target, plan: &'a TargetPlan) -> Self {
        let numbers = written.instances.is_readable() && written.workers.is_readable();
        // A strategy that does not exist was replaced by the default.
        let strategy = written.strategy.given().is_none_or(|word| word.value.0 == plan.strategy.word());
        let known = numbers && strategy && written.strategy.is_readable();
        Filled { plan, slots: plan.slots.clone(), known }
    }

    pub fn known(&self) -> bool {
        self.known
    }

    pub fn count(&self, role: Role) -> u16 {
        self.slots.iter().filter(|slot| slot.role == role).count() as u16
    }

    /// What a scale step makes of it.
    pub fn change(&mut self, added: &[Slot], removed: &[Slot]) {
        self.slots.retain(|slot| !removed.contains(slot));
        self.slots.extend_from_slice(added);
    }

    /// The role that a word means: with a buffer in memory there is only one.
    pub fn role(&self, word: Role) -> Role {
        if self.in_memory() && word == Role::Api { Role::All } else { word }
    }

    pub fn falls_away(&self, role: Role) -> bool {
        self.in_memory() && role == Role::Worker
    }

    /// In the order of the words; slots of one role ascending.
    pub fn victims(&self, step: &str, kind: StepKind, fields: &StepFields, remarks: &mut Remarks) -> Vec<Slot> {
        let words = match (&fields.of, kind) {
            (Entry::Given(words), _) if !words.value.is_empty() => &words.value,
            (Entry::Unreadable, _) => return Vec::new(),
            (Entry::Absent, StepKind::RollingUpdate) => return self.everybody(step, remarks),
            (Entry::Given(_) | Entry::Absent, _) => {
                let place = fields.of.place().unwrap_or(&fields.place);
                remarks.problem(
                    place,
                    "nothing says what this step strikes",
                    "write `of: [api, worker]` or `of: api-2`",
                );
                return Vec::new();
            }
        };
        let mut struck = Vec::new();
        for word in words {
            for slot in self.named(step, kind, word, remarks) {
                if struck.contains(&slot) {
                    remarks.problem(&word.place, format!("{slot} is struck twice in one step"), "name it once");
                } else {
                    struck.push(slot);
                }
            }
        }
        struck
    }

    fn everybody(&self, step: &str, remarks: &mut Remarks) -> Vec<Slot> {
        let roles = [Role::Api, Role::Worker].map(|role| Named { role, number: None });
        roles.iter().flat_map(|named| self.slots_of(step, StepKind::RollingUpdate, *named, remarks)).collect()
    }

    fn named(&self, step: &str, kind: StepKind, word: &Located<Word>, remarks: &mut Remarks) -> Vec<Slot> {
        let text = word.value.0.as_str();
        let Some(named) = Named::parse(text) else {
            remarks.problem(&word.place, format!("`{text}` is neither a role nor a slot"), self.remedy(text));
            return Vec::new();
        };
        let slots = self.slots_of(step, kind, named, remarks);
        if slots.is_empty() && self.known && !self.falls_away(named.role) {
            remarks.problem(&word.place, format!("this plan has no `{text}`{}", self.then()), self.remedy(text));
        }
        slots
    }

    fn slots_of(&self, step: &str, kind: StepKind, named: Named, remarks: &mut Remarks) -> Vec<Slot> {
        if self.falls_away(named.role) {
            remarks.note(format!("{step} strikes no workers: with strategy in-memory there are none"));
            return Vec::new();
        }
        let role = self.role(named.role);
        let number = named.number.or((kind != StepKind::RollingUpdate).then_some(1));
        let fits = |slot: &&Slot| slot.role == role && number.is_none_or(|n| slot.number == n);
        self.slots.iter().filter(fits).cloned().collect()
    }

    fn in_memory(&self) -> bool {
        self.plan.strategy == Strategy::InMemory
    }

    /// Where steps before have changed who is there.
    fn then(&self) -> &'static str {
        if self.slots == self.plan.slots { "" } else { " at this point of the time line" }
    }

    fn remedy(&self, text: &str) -> String {
        let slots: Vec<String> = self.slots.iter().map(Slot::to_string).collect();
        let mut roles: Vec<&str> = self.slots.iter().map(|slot| slot.role.word()).collect();
        roles.dedup();
        let known: Vec<&str> = roles.iter().copied().chain(slots.iter().map(String::as_str)).collect();
        // A wrong number is no slip of the pen: the nearest slot would be a guess.
        match nearest(text, &known).filter(|_| Named::parse(text).is_none()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("it has {}; by role: {}", slots.join(", "), roles.join(", ")),
        }
    }
}

impl Named {
    pub fn parse(word: &str) -> Option<Named> {
        let role = |word: &str| [Role::Api, Role::Worker, Role::All].into_iter().find(|role| role.word() == word);
        match word.rsplit_once('-') {
            None => Some(Named { role: role(word)?, number: None }),
            Some((word, number)) => Some(Named { role: role(word)?, number: Some(number.parse().ok()?) }),
        }
    }
}
