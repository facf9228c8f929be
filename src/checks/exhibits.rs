//! Exhibits: the first operations of each failing class, in words that a person can follow to the place.
//!
//! In: classified operations, in the ledger's order, and what the timeline did to their instances. Out: at most ten
//! [`Exhibit`]s a class.

use std::collections::BTreeMap;

use super::checkpoints::Look;
use super::seen::{Presence, Seen, Write};
use super::{Class, Evidence, Exhibit, spans};
use crate::backends::InstanceId;
use crate::clock::Offset;
use crate::content::{self, COLUMNS};
use crate::load::{Attempt, Lane, Outcome};
use crate::plan::StopMode;
use crate::readback::{Place, QueuedItem, Row};
use crate::timeline::{Exposure, Incidents, StopRecord};

/// How many of each class are shown.
const SHOWN: usize = 10;

pub(super) struct Exhibits<'a> {
    incidents: &'a Incidents,
    /// There is a queue that could be looked into.
    queue: bool,
    shown: BTreeMap<Class, Vec<Exhibit>>,
}

impl<'a> Exhibits<'a> {
    pub fn of(evidence: &'a Evidence) -> Self {
        let queue = evidence.state.as_ref().is_some_and(|state| state.queue.read().is_some());
        Exhibits { incidents: &evidence.incidents, queue, shown: BTreeMap::new() }
    }

    pub fn into_first_of_each(self) -> Vec<Exhibit> {
        self.shown.into_values().flatten().collect()
    }

    fn wanted(&self, class: Class) -> bool {
        class.fails() && self.shown.get(&class).is_none_or(|shown| shown.len() < SHOWN)
    }

    fn show(&mut self, exhibit: Exhibit) {
        self.shown.entry(exhibit.class).or_default().push(exhibit);
    }

    pub fn unexpected(&mut self, row: &Row) {
        if self.wanted(Class::Unexpected) {
            self.show(Exhibit {
                class: Class::Unexpected,
                op: None,
                key: row.key,
                seq: row.seq,
                presets: vec![row.preset],
                instance: None,
                acked: None,
                last_seen: format!("in the database, written by {}; nobody attempted it", row.written_by),
            });
        }
    }

    pub fn operation(&mut self, class: Class, seen: &Seen) {
        if self.wanted(class) {
            let exhibit = self.exhibit(class, seen);
            self.show(exhibit);
        }
    }

    fn exhibit(&self, class: Class, seen: &Seen) -> Exhibit {
        let Attempt { op, key, seq, instance, outcome, done, .. } = seen.operation;
        let concerned: Vec<&Write> = seen.writes.iter().filter(|write| concerns(class, seen, write)).collect();
        Exhibit {
            class,
            op: Some(op),
            key,
            seq: seq.into(),
            presets: concerned.iter().map(|write| write.preset).collect(),
            instance: self.name(instance),
            acked: done.filter(|_| outcome == Outcome::Acked),
            last_seen: self.last_seen(class, seen, &concerned),
        }
    }

    fn name(&self, id: InstanceId) -> Option<String> {
        self.incidents.instance(id).map(|instance| instance.name.clone())
    }

    fn last_seen(&self, class: Class, seen: &Seen, concerned: &[&Write]) -> String {
        match class {
            Class::Corrupt if seen.operation.lane == Lane::Poison => {
                format!("planned as poison, and {}", self.whereabouts(concerned))
            }
            Class::Corrupt => each(concerned, corrupt),
            Class::Phantom => {
                format!("refused ({:?}), and yet {}", seen.operation.reason, self.whereabouts(concerned))
            }
            Class::Stranded if let Some(look) = seen.stranded_at => self.stranded(seen, look),
            Class::Stranded if concerned.iter().all(|write| write.queued.is_none()) => {
                let instance = self.name(seen.operation.instance).unwrap_or_default();
                format!("not in the database; {instance} still has tasks in its own memory")
            }
            Class::Stranded => self.whereabouts(concerned),
            Class::Stale => each(concerned, stale),
            Class::Torn => format!("{} not in the database, the others are", presets(concerned)),
            _ => self.lost(&seen.operation, concerned),
        }
    }

    /// `acknowledged by all-2.1 3.1 s before the freeze, not in the database at the checkpoint of 3:pause/all-2, 8.2 s
    /// after the freeze; there at the end`.
    fn stranded(&self, seen: &Seen, look: &Look) -> String {
        let (operation, stop) = (&seen.operation, look.record);
        let (frozen, at) = (stop.frozen.unwrap_or(stop.began), stop.checkpoint.as_ref().map_or(stop.began, |c| c.at));
        let acked = operation.done.unwrap_or(operation.due);
        let (apart, side) = match acked <= frozen {
            true => (frozen.since(acked), "before"),
            false => (acked.since(frozen), "after"),
        };
        let of = if operation.instance == stop.victim.id { String::new() } else { format!(" of {}", stop.victim.name) };
        format!(
            "acknowledged by {} {:.1} s {side} the freeze{of}, not in the database at the checkpoint of {}, {:.1} s after the freeze; {}",
            self.name(operation.instance).unwrap_or_default(),
            apart.as_secs_f64(),
            stop.id,
            at.since(frozen).as_secs_f64(),
            self.in_the_end(seen)
        )
    }

    fn in_the_end(&self, seen: &Seen) -> String {
        let writes: Vec<&Write> = seen.writes.iter().collect();
        let never = |write: &Write| write.presence == Presence::Missing && write.queued.is_none() && !write.regressed;
        if !seen.rows_read {
            "the end was not read".to_owned()
        } else if seen.writes.iter().all(|write| write.presence == Presence::There) {
            "there at the end".to_owned()
        } else if seen.writes.iter().all(never) {
            "never seen again".to_owned()
        } else {
            format!("at the end {}", self.whereabouts(&writes))
        }
    }

    fn lost(&self, operation: &Attempt, concerned: &[&Write]) -> String {
        let gone = self.whereabouts(concerned);
        let missing = concerned.iter().all(|write| write.presence == Presence::Missing && !write.regressed);
        match self.end_of(operation) {
            Some((end, Some(false))) if missing && !self.queue => format!("{end}, never seen again"),
            Some((end, _)) => format!("{end}; {gone}"),
            None => self.before_which(operation).map_or(gone.clone(), |before| format!("{before}; {gone}")),
        }
    }

    /// The first disturbance that was undone after its ack.
    fn before_which(&self, operation: &Attempt) -> Option<String> {
        let acked = operation.done.filter(|_| operation.outcome == Outcome::Acked)?;
        let record = self.incidents.disturbances().find(|record| spans::disturbed(record).1 > acked)?;
        let (apart, side) = match acked <= record.began {
            true => (record.began.since(acked), "before"),
            false => (acked.since(record.began), "into"),
        };
        let by = self.name(operation.instance).unwrap_or_default();
        Some(format!("acknowledged by {by} {:.1} s {side} {}", apart.as_secs_f64(), record.id))
    }

    fn whereabouts(&self, writes: &[&Write]) -> String {
        each(writes, if self.queue { in_rows_and_queue } else { in_rows })
    }

    /// How the instance that acknowledged it was stopped, and whether the write was in the database at the checkpoint
    /// of that stop.
    fn end_of(&self, operation: &Attempt) -> Option<(String, Option<bool>)> {
        let acked = operation.done.filter(|_| operation.outcome == Outcome::Acked)?;
        let stop = self.stops().find(|stop| stop.victim.id == operation.instance)?;
        let struck = stop.signalled.filter(|signalled| acked <= *signalled)?;
        let act = match stop.mode {
            StopMode::Hard | StopMode::PauseThenKill => "killed",
            StopMode::Pause => "frozen",
            StopMode::Graceful => "told to stop",
        };
        let ago = struck.since(acked).as_secs_f64();
        let end = format!("acknowledged by {} {ago:.1} s before it was {act}", stop.victim.name);
        let there = at_checkpoint(stop, operation, acked);
        let told = match there {
            Some(true) => format!("{end}, in the database at the checkpoint of {}", stop.id),
            Some(false) => format!("{end}, not in the database at the checkpoint of {}", stop.id),
            None => end,
        };
        Some((told, there))
    }

    fn stops(&self) -> impl Iterator<Item = &'a StopRecord> {
        self.incidents.steps.iter().flat_map(|step| &step.stops)
    }
}

/// Whether the operation was in the database when its instance was frozen; `None`: nobody looked after the ack.
fn at_checkpoint(stop: &StopRecord, operation: &Attempt, acked: Offset) -> Option<bool> {
    let Exposure::Unwritten(checkpoint) = &stop.exposure else { return None };
    let applied = checkpoint.applied.read().filter(|_| acked <= checkpoint.at)?;
    Some(applied.has(operation.key, operation.seq.into()))
}

/// Which writes of an operation put it into its class.
fn concerns(class: Class, seen: &Seen, write: &Write) -> bool {
    let poison = seen.operation.lane == Lane::Poison;
    match class {
        Class::Corrupt if poison => write.in_its_row() || write.dead_with_other_content(&seen.operation),
        Class::Lost | Class::Torn if poison => write.queued.is_none(),
        Class::Stranded if poison => write.queued.is_some() && !write.dead(),
        Class::Corrupt => write.presence == Presence::Corrupt,
        Class::Phantom => write.presence == Presence::There || write.queued.is_some() || write.seen == Some(true),
        Class::Stranded if seen.stranded_at.is_some() => true,
        Class::Stranded if seen.writes.iter().any(|w| w.queued.is_some()) => write.queued.is_some(),
        Class::Stranded => write.lost() || write.presence == Presence::Older,
        Class::Stale => write.presence == Presence::Older,
        Class::Torn => write.absent(),
        _ => write.lost(),
    }
}

/// One sentence for all presets, or one for each where they differ.
fn each(writes: &[&Write], tell: fn(&Write) -> String) -> String {
    let told: Vec<String> = writes.iter().map(|write| tell(write)).collect();
    match told.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => first.clone(),
        _ => writes
            .iter()
            .zip(told)
            .map(|(w, told)| format!("preset {}: {told}", w.preset))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn presets(writes: &[&Write]) -> String {
    let numbers: Vec<String> = writes.iter().map(|write| write.preset.to_string()).collect();
    format!("preset {}", numbers.join(", "))
}

fn in_rows_and_queue(write: &Write) -> String {
    let row = in_rows(write);
    match write.queued {
        Some(item) => format!("queue: {}; {row}", place(item)),
        None if write.in_its_row() => row,
        None => format!("{row}, not in the queue"),
    }
}

fn in_rows(write: &Write) -> String {
    match (write.presence, write.row) {
        (Presence::There | Presence::Corrupt, Some(row)) => format!("in the database, written by {}", row.written_by),
        (Presence::Overwritten, Some(row)) => format!("its row has seq {}, which nobody attempted", row.seq),
        (Presence::Superseded, Some(row)) if write.seen == Some(false) => {
            format!("its row has seq {}, and the witness never saw it attempted or dropped", row.seq)
        }
        (Presence::Superseded, Some(row)) => format!("its row has the newer seq {}", row.seq),
        (Presence::Older, Some(row)) => format!("its row has the older seq {}", row.seq),
        _ if write.regressed => "written once, and not in the database at the end".to_owned(),
        _ => "not in the database".to_owned(),
    }
}

fn place(item: &QueuedItem) -> String {
    let what = match item.place {
        Place::Dead => "in the dead-letter queue",
        other => other.word(),
    };
    match (&item.holder, &item.cause) {
        (Some(holder), _) => format!("{what} by {holder}"),
        (None, Some(cause)) => format!("{what} ({cause})"),
        (None, None) => what.to_owned(),
    }
}

fn stale(write: &Write) -> String {
    let (seq, by) = write.row.map_or((0, "nobody"), |row| (row.seq, row.written_by));
    let past = if write.regressed { "; regressed: the newer one had been applied" } else { "" };
    format!("its row has the older seq {seq}, written by {by}{past}")
}

fn corrupt(write: &Write) -> String {
    let Some(row) = write.row else { return String::new() };
    let right = content::costs(row.key, row.seq, row.preset);
    let wrong = COLUMNS.iter().zip(right).zip(row.costs).filter(|((_, right), found)| right != found);
    let told = wrong.map(|((column, right), found)| format!("{column} is {}, not {}", money(found), money(right)));
    told.collect::<Vec<_>>().join(", ")
}

fn money(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100)
}
