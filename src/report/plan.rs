//! A plan in two lines, and the names of what it declares.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::{brief, thousands};
use crate::plan::{Arrivals, Backend, LoadPlan, Persistence, Plan, Role, Strategy, TargetPlan, UrlTarget};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanSummary {
    pub name: String,
    pub run_number: u32,
    pub seed: u64,
    /// `V5 redis (appendfsync always), 3 api + 2 worker, sqlite, witness on`; `…, in-process`.
    pub target: String,
    /// `800 operations/s for 60 s: 80 % write-once, 15 % hot-key (64 keys), 5 % read`.
    pub load: String,
    /// Asked, on average; of a closed loop 0: nothing was asked.
    pub rps: f64,
    pub load_duration: Duration,
    /// What the scenario asked for and the plan left out, and what its figures are not.
    pub notes: Vec<String>,
}

impl PlanSummary {
    pub fn of(plan: &Plan) -> PlanSummary {
        PlanSummary {
            name: plan.name.clone(),
            run_number: plan.run.number,
            seed: plan.run.seed,
            target: plan.url.as_ref().map_or_else(|| target(&plan.target), url) + &sabotage(plan),
            load: load(&plan.load),
            rps: if plan.load.closed.is_some() { 0.0 } else { plan.load.shape.mean_rps() },
            load_duration: plan.load.duration(),
            notes: plan.notes.clone(),
        }
    }
}

/// The names under which the plan's claims, gates, starts, stops and disturbances are judged.
pub fn declared(plan: &Plan) -> Vec<String> {
    let claims = plan.claims.iter().map(|claim| claim.word().to_owned());
    let gates = plan.gates.iter().map(|gate| gate.name());
    let starts = plan.timeline.iter().flat_map(|step| &step.starts).map(|start| start.id.clone());
    let disturbances = plan.disturbances().map(|disturbance| disturbance.id.clone());
    let stops = plan.stops().map(|stop| stop.id.clone());
    claims.chain(gates).chain(starts).chain(stops).chain(disturbances).collect()
}

fn target(target: &TargetPlan) -> String {
    let strategy = match target.strategy {
        Strategy::InMemory => String::new(),
        Strategy::Redis if target.redis.persistence == Persistence::None => " (no persistence)".to_owned(),
        Strategy::Redis => {
            let replica = if target.redis.replicated { " + replica" } else { "" };
            format!(" (appendfsync {}{replica})", target.redis.appendfsync)
        }
    };
    let database = target.existing.as_ref().map_or_else(|| target.database.word().to_owned(), ToString::to_string);
    let witness = if target.witness { "on" } else { "off" };
    let backend = match target.backend {
        Backend::Process => "",
        Backend::InProcess => ", in-process",
    };
    let (generation, word) = (target.strategy.generation(), target.strategy.word());
    let clocks = target.clocks_in_words().map_or_else(String::new, |clocks| format!(", clock of {clocks}"));
    let bug = target.seeded_bug.as_ref().map_or_else(String::new, |bug| format!(", SEEDED BUG {bug}"));
    format!("{generation} {word}{strategy}, {}, {database}, witness {witness}{backend}{clocks}{bug}", instances(target))
}

/// `POST https://127.0.0.1:8443/path, HTTP/2 over TLS, expects 2xx`.
fn url(target: &UrlTarget) -> String {
    let protocol = if target.protocol.is_plain() { String::new() } else { format!(", {}", target.protocol) };
    format!("{} {}{protocol}, expects {}", target.method, target.url, target.expect)
}

/// `, SABOTAGED wrong-target`: nobody takes such a run for one of the product.
fn sabotage(plan: &Plan) -> String {
    plan.sabotage.map_or_else(String::new, |sabotage| format!(", SABOTAGED {}", sabotage.word()))
}

/// `3 api + 2 worker`.
fn instances(target: &TargetPlan) -> String {
    let of = |role| target.slots.iter().filter(|slot| slot.role == role).count();
    let roles = [Role::Api, Role::Worker, Role::All].into_iter().filter(|role| of(*role) > 0);
    roles.map(|role| format!("{} {}", of(role), role.word())).collect::<Vec<_>>().join(" + ")
}

fn load(load: &LoadPlan) -> String {
    let hot = format!("hot-key ({} keys)", thousands(load.hot_keys.into()));
    let lanes = [
        (load.mix.write_once, "write-once"),
        (load.mix.hot_key, &hot),
        (load.mix.read, "read"),
        (load.mix.poison, "poison"),
        (load.mix.request, "requests"),
    ];
    let mix = lanes.into_iter().filter(|(permille, _)| *permille > 0);
    let mix: Vec<_> = mix.map(|(permille, lane)| format!("{} % {lane}", f64::from(permille) / 10.0)).collect();
    let mix = mix.join(", ");
    let arrivals = if load.arrivals == Arrivals::Even { "" } else { ", Poisson arrivals" };
    if let Some(at_once) = load.closed {
        return format!("a closed loop of {at_once} at a time for {}: {mix}", brief(load.duration()));
    }
    match load.shape.stages.as_slice() {
        [only] if only.is_level() => {
            format!("{} operations/s for {}{arrivals}: {mix}", only.from_rps, brief(only.lasts))
        }
        _ => format!("{} (operations/s){arrivals}: {mix}", load.shape),
    }
}
