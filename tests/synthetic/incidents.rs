//! What the time line of a synthetic run did: every planned stop fired, with its proof, and took a second.
//!
//! In: the plan. Out: its [`Incidents`], and who is in rotation when ([`Rotation`]).

use std::time::Duration;

use mxctl::backends::endpoints::Ejection;
use mxctl::backends::{Exit, Instance, InstanceId, ProcessIdentity};
use mxctl::clock::Offset;
use mxctl::plan::{Plan, Role, Slot, StopMode, StopPlan};
use mxctl::timeline::incident::ProofOf;
use mxctl::timeline::{Exposure, Held, Incidents, Proof, StepRecord, StopRecord};

const MS: fn(u64) -> Duration = Duration::from_millis;

pub fn rolled(plan: &Plan) -> Incidents {
    let mut incidents = Incidents { depths: depths(plan), ..Incidents::default() };
    for slot in &plan.target.slots {
        born(&mut incidents, slot);
    }
    for step in &plan.timeline {
        let mut now = Offset::from_duration(step.at);
        let mut record = StepRecord::begin(step, now);
        for stop in &step.stops {
            record.stops.push(stopped(&mut incidents, stop, now));
            now = now.plus(MS(1200));
        }
        record.ended = now;
        incidents.steps.push(record);
    }
    incidents
}

/// The names of those that nobody stopped.
pub fn alive(incidents: &Incidents) -> impl Iterator<Item = String> {
    let stopped = |id| stops(incidents).any(|stop| stop.victim.id == id);
    incidents.roster.iter().filter(move |instance| !stopped(instance.id)).map(|instance| instance.name.clone())
}

fn stops(incidents: &Incidents) -> impl Iterator<Item = &StopRecord> {
    incidents.steps.iter().flat_map(|step| &step.stops)
}

/// Four readings a second of a buffer that every flush empties.
fn depths(plan: &Plan) -> Vec<(Offset, u64)> {
    (0..plan.load.duration().as_secs() * 4).map(|i| (Offset(i * 250_000_000), (i % 2) * 900)).collect()
}

fn born(incidents: &mut Incidents, slot: &Slot) -> Instance {
    let lives = incidents.roster.iter().filter(|instance| instance.slot == *slot).count() + 1;
    let id = InstanceId(incidents.roster.len() as u16);
    let process = ProcessIdentity { pid: 1000 + i32::from(id.0), start_ticks: 5000 + u64::from(id.0) };
    let addr = ([127, 0, 0, 1], 40000 + id.0).into();
    let instance = Instance { id, name: format!("{slot}.{lives}"), slot: slot.clone(), process: Some(process), addr };
    incidents.roster.push(instance.clone());
    instance
}

fn stopped(incidents: &mut Incidents, stop: &StopPlan, began: Offset) -> StopRecord {
    let victim = incidents.roster.iter().rfind(|instance| instance.slot == stop.slot).expect("a full slot").clone();
    let replacement = born(incidents, &stop.slot);
    let hard = stop.mode == StopMode::Hard;
    let signalled = began.plus(MS(150));
    // A graceful victim goes on serving for its endpoint lag, until a probe has seen its readiness go off.
    let ejected = began.plus(if hard { MS(170) } else { MS(320) });
    incidents.ejections.push(Ejection { id: victim.id, at: ejected, why: "probe".into() });
    let released = (!hard).then_some(signalled);
    StopRecord {
        held: stop.hold.map(|point| Held { point, tasks: 3, at: began.plus(MS(50)), released }),
        frozen: hard.then(|| began.plus(MS(100))),
        exposure: match stop.slot.role {
            Role::Api => Exposure::OffersInFlight { operations: 1 },
            _ => Exposure::Leases { tasks: 37 },
        },
        signalled: Some(signalled),
        exit: Some(Exit {
            at: began.plus(if hard { MS(160) } else { MS(600) }),
            code: (!hard).then_some(0),
            signal: hard.then_some(9),
        }),
        healed: Some(began.plus(MS(1000))),
        proof: vec![
            proof(ProofOf::Mechanism, "its process ended", format!("{} reaped", victim.process_in_words())),
            proof(ProofOf::Symptom, "another process fills the slot", replacement.name.clone()),
        ],
        replacement: Some(replacement),
        ..StopRecord::begin(stop, &victim, stop.mode, began)
    }
}

fn proof(of: ProofOf, what: &str, seen: String) -> Proof {
    Proof { of, what: what.into(), seen, holds: true }
}

/// Who answers requests from when on: (moment, those in rotation, those of them that are frozen).
pub struct Rotation {
    changes: Vec<(Offset, Vec<InstanceId>, Vec<InstanceId>)>,
    at: usize,
}

impl Rotation {
    pub fn of(incidents: &Incidents) -> Rotation {
        let mut moments = vec![Offset::ZERO];
        moments.extend(incidents.ejections.iter().map(|ejection| ejection.at));
        moments.extend(stops(incidents).flat_map(|stop| [stop.healed, stop.frozen.map(cut_off)]).flatten());
        moments.sort_unstable();
        let changes = moments.into_iter().map(|now| {
            let there = incidents.roster.iter().filter(|instance| in_rotation(incidents, instance, now));
            let frozen = stops(incidents).filter(|stop| stop.frozen.is_some_and(|at| cut_off(at) <= now));
            (now, there.map(|instance| instance.id).collect(), frozen.map(|stop| stop.victim.id).collect())
        });
        Rotation { changes: changes.collect(), at: 0 }
    }

    /// Who gets this operation, and whether it answers; to be asked in order of time.
    pub fn give(&mut self, index: u64, now: Offset) -> (InstanceId, bool) {
        while self.changes.get(self.at + 1).is_some_and(|(from, ..)| *from <= now) {
            self.at += 1;
        }
        let (_, there, frozen) = &self.changes[self.at];
        let chosen = there[(index % there.len() as u64) as usize];
        (chosen, !frozen.contains(&chosen))
    }
}

/// Requests that were sent just before a freeze have no answer either: the slowest takes 4 ms.
fn cut_off(frozen: Offset) -> Offset {
    frozen.minus(MS(5))
}

fn in_rotation(incidents: &Incidents, instance: &Instance, now: Offset) -> bool {
    let replaces = |stop: &&StopRecord| stop.replacement.as_ref().is_some_and(|new| new.id == instance.id);
    let ready = stops(incidents).find(replaces).is_none_or(|stop| stop.healed.is_some_and(|at| at <= now));
    let gone = incidents.ejections.iter().any(|ejection| ejection.id == instance.id && ejection.at <= now);
    instance.slot.role.answers_requests() && ready && !gone
}
