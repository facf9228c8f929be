//! The classes of DESIGN §4: every write operation in exactly one, every row that nobody asked for beside them.
//!
//! In: the ledger, the rows, the queue, the witness. Out: how many of each class, and the first of each that a
//! person would look into. The order of the rules is the order of [`Class`]; the first that matches counts, so the
//! counts add up to the write operations.
//!
//! # Why presence is asked three ways
//! A write is *there* where its row has its seq, *superseded* where its row has a newer one that was attempted, and
//! *absent* otherwise. On a hot key a newer row hides whether an older write ever arrived: only the witness can tell,
//! so without one an Unknown behind a newer row stays unresolved, and is never called torn: whatever is missing
//! beside it is missing from the newer operation as well, which is then judged for itself.

use std::collections::BTreeMap;

use super::checkpoints::Checkpoints;
use super::exhibits::Exhibits;
use super::rows::{Attempted, Rows};
use super::seen::{Presence, Seen, Write};
use super::soundness::Soundness;
use super::witness::{self, Witness};
use super::{Class, ClassCount, Evidence, Exhibit, operations};
use crate::backends::InstanceId;
use crate::clock::Offset;
use crate::content::{self, PRESETS};
use crate::load::{Attempt, Outcome};
use crate::plan::Plan;
use crate::readback::{Counters, QueuedItem, RowRecord, Source};

/// What classification found.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes {
    counts: BTreeMap<Class, u64>,
    /// Acknowledged write operations.
    pub acked: u64,
    /// Per class: whose acknowledgements they were.
    pub by_acker: BTreeMap<(Class, InstanceId), u64>,
    /// When operations were acknowledged that are broken, in the order of the ledger.
    pub broken_acks: Vec<Offset>,
    /// Write-once operations that are there: applied, recovered, and those that only a checkpoint missed.
    pub once_present: u64,
    /// Rows that the write-once keys have; `None`: no rows were read.
    pub once_rows: Option<u64>,
    /// Items of the queue whose task could not be read.
    pub undecodable: u64,
    pub exhibits: Vec<Exhibit>,
}

impl Classes {
    pub fn of(plan: &Plan, evidence: &Evidence, soundness: &Soundness, checkpoints: &Checkpoints) -> Self {
        let attempted = Attempted::of(plan, operations::writes(&evidence.ledger));
        let state = State::of(plan, evidence, soundness, &attempted);
        let mut classes = Classes { undecodable: state.undecodable, ..Classes::default() };
        let mut exhibits = Exhibits::of(evidence);
        classes.rows(plan, evidence, &attempted, &mut exhibits);
        classes.operations(plan, evidence, (state, checkpoints), &mut exhibits);
        classes.exhibits = exhibits.into_first_of_each();
        classes
    }

    /// Rows in the run's key range that no operation attempted.
    fn rows(&mut self, plan: &Plan, evidence: &Evidence, attempted: &Attempted, exhibits: &mut Exhibits) {
        let Some(set) = evidence.state.as_ref().and_then(|state| state.rows.read()) else { return };
        let (first, last) = plan.run.key_range();
        for row in set.rows.walk().filter(|row| (first..=last).contains(&row.key)) {
            if !PRESETS.contains(&row.preset) || !attempted.contains(row.key, row.seq) {
                *self.counts.entry(Class::Unexpected).or_default() += 1;
                exhibits.unexpected(&set.rows.row(row));
            }
        }
    }

    fn operations(
        &mut self,
        plan: &Plan,
        evidence: &Evidence,
        (mut state, checkpoints): (State, &Checkpoints),
        exhibits: &mut Exhibits,
    ) {
        let first_once = plan.run.key(plan.load.hot_keys);
        for operation in operations::writes(&evidence.ledger) {
            let seen = Seen { stranded_at: checkpoints.missed(&operation), ..state.of_operation(&operation) };
            let class = seen.class();
            *self.counts.entry(class).or_default() += 1;
            if operation.outcome == Outcome::Acked {
                self.acked += 1;
                *self.by_acker.entry((class, operation.instance)).or_default() += 1;
                self.broken_acks.extend(operation.done.filter(|_| Class::BROKEN.contains(&class)));
            }
            let present = matches!(class, Class::Applied | Class::Recovered) || seen.came_late();
            self.once_present += u64::from(present && operation.key >= first_once);
            exhibits.operation(class, &seen);
        }
        self.once_rows = state.rows.map(|rows| rows.written_once());
    }

    pub fn count(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or(0)
    }

    /// How many writing operations this instance acknowledged.
    pub fn acked_by(&self, acker: InstanceId) -> u64 {
        self.by_acker.iter().filter(|((_, of), _)| *of == acker).map(|(_, count)| count).sum()
    }

    /// For the report: every class, with what it rests on.
    pub fn counted(&self, soundness: &Soundness) -> Vec<ClassCount> {
        let counted = |class: Class| ClassCount {
            class,
            count: self.count(class),
            fails: class.fails(),
            rests_on: class.rests_on().to_owned(),
            void: soundness.void(class),
        };
        Class::ALL.into_iter().map(counted).collect()
    }
}

/// The sources, ready to be asked in the ledger's order.
struct State<'a> {
    /// `None`: not read.
    rows: Option<Rows<'a>>,
    /// Tasks in the queue by (key, seq, preset); of several copies first those that still move.
    queued: Vec<((u64, u64, u8), &'a QueuedItem)>,
    undecodable: u64,
    /// Instances that still hold tasks in their own memory.
    holding: Vec<InstanceId>,
    witness: Option<Witness<'a>>,
    attempted: &'a Attempted,
    /// A seq that the ledger does not know was never attempted; a torn ledger cannot say that.
    ledger_sound: bool,
}

impl<'a> State<'a> {
    fn of(plan: &Plan, evidence: &'a Evidence, soundness: &Soundness, attempted: &'a Attempted) -> Self {
        let state = evidence.state.as_ref();
        let items = state.and_then(|state| state.queue.read()).map_or(&[][..], |queue| &queue.items);
        let mut queued: Vec<_> = items.iter().filter_map(|item| Some((item.task?, item))).collect();
        queued.sort_unstable_by_key(|(task, item)| (*task, item.place));
        let log = state.and_then(|state| state.witness.read()).filter(|_| soundness.witness.is_none());
        State {
            rows: state.and_then(|state| state.rows.read()).map(|set| Rows::of(plan, &set.rows)),
            undecodable: (items.len() - queued.len()) as u64,
            queued,
            holding: holding(evidence),
            witness: log.map(|log| Witness::of(plan, &log.sightings)).filter(|_| plan.target.witness),
            attempted,
            ledger_sound: soundness.ledger.is_none(),
        }
    }

    fn of_operation(&mut self, operation: &Attempt) -> Seen<'a> {
        let rows = self.rows.as_mut().map(|rows| rows.of_key(operation.key));
        let writes = std::array::from_fn(|i| self.write(operation, *PRESETS.start() + i as u8, rows.unwrap_or(&[])));
        let held_privately = self.holding.contains(&operation.instance);
        Seen { operation: *operation, writes, held_privately, stranded_at: None, rows_read: rows.is_some() }
    }

    fn write(&mut self, operation: &Attempt, preset: u8, rows: &[RowRecord]) -> Write<'a> {
        let (key, seq) = (operation.key, u64::from(operation.seq));
        let row = rows.iter().find(|row| row.preset == preset);
        let position = self.queued.partition_point(|(task, _)| *task < (key, seq, preset));
        let queued = self.queued.get(position).filter(|(task, _)| *task == (key, seq, preset)).map(|(_, item)| *item);
        let sightings = self.witness.as_mut().map(|witness| witness.of_write(key, preset, seq));
        Write {
            preset,
            presence: row.map_or(Presence::Missing, |row| self.presence(row, seq)),
            row: row.zip(self.rows.as_ref()).map(|(row, rows)| rows.table.row(row)),
            queued,
            seen: sightings.map(|sightings| !sightings.is_empty()),
            regressed: sightings.is_some_and(witness::applied),
        }
    }

    fn presence(&self, row: &RowRecord, seq: u64) -> Presence {
        match row.seq.cmp(&seq) {
            std::cmp::Ordering::Less => Presence::Older,
            std::cmp::Ordering::Equal if row.costs == content::costs(row.key, seq, row.preset) => Presence::There,
            std::cmp::Ordering::Equal => Presence::Corrupt,
            std::cmp::Ordering::Greater if self.ledger_sound && !self.attempted.contains(row.key, row.seq) => {
                Presence::Overwritten
            }
            std::cmp::Ordering::Greater => Presence::Superseded,
        }
    }
}

/// Whose own memory still holds tasks at the end.
fn holding(evidence: &Evidence) -> Vec<InstanceId> {
    let counters: &[Counters] = match &evidence.state {
        Some(state) if matches!(state.queue, Source::Absent { .. }) => state.counters.read().map_or(&[], |c| c),
        _ => &[],
    };
    let holds = |name: &str| counters.iter().any(|own| own.instance == name && own.private_buffer > 0);
    evidence.incidents.roster.iter().filter(|instance| holds(&instance.name)).map(|instance| instance.id).collect()
}

#[cfg(test)]
mod tests;
