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

// What everything shares: the run's clock, its two-step stop, the eyes that follow it, what mxctl itself takes,
// processes as the kernel knows them, small file systems, whom the machine's time went to, where a process listens, long
// files read through memory, code that is let go once it was needed, and passwords that nobody reads.
pub mod clock;
pub mod stop;
pub mod watch;
pub mod harness;
pub mod process;
pub mod room;
pub mod machine;
pub mod listeners;
pub mod pages;
pub mod code_pages;
pub mod mask;

// What can be done to that which the service depends on: the list.
pub mod disturbance;

// What a person wrote, what it means, and what every write says.
pub mod scenario;
pub mod plan;
pub mod content;

// The run's folder, and in it the journal of what was done to the world.
pub mod archive;
pub mod journal;
pub mod heal;

// What this executable was proven to catch.
pub mod proven;

// The stages, in the order of the pass.
pub mod backends;
pub mod readback;
pub mod load;
pub mod footprint;
pub mod timeline;
pub mod settle;
pub mod checks;
pub mod report;

// What a run works with, and what a control of the selftest exchanges of it.
pub mod sabotage;

// The whole pass; load alone, on a URL of somebody's own; the end of a pass, again, from its folder; and all runs of a
// reports folder.
pub mod run;
pub mod url_load;
pub mod rejudge;
pub mod runs;

// Runs at one rate after the other: the highest that holds.
pub mod find_max;

// Runs with seeded bugs: mxctl proves itself.
pub mod selftest;

// Labs that stay between runs.
pub mod labs;

// What load generators are measured against, this one's among them.
pub mod bench;

// The command line.
pub mod cli;
