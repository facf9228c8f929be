//! Labs that stay: a target that outlives the command that brought it up, and that one run after another works on.
//!
//! ```text
//! testbed up ───────── birth ────▶ keeper, detached: owns the instances, their control sockets, the journal
//! loadtest --attach ── session ──▶    │  tells who is born and who ends; acts on request, one session at a time
//! testbed status|down ── request ─▶   │  makes the lab whole again when a session ends, however it ends
//! ```
//!
//! In: a [`TargetPlan`] and a [`LabFolder`]. Out: a lab that is up ([`birth::up`]), and an
//! [`Attached`] deployment on it.
//!
//! # Why a keeper
//! Children die with their parent (PDEATHSIG), pause points end with the control socket, and only a parent learns how
//! a child ended. Somebody has to be that parent between two runs; it is the process backend itself, in a process of
//! its own. What a run that was killed had held or frozen is given back by whoever sees its connection close.

mod ask;
mod attached;
pub mod birth;
mod folder;
mod keeper;
mod mirror;
mod restore;
mod wire;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::archive::Environment;
use crate::plan::TargetPlan;
pub use ask::{end_keeper, look, take_down};
pub use attached::Attached;
pub use folder::{LabFolder, Standing};
pub use keeper::keep;
pub use wire::{Ending, Sight, Visitor};

/// The name of a lab that nobody gave one.
pub const DEFAULT_NAME: &str = "default";

/// What a lab is: written when it is brought up, and true until it is taken down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    pub target: TargetPlan,
    /// Of the keeper, whose executable is the service as well.
    pub environment: Environment,
}

/// What a journal calls a lab that stays: a run that died on it blocks the next one on it, and no other.
pub fn target(name: &str) -> String {
    format!("kept lab {name}")
}

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("name a lab `{0}`: write letters, digits, `-`, `_` and `.`, at most 64 of them, such as `default`")]
    Name(String),
    #[error("prepare {path}: {source}")]
    Files { path: PathBuf, source: io::Error },
    #[error("bring up the lab `{name}`: {why}")]
    Up { name: String, why: String },
    #[error("bring up the lab: interrupted; nothing of it is left")]
    Interrupted,
    #[error("find the lab `{name}`: {why}; {remedy}")]
    NotUp { name: String, why: String, remedy: String },
    #[error("talk to the keeper of the lab `{name}`: {why}")]
    Keeper { name: String, why: String },
    #[error("take down the lab `{name}`: {why}")]
    Down { name: String, why: String },
    #[error("keep a lab: {0}; only `mxctl testbed up` starts a keeper")]
    NotBorn(io::Error),
}
