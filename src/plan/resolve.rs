//! From a scenario to a plan.

/// What the caller knows and the scenario does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    pub run_number: u32,
    pub seed: u64,
}
