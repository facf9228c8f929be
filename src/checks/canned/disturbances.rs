//! A canned failure of Redis: killed at 20 s, back at 23 s.

use super::plans::{self, MS, S, slot};
use crate::clock::Offset;
use crate::plan::{Claim, Disturbance, DisturbancePlan, Plan, Role, StepKind, StepPlan, Strategy};
use crate::timeline::incident::ProofOf;
use crate::timeline::{DisturbanceRecord, Incidents, Proof};

const ID: &str = "1:redis-kill";

pub(super) fn plan() -> Plan {
    let slots = vec![slot(Role::Worker, 1), slot(Role::Api, 1), slot(Role::Api, 2)];
    let disturbance = DisturbancePlan {
        id: ID.into(),
        disturbance: Disturbance::RedisKill,
        lasts: S(2),
        delay: S(0),
        hold_within: S(5),
        window: S(5),
        window_acks_min: 200,
    };
    let step = StepPlan {
        id: ID.into(),
        kind: StepKind::Disturb(Disturbance::RedisKill),
        at: S(20),
        when: None,
        starts: Vec::new(),
        stops: Vec::new(),
        disturbance: Some(disturbance),
    };
    Plan {
        name: "redis-failure-v5".into(),
        claims: vec![Claim::RedisFailure],
        ..plans::plan(Strategy::Redis, slots, vec![step], true)
    }
}

/// Whether Redis takes no write at this moment.
pub(super) fn is_away(at: Offset) -> bool {
    (began()..began().plus(S(3))).contains(&at)
}

fn began() -> Offset {
    Offset::from_duration(S(20))
}

pub(super) fn played(plan: &Plan) -> Incidents {
    let mut incidents = plans::rolled(plan);
    let planned = plan.disturbances().next().expect("one is planned");
    let proof = |of, what: &str| Proof { of, what: what.into(), seen: "yes".into(), holds: true };
    incidents.steps[0].disturbance = Some(DisturbanceRecord {
        exposure: Some(312),
        done: Some(began().plus(MS(10))),
        undone: Some(began().plus(MS(2_020))),
        healed: Some(began().plus(S(3))),
        proof: vec![
            proof(ProofOf::Before, "an own write is stored"),
            proof(ProofOf::Mechanism, "the process was ended by SIGKILL"),
            proof(ProofOf::Symptom, "own writes: connections are refused"),
            proof(ProofOf::Heal, "an own write is stored"),
        ],
        ..DisturbanceRecord::begin(planned, began())
    });
    incidents
}
