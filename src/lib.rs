//! `mxctl` proves, with open-loop load, injected faults and a ledger of every write, that a write-behind service
//! keeps its data. This file is the map. A run is one pass, and the modules stand in the order of the pass:
//!
//! ```text
//! YAML ─ Scenario ─ Plan ─ Deployment ─┬ load::drive ──── Ledger ──────────────┐
//!                                      └ timeline::play ─ Incidents(Checkpoints)┤
//!                                        heal ─ settle ─ Settled ─ FinalState ──┴ Evidence ─ Verdict ─ RunReport
//! ```
//!
//! Start with [`run`]: it is the whole pass on one screen. A module may use only what stands above it here
//! (`tests/architecture.rs` holds it to that); `load` and `timeline` never use each other.

/// What everything shares: the run's clock, its two-step stop, and the eyes that follow it.
pub mod clock;
pub mod stop;
pub mod watch;

/// What a person wrote.
pub mod scenario;

/// What it means.
pub mod plan;

/// The run's folder.
pub mod archive;

/// The stages, in the order of the pass.
pub mod backends;
pub mod checks;
pub mod load;
pub mod readback;
pub mod report;
pub mod run;
pub mod settle;
pub mod timeline;

/// The command line.
pub mod cli;
