//! What a plan does to its target, as far as a bug can tell: which stops, under which load, judged by what.
//!
//! In: a [`Plan`]. Out: a [`Reach`]. A plan that does all that another one does, on the same strategy, backend and database,
//! exposes what that one exposes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Backend, ClockOffset, Database, Plan, StopPlan, Strategy};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    pub strategy: Strategy,
    pub backend: Backend,
    /// In results of before it stood there, the only one that was tried.
    #[serde(default = "sqlite")]
    pub database: Database,
    pub witness: bool,
    /// Lanes that write: `write-once`, `hot-key`, `poison`.
    pub lanes: BTreeSet<String>,
    /// `hard worker at worker.leased`, `start`, `redis-kill`, `clock of worker behind`.
    pub acts: BTreeSet<String>,
    /// Claims and gates, by name.
    pub judged_by: BTreeSet<String>,
}

impl Reach {
    pub fn of(plan: &Plan) -> Reach {
        let mix = plan.load.mix;
        let lanes = [("write-once", mix.write_once), ("hot-key", mix.hot_key), ("poison", mix.poison)];
        let starts = plan.timeline.iter().any(|step| !step.starts.is_empty()).then(|| "start".to_owned());
        let clocks = plan.target.clock_offsets.iter().map(clock);
        let disturbances = plan.disturbances().map(|planned| planned.disturbance.word().to_owned());
        let claims = plan.claims.iter().map(|claim| claim.word().to_owned());
        Reach {
            strategy: plan.target.strategy,
            backend: plan.target.backend,
            database: plan.target.database,
            witness: plan.target.witness,
            lanes: lanes.into_iter().filter(|(_, share)| *share > 0).map(|(lane, _)| lane.to_owned()).collect(),
            acts: plan.stops().map(act).chain(starts).chain(disturbances).chain(clocks).collect(),
            judged_by: claims.chain(plan.gates.iter().map(|gate| gate.name())).collect(),
        }
    }

    /// The same, asking for no other judges than these.
    pub fn judged_only_by(mut self, checks: &[&str]) -> Reach {
        self.judged_by.retain(|name| checks.contains(&name.as_str()));
        self
    }

    /// Whether it does all that the other one does.
    pub fn covers(&self, other: &Reach) -> bool {
        (self.strategy, self.backend, self.database) == (other.strategy, other.backend, other.database)
            && self.witness >= other.witness
            && self.lanes.is_superset(&other.lanes)
            && self.acts.is_superset(&other.acts)
            && self.judged_by.is_superset(&other.judged_by)
    }
}

fn sqlite() -> Database {
    Database::Sqlite
}

fn clock(offset: &ClockOffset) -> String {
    let way = if offset.ahead_ms < 0 { "behind" } else { "ahead" };
    format!("clock of {} {way}", offset.slot.role.word())
}

fn act(stop: &StopPlan) -> String {
    let hold = stop.hold.map_or("any moment", |point| point.word());
    format!("{} {} at {hold}", stop.mode.word(), stop.slot.role.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Given;
    use crate::scenario::{Overrides, Scenario, Source};

    fn reach(name: &str) -> Reach {
        let scenario = Scenario::read(&Source::load(name).unwrap());
        Reach::of(&Plan::resolve(scenario, Overrides::default(), Given { run_number: 7, seed: 1 }).unwrap())
    }

    #[test]
    fn a_plan_covers_what_does_no_more_than_it_does() {
        let whole = reach("rolling-update");
        let mut part = whole.clone();
        part.acts.retain(|act| act == "hard worker at worker.leased");
        assert_eq!(part.acts.len(), 1, "{whole:?}");
        assert!(whole.covers(&part) && whole.covers(&whole) && !part.covers(&whole));
        for other in [reach("scale-out"), reach("loadtest")] {
            assert!(!whole.covers(&other) && !other.covers(&whole));
        }
    }

    #[test]
    fn what_was_caught_on_one_database_says_nothing_of_another() {
        let on_sqlite = reach("rolling-update");
        let on_postgres = Reach { database: Database::Postgres, ..on_sqlite.clone() };
        assert!(!on_postgres.covers(&on_sqlite) && !on_sqlite.covers(&on_postgres));
        let mut stored = serde_json::to_value(&on_sqlite).unwrap();
        stored.as_object_mut().unwrap().remove("database");
        assert_eq!(serde_json::from_value::<Reach>(stored).unwrap(), on_sqlite);
    }

    #[test]
    fn what_exposes_a_bug_need_not_be_judged_by_all_that_judged_it() {
        let whole = reach("rolling-update");
        let own = whole.clone().judged_only_by(&["F2"]);
        assert_eq!(own.judged_by.iter().collect::<Vec<_>>(), ["F2"]);
        assert!(whole.covers(&own) && !own.covers(&whole));
    }
}
