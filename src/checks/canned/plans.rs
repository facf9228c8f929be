//! Canned plans, and timelines that played them.

use std::time::Duration;

use super::scaling;
use crate::backends::endpoints::Ejection;
use crate::backends::{Exit, Instance, InstanceId, ProcessIdentity};
use crate::checks::instances;
use crate::clock::Offset;
use crate::plan::{
    Arrivals, Backend, Claim, Database, DatabaseSetup, Gate, GateMetric, Lab, LoadPlan, Mix, PausePoint, Persistence,
    Plan, ProbePlan, ReadKeys, RedisPlan, Replaced, Role, RunKey, RunPhase, SettlePlan, Shape, Slot, StepKind,
    StepPlan, StopMode, StopPlan, Strategy, TargetPlan, WorkerPlan,
};
use crate::readback::{Applied, Checkpoint, Source};
use crate::timeline::incident::{Met, ProofOf};
use crate::timeline::{Exposure, Held, Incidents, Proof, StepRecord, StopRecord};

pub(super) const MS: fn(u64) -> Duration = Duration::from_millis;
pub(super) const S: fn(u64) -> Duration = Duration::from_secs;

pub(super) fn rolling_update() -> Plan {
    let victims = [slot(Role::Api, 1), slot(Role::Worker, 1)];
    let slots = vec![slot(Role::Worker, 1), slot(Role::Worker, 2), slot(Role::Api, 1), slot(Role::Api, 2)];
    let timeline = vec![step(1, S(10), StopMode::Graceful, &victims), step(2, S(35), StopMode::Hard, &victims)];
    plan(Strategy::Redis, slots, timeline, true)
}

pub(super) fn in_memory() -> Plan {
    let slots = vec![slot(Role::All, 1), slot(Role::All, 2)];
    let timeline = vec![step(1, S(20), StopMode::Graceful, &slots)];
    plan(Strategy::InMemory, slots, timeline, true)
}

pub(super) fn load_test() -> Plan {
    let slots = vec![slot(Role::Worker, 1), slot(Role::Api, 1), slot(Role::Api, 2)];
    plan(Strategy::Redis, slots, Vec::new(), false)
}

pub(super) fn slot(role: Role, number: u16) -> Slot {
    Slot { role, number }
}

pub(super) fn plan(strategy: Strategy, slots: Vec<Slot>, timeline: Vec<StepPlan>, witness: bool) -> Plan {
    Plan {
        name: "canned".into(),
        run: RunKey { number: 17, seed: 4 },
        lab: Lab::Own,
        url: None,
        target: target(strategy, slots, witness),
        load: load(),
        claims: if timeline.is_empty() { Vec::new() } else { vec![Claim::F2] },
        timeline,
        settle: SettlePlan { quiet: S(9), poll: MS(100), deadline: S(30), hard_cap: S(120) },
        gates: vec![
            Gate { metric: GateMetric::P99, phase: Some(RunPhase::Steady), limit: 0.1 },
            Gate { metric: GateMetric::ErrorRate, phase: Some(RunPhase::Steady), limit: 0.001 },
        ],
        notes: Vec::new(),
        require_selftest: false,
        sabotage: None,
    }
}

fn target(strategy: Strategy, slots: Vec<Slot>, witness: bool) -> TargetPlan {
    TargetPlan {
        backend: Backend::Process,
        strategy,
        database: Database::Sqlite,
        existing: None,
        slots,
        worker: WorkerPlan {
            batch: 256,
            flush_interval: MS(200),
            lease: S(5),
            redrive_scan: S(1),
            max_attempts: 5,
            backoff_max: S(2),
        },
        probe: ProbePlan { interval: MS(100), timeout: MS(200), endpoint_lag: MS(400) },
        redis: RedisPlan {
            appendfsync: "always".into(),
            persistence: Persistence::Aof,
            proxied: false,
            replicated: false,
        },
        database_setup: DatabaseSetup::default(),
        witness,
        grace: S(10),
        ready_within: S(20),
        seeded_bug: None,
        clock_offsets: Vec::new(),
    }
}

fn load() -> LoadPlan {
    LoadPlan {
        shape: Shape::constant(100.0, S(super::SECONDS)),
        mix: Mix { write_once: 800, hot_key: 150, read: 50, poison: 0, request: 0 },
        hot_keys: 4,
        arrivals: Arrivals::Even,
        closed: None,
        read_keys: ReadKeys::All,
        connections: 50,
        shards: 1,
        request_timeout: S(2),
        grace: S(4),
        own_lag_limit: MS(20),
        rate_floor: 0.99,
        rate_tolerance: MS(20),
        acked_floor: 0.9,
    }
}

fn step(number: usize, at: Duration, mode: StopMode, victims: &[Slot]) -> StepPlan {
    let id = format!("{number}:rolling-update");
    let stop = |victim: &Slot| StopPlan {
        id: format!("{id}/{victim}"),
        slot: victim.clone(),
        mode,
        replaced: if mode == StopMode::Graceful { Replaced::Before } else { Replaced::After },
        hold: Some(if victim.role.writes_rows() { PausePoint::WorkerLeased } else { PausePoint::OfferRegistered }),
        hold_within: S(2),
        grace: S(10),
        lasts: Duration::ZERO,
        window: S(5),
        window_acks_min: 200,
    };
    StepPlan {
        stops: victims.iter().map(stop).collect(),
        id,
        kind: StepKind::RollingUpdate,
        at,
        when: None,
        starts: Vec::new(),
        disturbance: None,
    }
}

/// Everything went as planned: each stop took its second, with its proof.
pub(super) fn rolled(plan: &Plan) -> Incidents {
    let mut incidents = Incidents { depths: depths(), ..Incidents::default() };
    for slot in &plan.target.slots {
        born(&mut incidents, slot);
    }
    for step in &plan.timeline {
        let mut now = Offset::from_duration(step.at);
        let mut record = StepRecord::begin(step, now);
        for start in &step.starts {
            record.condition = step.when.map(|when| Met { at: now, value: when.at_least + 10 });
            let started = scaling::started(&mut incidents, start, now);
            now = started.ready.expect("a canned start is ready").plus(MS(200));
            record.starts.push(started);
        }
        for stop in &step.stops {
            let play = if stop.mode.pauses() { scaling::paused } else { stopped };
            let stopped = play(&mut incidents, stop, now);
            now = stopped.healed.expect("a canned stop heals").plus(MS(200));
            record.stops.push(stopped);
        }
        record.ended = now;
        incidents.steps.push(record);
    }
    incidents.cpu = scaling::cpu(&incidents);
    incidents
}

/// Ten readings a second of a buffer that every flush empties.
fn depths() -> Vec<(Offset, u64)> {
    (0..super::SECONDS * 10).map(|i| (Offset(i * 100_000_000), (i % 2) * 60)).collect()
}

pub(super) fn born(incidents: &mut Incidents, slot: &Slot) -> Instance {
    let lives = incidents.roster.iter().filter(|instance| instance.slot == *slot).count() + 1;
    let id = InstanceId(incidents.roster.len() as u16);
    let pid = 1000 + i32::from(id.0);
    let instance = Instance {
        id,
        name: format!("{slot}.{lives}"),
        slot: slot.clone(),
        process: Some(ProcessIdentity { pid, start_ticks: 5000 + u64::from(id.0) }),
        addr: ([127, 0, 0, 1], 40000 + id.0).into(),
    };
    incidents.roster.push(instance.clone());
    instance
}

fn stopped(incidents: &mut Incidents, stop: &StopPlan, began: Offset) -> StopRecord {
    let victim = incidents.roster.iter().rfind(|instance| instance.slot == stop.slot).expect("a full slot").clone();
    let replacement = born(incidents, &stop.slot);
    let hard = stop.mode == StopMode::Hard;
    let frozen = hard.then(|| began.plus(MS(100)));
    let signalled = began.plus(MS(150));
    let ended = began.plus(if hard { MS(160) } else { MS(600) });
    // A graceful victim goes on serving for its endpoint lag, until a probe has seen its readiness go off.
    let ejected = began.plus(if hard { MS(170) } else { MS(320) });
    incidents.ejections.push(Ejection { id: victim.id, at: ejected, why: if hard { "reset" } else { "probe" }.into() });
    StopRecord {
        id: stop.id.clone(),
        mode: stop.mode,
        held: Some(Held {
            point: stop.hold.expect("a canned stop holds a task"),
            tasks: 3,
            at: began.plus(MS(50)),
            released: (!hard).then_some(signalled),
        }),
        frozen,
        exposure: exposure(stop, began.plus(MS(120))),
        checkpoint: None,
        resumed: None,
        signalled: Some(signalled),
        killed_after_grace: false,
        exit: Some(Exit { at: ended, code: (!hard).then_some(0), signal: hard.then_some(9) }),
        healed: Some(began.plus(MS(1000))),
        proof: proof(&victim, &replacement),
        victim,
        began,
        replacement: Some(replacement),
        error: None,
    }
}

pub(super) fn exposure(stop: &StopPlan, at: Offset) -> Exposure {
    match stop.slot.role {
        Role::Worker => Exposure::Leases { tasks: 37 },
        Role::Api => Exposure::OffersInFlight { operations: 1 },
        Role::All => {
            let applied = Source::Read(Applied::default());
            Exposure::Unwritten(Box::new(Checkpoint { stop: stop.id.clone(), at, applied, sizes: Vec::new() }))
        }
    }
}

pub(super) fn proof(victim: &Instance, replacement: &Instance) -> Vec<Proof> {
    let [old, new] = [victim, replacement].map(|instance| instance.process.expect("canned ones have processes").pid);
    let proof = |of, what: &str, seen| Proof { of, what: what.into(), seen, holds: true };
    vec![
        proof(ProofOf::Mechanism, "its process ended", format!("pid {old} reaped")),
        proof(ProofOf::Symptom, "a new process serves the slot", format!("pid {old} → {new}")),
    ]
}

/// Who gets an operation that is sent at this moment, and whether it answers.
pub(super) fn routed(incidents: &Incidents, index: u64, sent: Offset) -> (InstanceId, bool) {
    let stops = || incidents.steps.iter().flat_map(|step| &step.stops);
    let again =
        |id| stops().filter(move |stop| stop.victim.id == id && stop.resumed.is_some()).filter_map(|s| s.healed);
    let out = |e: &Ejection| e.at <= sent && !again(e.id).any(|healed| e.at <= healed && healed <= sent);
    let in_rotation = |instance: &&Instance| {
        let ready = instances::ready(incidents, instance.id) <= sent;
        let gone = incidents.ejections.iter().any(|ejection| ejection.id == instance.id && out(ejection));
        instance.slot.role.answers_requests() && ready && !gone
    };
    let rotation: Vec<&Instance> = incidents.roster.iter().filter(in_rotation).collect();
    let chosen = rotation[index as usize % rotation.len()];
    let silences = |stop: &StopRecord| {
        let frozen = stop.frozen.is_some_and(|frozen| sent >= frozen.minus(MS(3)));
        stop.victim.id == chosen.id && frozen && stop.resumed.is_none_or(|resumed| sent < resumed)
    };
    let silent = stops().any(silences);
    (chosen.id, !silent)
}
