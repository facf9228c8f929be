//! The zoo: every seeded bug, the correct twin of every scenario, and the controls.
//!
//! A bug is caught only by what is named for it here. `bug` is the word in the service's `buffer.bug`; a control may use one,
//! too, where the service has to be set up so that nothing can be shown.
//!
//! # Adding a bug
//! Its file in the target service (`testbed/src/bugs/`), its line here, and, where none of the scenarios exposes it, a
//! scenario with a twin. The window that it needs is held open by a pause point of the scenario, or is always open.

use std::path::Path;

use super::expected::Expected;
use super::tamper;
use crate::checks::Class::{Lost, Stale, Stranded};
use crate::plan::Sabotage;
use crate::proven::Kind::{self, Bug, Control, Twin};

/// One run, and what it must come to.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    /// Of the zoo's own.
    pub scenario: &'static str,
    /// In place of the scenario's.
    pub strategy: Option<&'static str>,
    /// How Redis is set up, in place of the scenario's `persistence` and `appendfsync`.
    pub persistence: Option<&'static str>,
    pub appendfsync: Option<&'static str>,
    /// What is seeded into the service; `None` also where the mistake is in how its Redis is set up.
    pub bug: Option<&'static str>,
    /// What is done to mxctl itself.
    pub sabotage: Option<Sabotage>,
    /// The twin of a bug: the same scenario, and the correct service.
    pub twin: Option<&'static str>,
    pub expected: Expected,
    /// What is done to the run's folder before it is judged again.
    pub tampered: Option<fn(&Path) -> std::io::Result<()>>,
    /// Among those of `--quick`.
    pub quick: bool,
    /// Judged by a limit of time or errors, which other runs on the machine would void: never beside another one.
    pub alone: bool,
}

const fn bug(name: &'static str, scenario: &'static str, expected: Expected) -> Case {
    Case { bug: Some(name), twin: Some(scenario), ..case(name, Bug, scenario, expected) }
}

/// A bug that shows in another way under another name.
const fn of(bug: &'static str, case: Case) -> Case {
    Case { bug: Some(bug), ..case }
}

/// The correct service; it is called as its scenario.
const fn twin(scenario: &'static str) -> Case {
    case(scenario, Twin, scenario, Expected::Pass)
}

const fn control(name: &'static str, scenario: &'static str, check: &'static str, says: &'static str) -> Case {
    case(name, Control, scenario, Expected::Inconclusive(check, says))
}

/// A control with a service that is set up so that nothing can be shown.
const fn set_up(name: &'static str, scenario: &'static str, check: &'static str, says: &'static str) -> Case {
    Case { bug: Some(name), ..control(name, scenario, check, says) }
}

/// A control with a part of mxctl itself that is wrong.
const fn sabotaged(name: &'static str, by: Sabotage, scenario: &'static str, undecided: [&'static str; 2]) -> Case {
    Case { sabotage: Some(by), ..control(name, scenario, undecided[0], undecided[1]) }
}

/// A control over the folder of a run that was sound.
const fn tampered(name: &'static str, by: fn(&Path) -> std::io::Result<()>, says: &'static str) -> Case {
    Case { tampered: Some(by), ..control(name, "bursts", "evidence", says) }
}

const fn case(name: &'static str, kind: Kind, scenario: &'static str, expected: Expected) -> Case {
    Case {
        name,
        kind,
        scenario,
        strategy: None,
        persistence: None,
        appendfsync: None,
        bug: None,
        sabotage: None,
        twin: None,
        expected,
        tampered: None,
        quick: false,
        alone: matches!(expected, Expected::GateAlone(_)),
    }
}

/// Also of the short selftest.
const fn quick(case: Case) -> Case {
    Case { quick: true, ..case }
}

/// Never beside another run: what it measures is what another one would disturb.
const fn alone(case: Case) -> Case {
    Case { alone: true, ..case }
}

/// With another strategy than its scenario, and so than its twin.
const fn with(strategy: &'static str, case: Case) -> Case {
    Case { strategy: Some(strategy), ..case }
}

/// The mistake is none of the service's: another scenario or set-up than its twin has.
const fn around_it(case: Case) -> Case {
    Case { bug: None, ..case }
}

/// By which check a sabotaged run is undecided, and in which words.
const NO_KILL: [&str; 2] = ["F2", "not proven: the process was ended by SIGKILL"];
const NO_TOXIC: [&str; 2] = ["redis-failure", "not proven: the proxy delays answers"];
const NO_LOCK: [&str; 2] = ["database-failure", "not proven: nobody else can begin a transaction that writes"];
const NOT_REPLACED: [&str; 2] = ["F2", "not proven: another process fills the slot"];
const NO_MARKER: [&str; 2] = ["evidence", "the marker that was committed after settling is not visible"];
const STALLED: [&str; 2] = ["F2", "own lag p99 was"];
const STARVED: [&str; 2] = ["generator", "below the floor of 99 %"];

pub const ZOO: &[Case] = &[
    // Instances that die while they hold work.
    quick(bug("pop-then-crash", "hard-redis", Expected::Class(Lost))),
    quick(bug("no-redrive", "hard-redis", Expected::Class(Stranded))),
    quick(bug("ack-before-enqueue", "hard-redis", Expected::Class(Lost))),
    quick(twin("hard-redis")),
    // Instances that are told to end.
    bug("sigterm-ignored", "graceful-memory", Expected::Class(Lost)),
    bug("offer-drain-race", "graceful-memory", Expected::Class(Lost)),
    quick(bug("dead-drain-tracker", "graceful-memory", Expected::Class(Lost))),
    bug("drain-after-close", "graceful-memory", Expected::Class(Lost)),
    bug("drain-beyond-grace", "graceful-memory", Expected::Class(Lost)),
    bug("ring-drops-oldest", "graceful-memory", Expected::Class(Lost)),
    quick(twin("graceful-memory")),
    quick(bug("no-prestop", "graceful-redis", Expected::GateAlone("error_rate.fault"))),
    bug("undecodable-vanishes", "graceful-redis", Expected::Class(Stranded)),
    quick(twin("graceful-redis")),
    // Nodes whose own clock is wrong.
    quick(bug("client-clock-lease", "clock-behind", Expected::Check("duplicates"))),
    quick(twin("clock-behind")),
    of("client-clock-lease", bug("client-clock-lease-late", "clock-ahead", Expected::Class(Stranded))),
    twin("clock-ahead"),
    quick(bug("lifo", "order", Expected::Check("reordered"))),
    quick(twin("order")),
    // Instances that hang.
    quick(with("in-memory", bug("flush-behind-global-lock", "scale-out", Expected::CheckAnd("F1", Stranded)))),
    quick(twin("scale-out")),
    bug("range-then-trim", "frozen-workers", Expected::Class(Lost)),
    bug("ack-by-id", "frozen-workers", Expected::Class(Lost)),
    twin("frozen-workers"),
    quick(bug("unversioned-upsert", "late-writer", Expected::Class(Stale))),
    quick(twin("late-writer")),
    // Redis that fails.
    quick(bug("push-error-swallowed", "redis-refuses", Expected::Class(Lost))),
    bug("oom-refusal-ignored", "redis-refuses", Expected::Class(Lost)),
    bug("unbounded-fallback", "redis-refuses", Expected::Class(Lost)),
    quick(twin("redis-refuses")),
    bug("timeout-is-success", "lost-requests", Expected::Class(Lost)),
    twin("lost-requests"),
    bug("resend-after-timeout", "lost-replies", Expected::Check("duplicates")),
    twin("lost-replies"),
    Case { persistence: Some("none"), ..around_it(bug("no-persistence", "redis-killed", Expected::Class(Lost))) },
    twin("redis-killed"),
    Case { appendfsync: Some("everysec"), ..case("fsync-everysec-tail", Control, "redis-killed", Expected::Pass) },
    bug("evicting-redis", "redis-evicts", Expected::Class(Lost)),
    twin("redis-evicts"),
    bug("stuck-readonly", "redis-failover", Expected::GateAlone("recovery")),
    around_it(Case {
        twin: Some("redis-failover"),
        ..bug("async-failover", "redis-failover-lagging", Expected::Class(Lost))
    }),
    twin("redis-failover"),
    // A database that is away for a while.
    quick(bug("drop-on-db-error", "locked", Expected::CheckAnd("database-failure", Lost))),
    bug("lease-too-short", "locked", Expected::Check("duplicates")),
    quick(twin("locked")),
    // No fault at all.
    bug("one-slot-per-key", "bursts", Expected::Class(Lost)),
    bug("twice-in-one-batch", "bursts", Expected::Class(Stranded)),
    quick(bug("typo-is-in-memory", "bursts", Expected::Check("broker"))),
    quick(twin("bursts")),
    quick(bug("poison-stalls", "poison", Expected::Class(Stranded))),
    bug("poison-drops-batch", "poison", Expected::Class(Lost)),
    quick(bug("attempt-reset", "poison", Expected::Check("attempts"))),
    quick(twin("poison")),
    // What is harmless must pass, and what proves nothing must say so.
    case("commit-then-crash", Control, "committed", Expected::PassWithDuplicates),
    quick(control("exposure-0", "nothing-held", "F2", "exposure 0")),
    quick(control("step-that-never-fires", "never", "F2", "it never fired")),
    quick(control("late-generator", "late", "generator", "own lag p99")),
    quick(set_up("error-pages", "bursts", "answers", "0 of")),
    quick(set_up("another-key", "bursts", "evidence", "the queue probe never saw anything")),
    set_up("slow-database", "undrained", "evidence", "still draining at the hard cap"),
    // A harness that is wrong itself must see through itself.
    quick(sabotaged("fault-does-nothing", Sabotage::FaultDoesNothing, "hard-redis", NO_KILL)),
    sabotaged("redis-fault-does-nothing", Sabotage::FaultDoesNothing, "redis-struck", NO_TOXIC),
    sabotaged("database-fault-does-nothing", Sabotage::FaultDoesNothing, "locked", NO_LOCK),
    quick(sabotaged("wrong-target", Sabotage::WrongTarget, "hard-redis", NOT_REPLACED)),
    quick(sabotaged("lagging-reader", Sabotage::LaggingReader, "bursts", NO_MARKER)),
    alone(sabotaged("generator-stall-at-kill", Sabotage::GeneratorStallAtKill, "hard-redis", STALLED)),
    sabotaged("generator-below-its-rate", Sabotage::StarveGenerator, "bursts", STARVED),
    tampered("truncated-ledger", tamper::cut_the_ledger, "the ledger is torn"),
    tampered("reader-behind-a-limit", tamper::limit_the_reader, "rows, and"),
    tampered("rows-of-an-earlier-run", tamper::number_another_run, "records of the ledger are not what the plan says"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::selftest::scenarios;

    #[test]
    fn every_name_is_there_once_and_every_scenario_is_used() {
        let names: BTreeSet<&str> = ZOO.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), ZOO.len());
        let used: BTreeSet<&str> = ZOO.iter().map(|case| case.scenario).collect();
        assert_eq!(used, scenarios().iter().map(|(name, _)| *name).collect());
    }

    #[test]
    fn every_bug_has_a_twin_and_a_quick_one_a_quick_twin() {
        for bug in ZOO.iter().filter(|case| case.kind == Bug) {
            let twin = ZOO.iter().find(|case| Some(case.name) == bug.twin).expect("a twin in the zoo");
            assert_eq!((twin.kind, twin.bug), (Twin, None), "{}", bug.name);
            assert!(twin.quick >= bug.quick, "{}", bug.name);
        }
    }
}
