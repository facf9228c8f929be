//! mxctl sabotaged: a run with one part exchanged for one that is wrong, so that whoever judges it can show that it
//! notices. The controls of the selftest, and nobody else, ask for it.
//!
//! In: a plan. Out: the [`Parts`] of its run: the sound ones, as a rule, or those of its [`Sabotage`]. The other stages know
//! nothing of it: each part is behind its own interface, and `run.rs` takes it from here.
//!
//! # Adding one
//! Its line in the list (`src/plan/sabotage.rs`), and `impl Parts` here: the compiler asks for it in `parts`. A control
//! that is undecided for its reason goes into the zoo (`src/selftest/zoo.rs`).

mod evidence;
mod faults;
mod generator;
mod twisted;

use std::path::Path;
use std::sync::Arc;

use crate::backends::Deployment;
use crate::clock::RunClock;
use crate::load::alarm::{Alarm, Timer};
use crate::load::{Ledger, LedgerError};
use crate::plan::{Plan, Sabotage};
use crate::readback::Reader;
use crate::readback::database::Database;

use evidence::{CutLedger, LaggingReader, LimitedReader};
use faults::{DoesNothing, WrongTarget};
use generator::{StallAtKill, Starved};

/// Whoever says this much is a test, or whoever tries out the selftest.
pub const GUARD: &str = "MXCTL_SELFTEST_GUARD";

/// What a run works with, each behind its interface.
pub trait Parts: Send + Sync {
    /// The target, with the controls that the time line acts through.
    fn target(&self, target: Box<dyn Deployment>) -> Box<dyn Deployment> {
        target
    }

    /// What wakes the load.
    fn alarm(&self) -> Arc<dyn Alarm> {
        Arc::new(Timer)
    }

    /// The ledger that is judged, from the one that was sealed in this folder.
    fn ledger(&self, sealed: Ledger, _folder: &Path) -> Result<Ledger, LedgerError> {
        Ok(sealed)
    }

    /// What reads the rows at the end. It is there before the first of them is written.
    fn reader(&self, database: Database) -> Box<dyn Reader> {
        Box::new(database)
    }
}

/// Nothing is exchanged.
struct Sound;

impl Parts for Sound {}

/// The parts of a plan's run.
pub fn parts(plan: &Plan, clock: &RunClock) -> Box<dyn Parts> {
    match plan.sabotage {
        None => Box::new(Sound),
        Some(Sabotage::FaultDoesNothing) => Box::new(DoesNothing),
        Some(Sabotage::WrongTarget) => Box::new(WrongTarget),
        Some(Sabotage::GeneratorStallAtKill) => Box::new(StallAtKill::of(clock)),
        Some(Sabotage::StarveGenerator) => Box::new(Starved),
        Some(Sabotage::CutLedger) => Box::new(CutLedger),
        Some(Sabotage::LaggingReader) => Box::new(LaggingReader),
        Some(Sabotage::LimitedReader) => Box::new(LimitedReader),
    }
}

/// Cuts the ledger in a folder, as a crash of the disk does.
pub use evidence::cut_ledger;
