//! Whose clock is wrong, and by how much.

use crate::plan::{ClockOffset, Slot, Strategy};
use crate::scenario::{ClockLine, Entry, Located, Target, Word};

use super::Remarks;
use super::filled::Named;

/// Far beyond what asking an instance for its time takes.
const LEAST_MS: u64 = 3_000;

/// In the order of the slots.
pub fn resolve(target: &Target, slots: &[Slot], strategy: Strategy, remarks: &mut Remarks) -> Vec<ClockOffset> {
    let Entry::Given(lines) = &target.clock_offset else { return Vec::new() };
    let lines = &lines.value;
    let mut offsets: Vec<ClockOffset> = lines.iter().filter_map(|line| one(line, slots, strategy, remarks)).collect();
    offsets.sort_by(|a, b| a.slot.cmp(&b.slot));
    offsets
}

fn one(line: &ClockLine, slots: &[Slot], strategy: Strategy, remarks: &mut Remarks) -> Option<ClockOffset> {
    let ClockLine { slot: named, ahead } = line;
    let found = slots.iter().find(|slot| slot.to_string() == named.value.0);
    if ahead.value.0.unsigned_abs() < LEAST_MS {
        let message = format!("a clock that is wrong by {} cannot be told from one that is right", ahead.value);
        remarks.problem(&ahead.place, message, "make it 3s or more, ahead or behind");
        return None;
    }
    if let Some(slot) = found {
        return Some(ClockOffset { slot: slot.clone(), ahead_ms: ahead.value.0 });
    }
    if !strategy.shared() && Named::parse(&named.value.0).is_some() {
        return refuse_in_memory(named, remarks);
    }
    let known: Vec<String> = slots.iter().map(Slot::to_string).collect();
    let message = format!("`{}` is no instance of this target", named.value.0);
    remarks.problem(&named.place, message, format!("it has {}", known.join(", ")));
    None
}

/// Left out, a run would say nothing of what it was to put to the test.
fn refuse_in_memory(named: &Located<Word>, remarks: &mut Remarks) -> Option<ClockOffset> {
    let message = format!("the clock of {} cannot be wrong: in-memory has no such instance", named.value.0);
    remarks.problem(&named.place, message, "leave it out, or choose `--strategy redis`");
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::plan::{Given, Plan};
    use crate::scenario::{Overrides, Problems, Scenario, Source};

    fn resolved(strategy: &str, clocks: &str) -> Result<Plan, Problems> {
        let target = format!("target: {{ strategy: {strategy}, instances: 2, clock_offset: {{ {clocks} }} }}");
        let source = Arc::new(Source { name: "clocks.yml".into(), text: target });
        Plan::resolve(Scenario::read(&source), Overrides::default(), Given { run_number: 7, seed: 1 })
    }

    #[test]
    fn a_clock_is_that_of_a_slot_and_has_a_sign() {
        let plan = resolved("redis", "api-2: 30s, worker-1: -1m30s").unwrap();
        let told = plan.target.clock_offsets.iter().map(|clock| (clock.slot.to_string(), clock.ahead_ms));
        assert_eq!(told.collect::<Vec<_>>(), [("api-2".to_owned(), 30_000), ("worker-1".to_owned(), -90_000)]);
        assert_eq!(plan.target.clocks_in_words().unwrap(), "api-2 +30s, worker-1 -1m30s");
        assert_eq!(resolved("redis", "").unwrap().target.clocks_in_words(), None);
    }

    #[test]
    fn the_clock_of_nobody_is_a_problem_and_so_is_one_that_is_right() {
        let problem = |clocks: &str| resolved("redis", clocks).unwrap_err().iter().next().unwrap().message.clone();
        assert_eq!(problem("worker-9: 30s"), "`worker-9` is no instance of this target");
        assert_eq!(problem("worker: 30s"), "`worker` is no instance of this target");
        assert_eq!(problem("worker-1: 0s"), "worker-1: `0s` is no time at all");
        assert_eq!(problem("worker-1: -2s"), "a clock that is wrong by -2s cannot be told from one that is right");
        assert_eq!(problem("worker-1: 30"), "worker-1: `30` has no unit");
    }

    #[test]
    fn a_buffer_in_memory_has_no_workers_whose_clock_could_be_wrong() {
        let plan = resolved("in-memory", "all-2: 5s").unwrap();
        assert_eq!(plan.target.clocks_in_words().unwrap(), "all-2 +5s");
        let refused = resolved("in-memory", "worker-1: 30s, all-2: 5s").unwrap_err();
        let told = &refused.iter().next().unwrap().message;
        assert_eq!(told, "the clock of worker-1 cannot be wrong: in-memory has no such instance");
    }
}
