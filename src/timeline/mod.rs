//! The faults of a plan, played in order, each with proof that it took effect.
//!
//! In: the plan's steps and a deployment. Out: [`Incidents`]: what was done to whom, when, what the victim held at
//! that moment, and how we know.

pub mod incident;

pub use incident::{Exposure, Held, Incidents, Proof, StepRecord, StopRecord};
