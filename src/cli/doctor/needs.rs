//! What the shipped scenarios need of a machine, from their plans.

use crate::footprint::disk_bytes;
use crate::plan::{Given, Plan, Strategy};
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
            // Each instance, and the one that replaces it; the server of the buffer.
            ports: 2 * plan.target.slots.len() + 1,
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
}
