//! What the shipped scenarios need of a machine, from their plans.

use crate::footprint::disk_bytes;
use crate::journal::SENTINELS;
use crate::plan::{Database, Given, Plan, Strategy};
use crate::scenario::{Overrides, Scenario, Source, shipped};

/// The most that any of them needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    pub redis: bool,
    /// Open files of one process.
    pub open_files: u64,
    /// Ports of 127.0.0.1 that somebody listens on.
    pub ports: usize,
    pub disk_bytes: u64,
}

/// What a process has open beside its connections: libraries, logs, ledger, database, sockets of children.
const FILES_BESIDE: u64 = 128;
impl Needs {
    pub fn of_shipped_scenarios() -> Needs {
        let plans = shipped().iter().map(|(name, _)| plan(name));
        plans.map(|plan| Needs::of(&plan)).fold(Needs::default(), Needs::and)
    }

    fn of(plan: &Plan) -> Needs {
        let api = plan.target.slots.iter().filter(|slot| slot.role.answers_requests()).count() as u64;
        Needs {
            redis: plan.target.strategy == Strategy::Redis,
            open_files: u64::from(plan.load.connections) * api + FILES_BESIDE,
            // Each instance, and the one that replaces it.
            ports: 2 * plan.target.slots.len() + redis_ports(plan) + database_ports(plan),
            disk_bytes: disk_bytes(plan),
        }
    }

    fn and(self, other: Needs) -> Needs {
        Needs {
            redis: self.redis || other.redis,
            open_files: self.open_files.max(other.open_files),
            ports: self.ports.max(other.ports),
            disk_bytes: self.disk_bytes.max(other.disk_bytes),
        }
    }
}

/// Redis, its replica, and the link to each of them; the proxy in front of it; its sentinels.
fn redis_ports(plan: &Plan) -> usize {
    if !plan.target.strategy.shared() {
        return 0;
    }
    let redis = &plan.target.redis;
    let watched = plan.disturbances().any(|planned| planned.disturbance.sheet().sentinels);
    1 + 3 * usize::from(redis.replicated) + usize::from(redis.proxied) + SENTINELS.len() * usize::from(watched)
}

/// A server of the run's own, and the proxy in front of it.
fn database_ports(plan: &Plan) -> usize {
    let target = &plan.target;
    match target.database == Database::Sqlite || target.existing.is_some() {
        true => 0,
        false => 1 + usize::from(target.database_setup.proxied),
    }
}

fn plan(name: &str) -> Plan {
    let source = Source::load(name).expect("it ships");
    let given = Given { run_number: 1, seed: 1 };
    Plan::resolve(Scenario::read(&source), Overrides::default(), given).expect("a shipped scenario has no problems")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_scenarios_need_redis_and_a_connection_to_each_instance() {
        let needs = Needs::of_shipped_scenarios();
        assert!(needs.redis);
        assert!(needs.open_files >= 3 * 50 && needs.ports >= 6, "{needs:?}");
        assert!(needs.disk_bytes > 48_000 * 64, "{needs:?}");
    }

    #[test]
    fn whoever_listens_around_redis_has_its_port() {
        let plan = plan("redis-failure");
        // Two servers, a link to each, the proxy, three sentinels.
        assert_eq!((redis_ports(&plan), database_ports(&plan)), (8, 0));
        assert_eq!(redis_ports(&super::plan("rolling-update")), 1);
    }
}
