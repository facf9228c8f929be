//! A canned scale-out: one instance becomes three under load, then one is frozen, and later another.
//!
//! V5 freezes a worker, and then an api instance that is killed after its checkpoint; V4 freezes two instances that both
//! go on, so that nothing at the end tells what every reader missed meanwhile.

use std::time::Duration;

use super::plans::{self, MS, S, born, exposure, proof, slot};
use crate::backends::endpoints::Ejection;
use crate::backends::{Exit, Instance};
use crate::checks::instances;
use crate::clock::Offset;
use crate::plan::{
    Claim, Condition, ConditionMetric, PausePoint, Plan, Replaced, Role, Slot, StartPlan, StepKind, StepPlan, StopMode,
    StopPlan, Strategy,
};
use crate::readback::{Applied, BufferSize, Checkpoint, Source};
use crate::timeline::incident::{CpuReading, ProofOf, StartRecord};
use crate::timeline::{Held, Incidents, Proof, StopRecord};

/// lease + scan + flush, and time to drain.
const LASTS: Duration = Duration::from_secs(8);

pub(super) fn shared() -> Plan {
    let slots = vec![slot(Role::Worker, 1), slot(Role::Worker, 2), slot(Role::Api, 1)];
    let timeline = vec![
        scale(1, S(10), &[slot(Role::Api, 2), slot(Role::Api, 3)]),
        pause(2, S(20), StopMode::Pause, slot(Role::Worker, 1)),
        pause(3, S(38), StopMode::PauseThenKill, slot(Role::Api, 2)),
    ];
    claimed("scale-out-v5", plans::plan(Strategy::Redis, slots, timeline, true))
}

pub(super) fn private() -> Plan {
    let timeline = vec![
        scale(1, S(10), &[slot(Role::All, 2), slot(Role::All, 3)]),
        pause(2, S(20), StopMode::Pause, slot(Role::All, 2)),
        pause(3, S(38), StopMode::Pause, slot(Role::All, 1)),
    ];
    claimed("scale-out-v4", plans::plan(Strategy::InMemory, vec![slot(Role::All, 1)], timeline, true))
}

fn claimed(name: &str, plan: Plan) -> Plan {
    Plan { name: name.into(), claims: vec![Claim::F1], ..plan }
}

fn scale(number: usize, at: Duration, slots: &[Slot]) -> StepPlan {
    let id = format!("{number}:scale");
    let start = |slot: &Slot| StartPlan { id: format!("{id}/{slot}"), slot: slot.clone() };
    StepPlan {
        starts: slots.iter().map(start).collect(),
        id,
        kind: StepKind::Scale,
        at,
        when: Some(Condition { metric: ConditionMetric::BufferSize, at_least: 50 }),
        stops: Vec::new(),
    }
}

fn pause(number: usize, at: Duration, mode: StopMode, slot: Slot) -> StepPlan {
    let id = format!("{number}:pause");
    let stop = StopPlan {
        id: format!("{id}/{slot}"),
        mode,
        replaced: if mode == StopMode::Pause { Replaced::Never } else { Replaced::After },
        hold: Some(if slot.role.writes_rows() { PausePoint::WorkerLeased } else { PausePoint::OfferStored }),
        slot,
        hold_within: S(2),
        grace: S(10),
        lasts: LASTS,
        window: S(5),
        window_acks_min: 200,
    };
    StepPlan { id, kind: StepKind::Pause, at, when: None, starts: Vec::new(), stops: vec![stop] }
}

pub(super) fn started(incidents: &mut Incidents, start: &StartPlan, began: Offset) -> StartRecord {
    let instance = born(incidents, &start.slot);
    let seen = instance.process_in_words();
    StartRecord {
        id: start.id.clone(),
        began,
        backlog: Some(60),
        instance: Some(instance),
        ready: Some(began.plus(MS(800))),
        proof: vec![Proof { of: ProofOf::Mechanism, what: "a process fills the slot".into(), seen, holds: true }],
        error: None,
    }
}

pub(super) fn paused(incidents: &mut Incidents, stop: &StopPlan, began: Offset) -> StopRecord {
    let victim = incidents.roster.iter().rfind(|instance| instance.slot == stop.slot).expect("a full slot").clone();
    let frozen = began.plus(MS(100));
    if victim.slot.role.answers_requests() {
        incidents.ejections.push(Ejection { id: victim.id, at: frozen.plus(MS(250)), why: "probe".into() });
    }
    let checkpoint = frozen.plus(stop.lasts).plus(MS(100));
    let over = checkpoint.plus(MS(100));
    let killed = stop.mode == StopMode::PauseThenKill;
    let replacement = killed.then(|| born(incidents, &stop.slot));
    StopRecord {
        id: stop.id.clone(),
        mode: stop.mode,
        began,
        held: Some(Held {
            point: stop.hold.expect("a canned stop holds a task"),
            tasks: 3,
            at: began.plus(MS(50)),
            released: None,
        }),
        frozen: Some(frozen),
        exposure: exposure(stop, frozen.plus(MS(20))),
        checkpoint: Some(unread(stop, checkpoint)),
        resumed: (!killed).then_some(over),
        signalled: killed.then_some(over),
        killed_after_grace: false,
        exit: killed.then(|| Exit { at: over.plus(MS(10)), code: None, signal: Some(9) }),
        healed: Some(over.plus(MS(if killed { 1000 } else { 400 }))),
        proof: match &replacement {
            Some(new) => proof(&victim, new),
            None => stood_still(&victim),
        },
        replacement,
        victim,
        error: None,
    }
}

/// What it holds is filled in when there is a ledger.
fn unread(stop: &StopPlan, at: Offset) -> Checkpoint {
    Checkpoint { stop: stop.id.clone(), at, applied: Source::Read(Applied::default()), sizes: Vec::new() }
}

fn stood_still(victim: &Instance) -> Vec<Proof> {
    let seen = format!("{} stopped", victim.process_in_words());
    vec![Proof { of: ProofOf::Mechanism, what: "its process stood still".into(), seen, holds: true }]
}

/// What everybody who is alive reports of the buffer.
pub(super) fn sizes(incidents: &Incidents, at: Offset, shared: bool) -> Vec<BufferSize> {
    let size = |instance: &Instance| BufferSize {
        instance: instance.name.clone(),
        scope: if shared { "shared" } else { "instance" }.into(),
        reported: if shared { 90 } else { 20 },
        around: shared.then_some((60, 120)),
    };
    instances::living(incidents, at).map(size).collect()
}

/// A reading a second of everybody who is alive. Those who answer share the work, and each that is added makes it cost a
/// tenth more.
pub(super) fn cpu(incidents: &Incidents) -> Vec<CpuReading> {
    let mut used = vec![Duration::ZERO; incidents.roster.len()];
    let mut readings = Vec::new();
    for second in 0..super::SECONDS {
        let at = Offset::from_duration(S(second));
        let there: Vec<&Instance> = instances::living(incidents, at).collect();
        let answering = there.iter().filter(|instance| instance.slot.role.answers_requests()).count().max(1) as f64;
        for instance in there {
            let share = if instance.slot.role.answers_requests() { 1.0 + 0.1 * (answering - 1.0) } else { 0.0 };
            let used = &mut used[usize::from(instance.id.0)];
            readings.push(CpuReading { at, instance: instance.id, used: *used });
            *used += MS(50) + Duration::from_secs_f64(0.2 * share / answering);
        }
    }
    readings
}
