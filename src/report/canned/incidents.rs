//! Incidents that agree with a judgement's stops.

use std::time::Duration;

use crate::backends::endpoints::Ejection;
use crate::backends::{Exit, Instance, InstanceId, ProcessIdentity};
use crate::checks::StopJudgement;
use crate::clock::Offset;
use crate::plan::{PausePoint, Role, Slot, StopMode};
use crate::timeline::incident::ProofOf;
use crate::timeline::{Exposure, Held, Incidents, Proof, StepRecord, StopRecord};

/// A record for each stop that fired.
pub fn incidents(stops: &[StopJudgement]) -> Incidents {
    let step_of = |stop: &StopJudgement| stop.id.split_once('/').unwrap().0.to_owned();
    let fired: Vec<&StopJudgement> = stops.iter().filter(|stop| stop.victim.is_some()).collect();
    let records: Vec<StopRecord> = fired.iter().map(|stop| record(stop)).collect();
    let mut steps: Vec<StepRecord> = Vec::new();
    for (stop, record) in fired.iter().zip(&records) {
        if steps.last().is_none_or(|step| step.id != step_of(stop)) {
            let (id, began) = (step_of(stop), record.began);
            steps.push(StepRecord {
                id,
                began,
                ended: began,
                condition: None,
                starts: Vec::new(),
                stops: Vec::new(),
                error: None,
            });
        }
        let step = steps.last_mut().unwrap();
        step.ended = record.healed.unwrap();
        step.stops.push(record.clone());
    }
    let roster: Vec<Instance> = records.iter().enumerate().map(|(id, r)| numbered(id, &r.victim)).collect();
    let answering = roster.iter().zip(&records).filter(|(instance, _)| instance.slot.role != Role::Worker);
    let ejections = answering.map(|(instance, record)| Ejection {
        id: instance.id,
        at: record.signalled.unwrap().plus(Duration::from_millis(90)),
        why: "probe".into(),
    });
    Incidents { steps, ejections: ejections.collect(), roster, ..Incidents::default() }
}

fn record(stop: &StopJudgement) -> StopRecord {
    let at = stop.at.unwrap();
    let ms = |n| Duration::from_millis(n);
    let exit = at.plus(stop.drain.unwrap());
    let graceful = stop.mode == StopMode::Graceful;
    let victim = instance(stop.victim.as_ref().unwrap());
    let answers = victim.slot.role != Role::Worker;
    let point = if answers { PausePoint::OfferRegistered } else { PausePoint::WorkerLeased };
    let tasks = stop.exposure.unwrap();
    StopRecord {
        id: stop.id.clone(),
        mode: stop.mode,
        began: at.minus(ms(60)),
        held: Some(Held { point, tasks, at: at.minus(ms(10)), released: graceful.then(|| at.plus(ms(10))) }),
        frozen: (!graceful).then(|| at.minus(ms(5))),
        exposure: if answers { Exposure::OffersInFlight { operations: tasks } } else { Exposure::Leases { tasks } },
        checkpoint: None,
        resumed: None,
        signalled: Some(at),
        killed_after_grace: false,
        exit: Some(Exit { at: exit, code: graceful.then_some(0), signal: (!graceful).then_some(9) }),
        replacement: Some(instance(&next_life(&victim.name))),
        healed: Some(exit.plus(ms(440))),
        proof: vec![Proof {
            of: ProofOf::Mechanism,
            what: "a new process serves the slot".into(),
            seen: "pid 4711 → 4801".into(),
            holds: true,
        }],
        error: None,
        victim,
    }
}

fn next_life(name: &str) -> String {
    let (slot, life) = name.split_once('.').unwrap();
    format!("{slot}.{}", life.parse::<u8>().unwrap() + 1)
}

fn instance(name: &str) -> Instance {
    let (slot, _) = name.split_once('.').unwrap();
    let (role, number) = slot.split_once('-').unwrap();
    let role = [Role::Api, Role::Worker, Role::All].into_iter().find(|r| r.word() == role).unwrap();
    Instance {
        id: InstanceId(0),
        name: name.to_owned(),
        slot: Slot { role, number: number.parse().unwrap() },
        process: Some(ProcessIdentity { pid: 4711, start_ticks: 100 }),
        addr: ([127, 0, 0, 1], 40_000).into(),
    }
}

fn numbered(id: usize, instance: &Instance) -> Instance {
    Instance { id: InstanceId(id as u16), ..instance.clone() }
}

/// The end of a step that broke in its first stop.
pub fn broken() -> Incidents {
    let mut incidents = incidents(&super::passing().stops[..1]);
    incidents.steps[0].error = Some("start a replacement: port in use".into());
    incidents.ejections.push(Ejection { id: InstanceId(9), at: Offset(10_100_000_000), why: "eof".into() });
    incidents
}
