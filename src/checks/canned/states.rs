//! Canned states: everything that was attempted is in the database.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Canned, scaling};
use crate::backends::{SettleEnd, SettleOutcome};
use crate::content::{self, PRESETS};
use crate::load::{Attempt, Lane, Ledger, Outcome};
use crate::plan::Plan;
use crate::readback::table::Table;
use crate::readback::{
    Counters, FinalState, Place, QueueState, QueuedItem, Row, RowSet, Sighting, SightingKind, Source, WitnessLog,
};
use crate::timeline::{Exposure, Incidents};

const WRITER: &str = "worker-2.1";

/// The writers of canned rows, for as long as a test may want them.
pub(super) fn known(writer: &str) -> &'static str {
    [WRITER, "nobody", "intruder"].into_iter().find(|known| *known == writer).expect("a writer that a test named")
}

pub(super) fn applied(plan: &Plan, ledger: &Ledger, incidents: &Incidents) -> FinalState {
    let stored = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Acked | Outcome::Unknown);
    let taken = ledger.attempts().filter(|a| a.lane.writes() && stored(a));
    let (poison, writes): (Vec<Attempt>, Vec<Attempt>) = taken.partition(|a| a.lane == Lane::Poison);
    let accepted = 3 * (writes.len() + poison.len()) as u64;
    let rows = rows(plan, &writes);
    let sightings = sightings(&writes);
    FinalState {
        settle: SettleOutcome {
            end: SettleEnd::Quiet,
            drain: Duration::from_millis(400),
            waited: Duration::from_secs(10),
            probe_saw_something: true,
        },
        counters: Source::Read(counters(incidents, sightings.len() as u64)),
        rows: Source::Read(rows),
        witness: match plan.target.witness {
            true => Source::Read(WitnessLog { sightings: Table::of_sightings(sightings) }),
            false => Source::Absent { why: "the run has no witness".into() },
        },
        queue: Source::Read(QueueState { items: dead(&poison), accepted, keys: Some(2) }),
    }
}

/// What the database refused as often as a worker tried.
fn dead(poison: &[Attempt]) -> Vec<QueuedItem> {
    let letter = |a: &Attempt, preset| QueuedItem {
        task: Some((a.key, a.seq.into(), preset)),
        place: Place::Dead,
        holder: None,
        cause: Some("the database refuses it".into()),
        costs: Some(content::poisoned(a.key, a.seq.into(), preset)),
    };
    poison.iter().flat_map(|a| PRESETS.map(|preset| letter(a, preset))).collect()
}

fn rows(plan: &Plan, writes: &[Attempt]) -> RowSet {
    let mut newest = BTreeMap::new();
    for write in writes {
        newest.insert(write.key, u64::from(write.seq));
    }
    let row = |(key, seq): (u64, u64), preset| {
        let costs = content::costs(key, seq, preset);
        Row { key, preset, seq, costs, written_by: WRITER }
    };
    let rows = newest.into_iter().flat_map(|written| PRESETS.map(move |preset| row(written, preset)));
    let rows = Table::of_rows(rows);
    let first_once = plan.run.key(plan.load.hot_keys);
    let counted = rows.len();
    let count_query =
        format!("select count(*) from equipment_expectation_summary where game_character_id >= {first_once}");
    RowSet { rows, counted, marker_seen: true, count_query, server: None, software: None }
}

fn sightings(writes: &[Attempt]) -> Vec<Sighting<'static>> {
    let mut old = BTreeMap::new();
    let mut sightings = Vec::new();
    for write in writes {
        for preset in PRESETS {
            let new_seq = u64::from(write.seq);
            let old_seq = old.insert((write.key, preset), new_seq);
            let (order, written_by) = (sightings.len() as u64 + 1, WRITER);
            let kind = SightingKind::Attempted;
            sightings.push(Sighting { order, key: write.key, preset, old_seq, new_seq, written_by, kind });
        }
    }
    sightings
}

/// Those who live at the end; one of them has written everything.
fn counters(incidents: &Incidents, tasks: u64) -> Vec<Counters> {
    let stops = || incidents.steps.iter().flat_map(|step| &step.stops);
    let dead = |name: &str| stops().any(|stop| stop.exit.is_some() && stop.victim.name == name);
    let alive = incidents.roster.iter().filter(|instance| !dead(&instance.name));
    let own = |(place, name): (usize, &String)| Counters {
        instance: name.clone(),
        private_buffer: 0,
        processed_tasks: if place == 0 { tasks } else { 0 },
        failed_attempts: 0,
        clock_ahead_ms: Some(0),
    };
    alive.map(|instance| &instance.name).enumerate().map(own).collect()
}

/// Buffers in the instances' memories: no queue to look into, and what a victim holds is what the database lacks.
pub(super) fn become_private(canned: &mut Canned) {
    canned.state().queue = Source::Absent { why: "the buffers are in the instances' memories".into() };
    let ledger = &canned.evidence.ledger;
    for stop in canned.evidence.incidents.steps.iter_mut().flat_map(|step| &mut step.stops) {
        let Exposure::Unwritten(checkpoint) = &mut stop.exposure else { continue };
        let written_until = checkpoint.at.minus(Duration::from_millis(200));
        let flushed = |a: &Attempt| a.instance != stop.victim.id || a.done.is_some_and(|done| done <= written_until);
        let mut applied = BTreeMap::new();
        for a in ledger.attempts().filter(|a| a.lane.writes() && a.done <= Some(checkpoint.at)).filter(flushed) {
            applied.insert(a.key, u64::from(a.seq));
        }
        checkpoint.applied = Source::Read(applied.into_iter().collect());
    }
}

/// What the database had at each checkpoint: all that was acknowledged by then, but for what a victim with a buffer of its
/// own had not flushed when it was frozen; and what everybody said of the buffer.
pub(super) fn checkpoints(canned: &mut Canned) {
    let shared = canned.plan.target.strategy.shared();
    let (ledger, before) = (&canned.evidence.ledger, canned.evidence.incidents.clone());
    for stop in canned.evidence.incidents.steps.iter_mut().flat_map(|step| &mut step.stops) {
        let (Some(checkpoint), Some(frozen)) = (&mut stop.checkpoint, stop.frozen) else { continue };
        let flushed = frozen.minus(Duration::from_millis(200));
        let kept = |a: &Attempt| !shared && a.instance == stop.victim.id && a.done > Some(flushed);
        let acked = |a: &Attempt| a.lane.writes() && a.outcome == Outcome::Acked && a.done <= Some(checkpoint.at);
        let mut applied = BTreeMap::new();
        for a in ledger.attempts().filter(|a| acked(a) && !kept(a)) {
            applied.insert(a.key, u64::from(a.seq));
        }
        checkpoint.applied = Source::Read(applied.into_iter().collect());
        checkpoint.sizes = scaling::sizes(&before, checkpoint.at, shared);
    }
}
