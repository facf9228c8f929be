//! What can be done to mxctl itself, so that it proves that it notices: the list. How it is done is in `src/sabotage/`.

use serde::{Deserialize, Serialize};

use super::Plan;

/// One part of mxctl exchanged for one that is wrong: set by tests and the selftest alone. Such a run is never a PASS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// Whatever the time line does to an instance or to Redis is not done, and reported as done.
    FaultDoesNothing,
    /// Whatever the time line does to an instance is done to another one.
    WrongTarget,
    /// The load stands still for half a second when an instance gets its first signal.
    GeneratorStallAtKill,
    /// The load stands still most of the time.
    StarveGenerator,
    /// The end of the ledger is gone before it is judged.
    CutLedger,
    /// The rows are read as they were when the first of them were there, as from a replica that follows late.
    LaggingReader,
    /// Not all rows are read, as behind a limit.
    LimitedReader,
}

impl Sabotage {
    pub const ALL: [Sabotage; 7] = [
        Sabotage::FaultDoesNothing,
        Sabotage::WrongTarget,
        Sabotage::GeneratorStallAtKill,
        Sabotage::StarveGenerator,
        Sabotage::CutLedger,
        Sabotage::LaggingReader,
        Sabotage::LimitedReader,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Sabotage::FaultDoesNothing => "fault-does-nothing",
            Sabotage::WrongTarget => "wrong-target",
            Sabotage::GeneratorStallAtKill => "generator-stall-at-kill",
            Sabotage::StarveGenerator => "starve-generator",
            Sabotage::CutLedger => "cut-ledger",
            Sabotage::LaggingReader => "lagging-reader",
            Sabotage::LimitedReader => "limited-reader",
        }
    }

    pub fn of_word(word: &str) -> Option<Sabotage> {
        Sabotage::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Why there is nothing in this plan that it would spoil: such a run would show nothing by passing.
    pub fn spoils_nothing_of(self, plan: &Plan) -> Option<&'static str> {
        match self {
            Sabotage::FaultDoesNothing if plan.timeline.is_empty() => Some("the time line does nothing"),
            Sabotage::WrongTarget | Sabotage::GeneratorStallAtKill if plan.stops().next().is_none() => {
                Some("the time line stops nobody")
            }
            Sabotage::WrongTarget if plan.target.slots.len() < 2 => Some("there is nobody else to strike"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_its_own_word_in_a_plan_as_well() {
        for one in Sabotage::ALL {
            assert_eq!(Sabotage::of_word(one.word()), Some(one));
            assert_eq!(serde_json::to_value(one).unwrap(), one.word());
        }
        assert_eq!(Sabotage::of_word("another"), None);
    }
}
