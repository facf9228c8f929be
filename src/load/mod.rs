//! Open-loop load: operation i is due at `due(i)`, whatever the target does.
//!
//! In: a [`LoadPlan`](crate::plan::LoadPlan) and the routing table. Out: a sealed [`Ledger`], one record for every
//! attempt, written before it was sent.

pub mod content;
pub mod lanes;
pub mod latency;
pub mod ledger;
pub mod pacer;
mod request;
mod response;

pub use lanes::{Lane, Operation, Operations};
pub use ledger::{Attempt, Ledger, Outcome};

#[cfg(test)]
mod test_plan;
